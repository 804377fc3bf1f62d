// How a picture comes into the page: chosen, dropped, pasted, photographed, or by its address.

import { current, go } from "./address.js";
import { canPhotograph, photograph } from "./camera.js";
import { $ } from "./dom.js";
import { addressOf, imagesOf, Picture, pictureOf } from "./picture.js";
import { toast } from "./toasts.js";

const FRESH = { view: "search", id: "", url: "", text: "", box: null, others: false, show: "", picture: null };

/** Search with a picture, or with the one at an address. */
function searchWith(picture, url = "") {
  go({ ...FRESH, picture, url });
}

$("choose").addEventListener("click", () => $("file").click());
for (const input of [$("file"), $("camera")]) {
  input.addEventListener("change", () => {
    if (input.files[0]) searchWith(new Picture(input.files[0]));
    input.value = ""; // the same file again is a change, too
  });
}

$("photograph").addEventListener("click", async () => {
  if (!canPhotograph()) {
    $("camera").click();
    return;
  }
  const picture = await photograph();
  if (picture) searchWith(picture);
});

$("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  searchWith(null, $("url").value.trim());
  $("url").value = "";
});

addEventListener("paste", (event) => {
  if (document.querySelector("dialog[open]") || current().view === "add") return;
  const picture = pictureOf(event.clipboardData);
  const url = event.target.matches?.("input, textarea") ? "" : addressOf(event.clipboardData);
  if (!picture && !url) return;
  event.preventDefault();
  searchWith(picture, picture ? "" : url);
});

// a drop anywhere; the view that adds images has a place of its own for them

let depth = 0; // enters minus leaves: children send both, too
let own = false; // what is dragged is a link of this page

function isOurs(event) {
  const kinds = event.dataTransfer?.types ?? [];
  return !own && current().view !== "add" && (kinds.includes("Files") || kinds.includes("text/uri-list"));
}

function over(change) {
  depth = change === 0 ? 0 : Math.max(0, depth + change);
  document.body.classList.toggle("dropping", depth > 0);
}

addEventListener("dragstart", () => (own = true));
addEventListener("dragend", () => (own = false));
addEventListener("dragenter", (event) => isOurs(event) && over(1));
addEventListener("dragleave", (event) => isOurs(event) && over(-1));
addEventListener("dragover", (event) => isOurs(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!isOurs(event)) return;
  event.preventDefault();
  over(0);
  const picture = pictureOf(event.dataTransfer);
  const url = picture ? "" : addressOf(event.dataTransfer);
  if (picture || url) searchWith(picture, url);
  if (imagesOf(event.dataTransfer).length > 1) toast("This searches with the first of them.");
  else toast("That is no image. Drop a picture file, such as a JPEG or PNG.");
});
