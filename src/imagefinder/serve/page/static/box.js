// The box on the query: drawn, moved and resized with a pointer or the keys.

import { el } from "./dom.js";

const SMALLEST = 0.02; // of a side; less is a click
const STEP = 0.02;
const CORNERS = ["nw", "ne", "sw", "se"];

export class Box {
  /** On an element that holds the picture, as [x, y, width, height] in fractions of it. `moving(box)`
   * while it changes, `placed(box)` when it stays; null when it is taken away. */
  constructor(holder, moving, placed) {
    Object.assign(this, { holder, moving, placed, place: null });
    this.node = el("div", { class: "box", role: "group", tabindex: "0", hidden: true, "aria-roledescription": "part of the image" });
    this.node.append(...CORNERS.map((corner) => el("i", { class: corner })));
    this.node.addEventListener("keydown", (event) => this.onKey(event));
    holder.append(this.node);
    holder.onpointerdown = (event) => this.onDown(event);
  }

  set(place) {
    this.place = place;
    this.node.hidden = !place;
    this.holder.classList.toggle("boxed", Boolean(place));
    if (!place) return;
    const [x, y, width, height] = place;
    const percent = (part) => `${part * 100}%`;
    Object.assign(this.node.style, { left: percent(x), top: percent(y), width: percent(width), height: percent(height) });
    const of = [x, y, width, height].map((part) => `${Math.round(part * 100)} %`);
    const label = `From the left ${of[0]}, from the top ${of[1]}, width ${of[2]}, height ${of[3]}.`;
    this.node.setAttribute("aria-label", `${label} Arrow keys move it, with Shift they resize it, Delete takes it away.`);
  }

  focus() {
    this.node.focus();
  }

  picture() {
    return this.holder.querySelector("img");
  }

  onDown(event) {
    if (event.button || !this.picture()) return;
    const at = this.at(event);
    const corner = CORNERS.find((name) => event.target.classList.contains(name));
    const inside = event.target === this.node;
    // with a finger one scrolls; a box is drawn only from one that is there
    if (event.pointerType === "touch" && !corner && !inside) return;
    event.preventDefault();
    const before = this.place;
    const change = corner ? this.resizer(corner) : inside ? this.mover(at) : (now) => between(at, now);
    const move = (next) => this.show(change(this.at(next)));
    const up = () => {
      this.holder.removeEventListener("pointermove", move);
      const now = this.place;
      if (now && (now[2] < SMALLEST || now[3] < SMALLEST)) this.set(before);
      else if (now !== before) this.placed(now);
      if (!corner && !inside && now === before && before) this.placed(null); // a click beside it
    };
    this.holder.setPointerCapture(event.pointerId);
    this.holder.addEventListener("pointermove", move);
    this.holder.addEventListener("pointerup", up, { once: true });
    this.holder.addEventListener("pointercancel", up, { once: true });
  }

  show(place) {
    this.set(place.map((part) => Math.round(part * 10_000) / 10_000));
    if (place[2] >= SMALLEST && place[3] >= SMALLEST) this.moving(this.place);
  }

  mover([x, y]) {
    const [left, top, width, height] = this.place;
    return ([nowX, nowY]) => [within(left + nowX - x, 1 - width), within(top + nowY - y, 1 - height), width, height];
  }

  resizer(corner) {
    const [left, top, width, height] = this.place;
    const fixed = [corner.endsWith("w") ? left + width : left, corner.startsWith("n") ? top + height : top];
    return (now) => between(fixed, now);
  }

  onKey(event) {
    const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    clearTimeout(this.settling);
    if (event.key === "Delete" || event.key === "Backspace") this.placed(null);
    else if (event.key in steps) this.show(this.stepped(steps[event.key], event.shiftKey));
    else return;
    event.preventDefault();
    if (event.key in steps) this.settling = setTimeout(() => this.node.isConnected && this.placed(this.place), 400);
  }

  stepped([dx, dy], resize) {
    const [x, y, width, height] = this.place;
    if (!resize) return [within(x + dx, 1 - width), within(y + dy, 1 - height), width, height];
    return [x, y, Math.max(SMALLEST, within(width + dx, 1 - x)), Math.max(SMALLEST, within(height + dy, 1 - y))];
  }

  /** Where the pointer is on the picture. */
  at(event) {
    const frame = this.picture().getBoundingClientRect();
    return [within((event.clientX - frame.left) / frame.width, 1), within((event.clientY - frame.top) / frame.height, 1)];
  }
}

function within(value, most) {
  return Math.min(Math.max(value, 0), most);
}

function between([ax, ay], [bx, by]) {
  return [Math.min(ax, bx), Math.min(ay, by), Math.abs(ax - bx), Math.abs(ay - by)];
}
