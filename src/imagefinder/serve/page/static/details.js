// One image large, with what is known of it.

import { close as leave, current, go, href } from "./address.js";
import { blob, get, imagePath } from "./api.js";
import { $, button, el } from "./dom.js";
import { picture } from "./pictures.js";
import { removeImage } from "./removal.js";
import { toast } from "./toasts.js";
import { sentence } from "./words.js";

const LARGE = 1024; // pixels
let open = null; // the dialog

/** Show the details of `state.show`; nothing when it is empty. */
export async function showDetails(state, about) {
  if (open?.dataset.id === state.show) return;
  close();
  if (!state.show) return;
  const id = state.show;
  open = frame(id);
  const mine = open;
  try {
    const record = await recordOf(id);
    if (open === mine) fill(mine, record, about);
  } catch (error) {
    if (open === mine) mine.querySelector(".body").replaceChildren(el("p", { class: "state" }, sentence(error.message)));
  }
}

/** By a query, as the path of an id that ends in "/thumbnail" is that of another's thumbnail. */
async function recordOf(id) {
  const { images } = await get(`v1/images?${new URLSearchParams({ id })}`);
  if (!images.length) throw new Error("no image of the collection has this id");
  return images[0];
}

function frame(id) {
  const box = el(
    "dialog",
    { class: "details", "data-id": id, "aria-labelledby": "details-title" },
    el(
      "header",
      {},
      el("h2", { id: "details-title" }, id),
      neighbours(id).map(({ label, sign, next }) => button(sign, () => turnTo(next), { class: "close", "aria-label": label, disabled: !next })),
      button("×", leave, { class: "close", "aria-label": "Close" }),
    ),
    el("div", { class: "body" }, el("p", { class: "state" }, "Loading …")),
  );
  box.addEventListener("cancel", (event) => {
    event.preventDefault();
    leave();
  });
  box.addEventListener("click", (event) => event.target === box && leave()); // beside it
  box.addEventListener("keydown", ({ key }) => {
    const [before, after] = neighbours(id);
    if (key === "ArrowLeft" && before.next) turnTo(before.next);
    if (key === "ArrowRight" && after.next) turnTo(after.next);
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/** The images before and after it, in the gallery that is in view. */
function neighbours(id) {
  const cards = [...document.querySelectorAll(".card[data-id]")].filter((card) => card.offsetParent);
  const ids = cards.map((card) => card.dataset.id);
  const at = ids.indexOf(id);
  return [
    { label: "The image before", sign: "‹", next: at > 0 && ids[at - 1] },
    { label: "The next image", sign: "›", next: at >= 0 && ids[at + 1] },
  ];
}

/** No step to take back: "back" closes the details, whichever they are. */
function turnTo(id) {
  go({ show: id }, { replace: true });
}

function close() {
  open?.close();
  open?.remove();
  // what had the focus before may be gone, as the card of a deleted image is
  const next = document.querySelector(".toast .link") ?? $("main"); // the way to undo that, first
  if (open && document.activeElement === document.body) next.focus({ preventScroll: true });
  open = null;
}

function fill(box, record, about) {
  const large = el("div", { class: "large" }, picture(record.thumbnail, LARGE, record.id));
  large.style.aspectRatio = record.width && record.height ? `${record.width} / ${record.height}` : "4 / 3";
  box.querySelector(".body").replaceChildren(large, el("div", { class: "facts" }, actions(record, about), facts(record)));
}

function actions(record, about) {
  const { k, filter, space } = current();
  return el(
    "div",
    { class: "row actions" },
    el("a", { class: "button primary", href: href({ id: record.id, others: true, k, filter, space }) }, "Similar images"),
    button("Copy id", () => copy(record.id)),
    button(about.serves_content ? "Download" : "Download preview", () => download(record, about)),
    about.writable && button("Delete", () => drop(record.id), { class: "danger" }),
  );
}

async function copy(id) {
  try {
    await navigator.clipboard.writeText(id);
    toast("The id is copied");
  } catch {
    toast(`The browser does not let pages copy here. The id is ${id}`);
  }
}

async function download(record, { serves_content: whole }) {
  const path = whole ? imagePath(record.id, "content") : `${imagePath(record.id, "thumbnail")}?size=${LARGE}`;
  try {
    const file = await blob(path, whole ? {} : { headers: { Accept: "image/jpeg" } });
    const name = record.id.split("/").at(-1);
    const link = el("a", { href: URL.createObjectURL(file), download: whole ? name : `${name.replace(/\.\w+$/, "")}.jpg` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    toast(sentence(error.message));
  }
}

function drop(id) {
  leave();
  removeImage(id);
}

function facts(record) {
  const metadata = Object.entries(record.metadata).map(([name, value]) => [name, text(value)]);
  const place = record.latitude === null ? null : `${record.latitude.toFixed(5)}, ${record.longitude.toFixed(5)}`;
  const known = [
    ["Id", record.id],
    [/^https?:/.test(record.uri) ? "URL" : "Path", where(record.uri)],
    ["Pixels", record.width ? `${record.width} × ${record.height}` : null],
    ["Format", record.format],
    ["Size", record.size ? bytes(record.size) : null],
    ["Taken", record.date?.replace("T", " ")],
    ["Camera", record.camera],
    ["Place", place],
    ...metadata,
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", {}, known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function where(uri) {
  return /^https?:/.test(uri) ? el("a", { href: uri, target: "_blank", rel: "noreferrer" }, uri) : uri;
}

function text(value) {
  return Array.isArray(value) ? value.join(", ") : value === null ? "" : String(value);
}

export function bytes(size) {
  if (size < 1000) return `${size} bytes`;
  const [unit, name] = size >= 1e9 ? [1e9, "GB"] : size >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  return `${(size / unit).toLocaleString("en", { maximumFractionDigits: 1 })} ${name}`;
}
