// The query beside its hits: the picture, with a box for a part of it, or the words.

import { current, go } from "./address.js";
import { imagePath } from "./api.js";
import { Box } from "./box.js";
import { $, el } from "./dom.js";
import { picture } from "./pictures.js";

const SIZE = 640; // pixels of the longer side

let box = null;
let shown = null; // what the picture is of

/** `follow(box)` is told while the box moves; where it stays goes into the address. */
export function showQuery(state, follow) {
  const { picture: given, id, url, text } = state;
  const subject = given ? given.key : given === undefined ? "" : id || url || text;
  $("query").hidden = !subject;
  if (!subject) {
    shown = null;
    return;
  }
  const now = JSON.stringify([given?.key, id, url, text]);
  if (now !== shown) {
    shown = now;
    $("query-name").textContent = given?.name ?? (id || url || "");
    show(state, follow);
  }
  $("part").hidden = !(given || id || url);
  $("part").textContent = state.box ? "Search the whole" : "Search a part";
  box.set(state.box);
}

/** A small picture of the query that the service made. */
export function showPreview(address) {
  const waiting = $("picture").querySelector(".unshown");
  if (address && waiting) waiting.replaceWith(el("img", { src: address, alt: "The query" }));
}

function show({ picture: given, id, url, text }, follow) {
  $("picture").replaceChildren(...[pictureOf(given, id, url), text && el("blockquote", {}, text)].filter(Boolean));
  $("picture").classList.toggle("words", !given && !id && !url);
  box = new Box($("picture"), follow, (place) => {
    go({ box: place });
    if (!place) $("part").focus(); // the box had it
  });
}

function pictureOf(given, id, url) {
  const unshown = () => el("span", { class: "unshown" }, url || "This browser cannot show the picture");
  if (given) {
    const address = given.address();
    const img = el("img", { src: address, alt: "The query", draggable: "false" });
    img.addEventListener("load", () => URL.revokeObjectURL(address));
    img.addEventListener("error", () => img.replaceWith(unshown()));
    return img;
  }
  if (id) return picture(imagePath(id, "thumbnail"), SIZE, `The query, ${id}`);
  return url ? unshown() : null;
}

$("part").addEventListener("click", () => {
  const whole = current().box !== null;
  go({ box: whole ? null : [0.25, 0.25, 0.5, 0.5] });
  if (!whole) box.focus();
});

$("clear").addEventListener("click", () => {
  go({ picture: null, id: "", url: "", text: "", box: null, others: false, show: "" });
  $("choose").focus();
});
