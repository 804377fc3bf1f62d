// What the page says instead of pictures.

import { go } from "./address.js";
import { button, count, el } from "./dom.js";

export function greeting({ images, collection }) {
  const many = images === 1 ? "The image" : `The ${count(images, "image")}`;
  return images ? `${many} of “${collection}” will be compared with it, by what can be seen.` : "";
}

/** Why there is no picture, and what to do about it. */
export function nothing(state, about) {
  if (!about.images) return empty(about);
  if (state.filter) {
    return told("No image matches", "The filter leaves none.", button("Without the filter", () => go({ filter: "" })));
  }
  return told("No other image", "All that is left is the same image.", button("Show it", () => go({ others: false })));
}

export function empty({ writable }) {
  if (!writable) return told("The collection is empty", "Whoever runs it can add images.");
  return told(
    "The collection is empty",
    "Add images here, or send a folder from the command line:",
    el("pre", {}, el("code", {}, `imagefinder index ~/Pictures -c ${document.baseURI.replace(/\/$/, "")}`)),
    el("a", { class: "button primary", href: "?view=add" }, "Add images"),
  );
}

/** What went wrong, in words; `again` asks once more. */
export function failure(error, state, again) {
  if (state.picture === undefined) {
    return told("The picture is not here any more", "An address has no picture in it. Choose or drop it again.");
  }
  const status = error.status ?? -1;
  const busy = status === 503 || status === 429;
  const title = busy ? "The service is busy" : status === 404 ? "Not found" : status ? "This did not work" : error.title;
  const retry = busy || status <= 0 || status >= 500;
  const text = error.message.replace(/^query: /, ""); // what that is stands beside it
  return told(title, sentence(text), retry && button("Try again", again));
}

/** With a capital letter, unless it begins with an id or a name, which are as they are. */
export function sentence(text) {
  const first = /^[a-z]+([ ,]|$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

function told(title, text, ...more) {
  return el("div", {}, el("h3", {}, title), text && el("p", {}, text), ...more);
}
