// The map: the embeddings in two dimensions, on a canvas that one can point at.

import { go } from "./address.js";
import { get, imagePath } from "./api.js";
import { announce, button, count, el } from "./dom.js";
import { Faces } from "./faces.js";
import { picture } from "./pictures.js";

const AGAIN = 1000; // ms until a map that is being drawn is asked for again
const REACH = 24; // pixels from a point that still mean it
const ZOOM = 1.5;
const MARGIN = 40; // pixels: half a picture
const DOT = 3.5;

let shown = 0; // counts maps: who waits for a newer one gives up when it is another's turn

/** Show the map in an element, and again when a newer one has been drawn. */
export async function showMap(place) {
  const mine = ++shown;
  const map = await get("v1/map");
  if (mine !== shown) return;
  if (!map.ids.length) {
    const words = map.drawing ? "The map is being drawn. With thousands of images that takes some seconds." : "There is no image to show yet.";
    place.replaceChildren(el("p", { class: "state" }, words));
  } else new MapView(place, map);
  while (map.drawing) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
    if (mine !== shown) return;
    const newer = await get("v1/map");
    if (!newer.drawing) return mine === shown && showMap(place);
  }
}

class MapView {
  constructor(place, map) {
    Object.assign(this, { map, scale: 1, middle: [0.5, 0.5], at: -1 });
    this.span = [extent(map.x), extent(map.y)];
    this.canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": `A map of ${count(map.ids.length, "image")}. Arrow keys go from image to image, Enter opens one, plus and minus zoom.` });
    this.tip = el("div", { class: "tip", hidden: true });
    this.faces = new Faces(() => this.draw());
    const some = map.ids.length < map.images ? `${count(map.ids.length, "image")} of ${map.images.toLocaleString("en")}, ` : "";
    place.replaceChildren(
      el("div", { class: "map-frame" }, this.canvas, this.tip),
      el(
        "div",
        { class: "row" },
        el("span", { class: "note" }, `${some}${map.method} of the ${map.model} embeddings`),
        button("−", () => this.zoom(1 / ZOOM), { "aria-label": "Zoom out" }),
        button("+", () => this.zoom(ZOOM), { "aria-label": "Zoom in" }),
        button("All", () => this.reset()),
      ),
    );
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => (this.from ? this.pan(event) : this.point(this.nearest(event))));
    canvas.addEventListener("pointerleave", () => !this.from && this.point(-1));
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.from = null));
    canvas.addEventListener("click", (event) => this.onClick(event));
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("blur", () => this.point(-1));
  }

  // where things are

  resize() {
    const dense = devicePixelRatio;
    this.size = [this.canvas.clientWidth, this.canvas.clientHeight];
    this.canvas.width = this.size[0] * dense;
    this.canvas.height = this.size[1] * dense;
    this.draw();
  }

  /** Pixels of a point of the map. */
  place(number) {
    const unit = this.unit();
    return [0, 1].map((axis) => this.size[axis] / 2 + (this.map[axis ? "y" : "x"][number] - this.middle[axis]) * unit);
  }

  unit() {
    const [across, down] = this.size.map((pixels, axis) => (pixels - 2 * MARGIN) / this.span[axis]);
    return Math.min(across, down) * this.scale;
  }

  nearest({ offsetX, offsetY }) {
    let [best, least] = [-1, REACH ** 2];
    for (let number = 0; number < this.map.ids.length; number++) {
      const [x, y] = this.place(number);
      const distance = (x - offsetX) ** 2 + (y - offsetY) ** 2;
      if (distance < least) [best, least] = [number, distance];
    }
    return best;
  }

  // drawing

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    const pen = this.canvas.getContext("2d");
    pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    pen.clearRect(0, 0, ...this.size);
    pen.fillStyle = getComputedStyle(this.canvas).color;
    const visible = this.visible();
    const side = this.faces.side(visible.length, this.size);
    for (const number of visible) {
      const [x, y] = this.place(number);
      const face = side && this.faces.get(this.map.ids[number]);
      if (face) this.faces.draw(pen, face, x, y, side);
      else dot(pen, x, y, DOT);
    }
    if (this.at >= 0) {
      const [x, y] = this.place(this.at);
      pen.strokeStyle = getComputedStyle(this.canvas).outlineColor;
      pen.lineWidth = 3;
      pen.beginPath();
      pen.arc(x, y, side ? side * 0.7 : DOT * 2.5, 0, 7);
      pen.stroke();
    }
  }

  visible() {
    return this.map.ids.map((_, number) => number).filter((number) => {
      const [x, y] = this.place(number);
      return x > -MARGIN && y > -MARGIN && x < this.size[0] + MARGIN && y < this.size[1] + MARGIN;
    });
  }

  // pointing

  point(number) {
    if (number === this.at) return;
    this.at = number;
    this.canvas.style.cursor = number < 0 ? "" : "pointer";
    this.tip.hidden = number < 0;
    if (number >= 0) {
      const id = this.map.ids[number];
      const [x, y] = this.place(number);
      this.tip.replaceChildren(picture(imagePath(id, "thumbnail"), 256, ""), el("span", {}, id));
      this.tip.classList.toggle("left", x > this.size[0] / 2);
      this.tip.classList.toggle("above", y > this.size[1] / 2);
      Object.assign(this.tip.style, { left: `${x}px`, top: `${y}px` });
    }
    this.draw();
  }

  onClick(event) {
    if (this.moved) return;
    this.point(this.nearest(event));
    if (this.at >= 0) go({ show: this.map.ids[this.at] });
  }

  onKey(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in ways) this.step(ways[event.key]);
    else if (event.key === "Enter" && this.at >= 0) go({ show: this.map.ids[this.at] });
    else if (event.key === "+") this.zoom(ZOOM);
    else if (event.key === "-") this.zoom(1 / ZOOM);
    else return;
    event.preventDefault();
  }

  /** To the nearest image that lies in a direction; at first to the one in the middle. */
  step([dx, dy]) {
    const [fromX, fromY] = this.at < 0 ? [this.size[0] / 2, this.size[1] / 2] : this.place(this.at);
    let [best, least] = [this.at, Infinity];
    for (const number of this.map.ids.keys()) {
      const [x, y] = this.place(number);
      const along = (x - fromX) * dx + (y - fromY) * dy;
      const distance = Math.hypot(x - fromX, y - fromY);
      if (number === this.at || (this.at >= 0 && along < distance * 0.6)) continue;
      if (distance < least) [best, least] = [number, distance];
    }
    this.reveal(best);
    this.point(best);
    announce(this.map.ids[best]);
  }

  // moving

  /** Into view, where zooming has left it out. */
  reveal(number) {
    const out = this.place(number).some((pixels, axis) => pixels < 0 || pixels > this.size[axis]);
    if (out) this.middle = [this.map.x[number], this.map.y[number]];
  }

  zoom(by, around = [this.size[0] / 2, this.size[1] / 2]) {
    const scale = Math.min(Math.max(this.scale * by, 1), 60);
    for (const axis of [0, 1]) {
      const away = (around[axis] - this.size[axis] / 2) / this.unit();
      this.middle[axis] += away * (1 - this.scale / scale);
    }
    this.scale = scale;
    if (scale === 1) this.middle = [0.5, 0.5];
    this.canvas.style.touchAction = scale > 1 ? "none" : ""; // a finger moves the map, not the page
    this.point(-1);
    this.draw();
  }

  reset() {
    this.zoom(0);
  }

  onWheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 200), [event.offsetX, event.offsetY]);
  }

  grab(event) {
    this.moved = false;
    if (event.pointerType !== "mouse" && this.scale === 1) return; // it scrolls the page
    this.from = [event.offsetX, event.offsetY];
    this.canvas.setPointerCapture(event.pointerId);
  }

  pan(event) {
    const [x, y] = [event.offsetX - this.from[0], event.offsetY - this.from[1]];
    if (!this.moved && Math.hypot(x, y) < 4) return;
    this.moved = true;
    this.point(-1);
    this.middle = [this.middle[0] - x / this.unit(), this.middle[1] - y / this.unit()];
    this.from = [event.offsetX, event.offsetY];
    this.draw();
  }
}

/** How much of an axis the images take; a lone one takes all of it. */
function extent(places) {
  return Math.max(...places) - Math.min(...places) || 1;
}

function dot(pen, x, y, radius) {
  pen.globalAlpha = 0.7;
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
  pen.globalAlpha = 1;
}
