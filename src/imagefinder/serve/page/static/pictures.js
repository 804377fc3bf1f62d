// Thumbnails in <img>: by their address, or, where the service wants a key, which an address cannot
// carry, fetched with it.

import { blob } from "./api.js";
import { el, whenNear } from "./dom.js";
import { currentKey } from "./key.js";

const DENSE = devicePixelRatio > 1.25;

/** Pixels of the picture's longer side for so many of the window, among few sizes that are kept. */
export function sizeFor(pixels) {
  const wanted = pixels * (DENSE ? 2 : 1);
  return [64, 128, 256, 400, 640, 1024].find((size) => size >= wanted) ?? 1024;
}

/** An <img> of a thumbnail's path; where the picture cannot be had, it says so instead. */
export function picture(path, size, alt) {
  const img = el("img", { alt, decoding: "async", draggable: "false" });
  const address = `${path}?size=${size}`;
  img.addEventListener("error", () => img.replaceWith(missing()));
  img.addEventListener("load", () => img.classList.add("there"));
  if (currentKey()) whenNear(img, () => withKey(img, address));
  else {
    img.loading = "lazy";
    img.src = new URL(address, document.baseURI);
  }
  return img;
}

/** The picture itself, for canvases. */
export function loaded(path, size) {
  return new Promise((resolve, reject) => {
    const img = new Image();
    img.onload = () => resolve(img);
    img.onerror = reject;
    if (currentKey()) withKey(img, `${path}?size=${size}`);
    else img.src = new URL(`${path}?size=${size}`, document.baseURI);
  });
}

async function withKey(img, address) {
  try {
    const there = URL.createObjectURL(await blob(address));
    img.addEventListener("load", () => URL.revokeObjectURL(there), { once: true });
    img.src = there;
  } catch {
    img.dispatchEvent(new Event("error"));
  }
}

function missing() {
  return el("span", { class: "missing" }, "The picture cannot be read any more");
}
