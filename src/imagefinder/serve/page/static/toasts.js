// Short messages at the edge of the window, some with a way back.

import { $, button, el } from "./dom.js";

const SECONDS = 8;
const region = $("toasts");

// An open dialog covers what is beside it and makes it deaf, so the messages go into it.
new MutationObserver(() => {
  const place = document.querySelector("dialog[open]") ?? document.body;
  if (region.parentNode !== place) place.append(region);
}).observe(document.body, { childList: true });

/** Show a message, with a button where there is an `action`; resolves to whether it was taken. */
export function toast(text, action = null, seconds = SECONDS) {
  return new Promise((resolve) => {
    const end = (taken) => {
      clearTimeout(timer);
      node.remove();
      resolve(taken);
    };
    const node = el("div", { class: "toast" }, el("span", { role: "status" }, text));
    if (action) node.append(button(action, () => end(true), { class: "link" }));
    node.append(button("×", () => end(false), { class: "close", "aria-label": "Dismiss" }));
    let timer = setTimeout(end, seconds * 1000, false);
    // whoever is about to use it has the time
    node.addEventListener("pointerenter", () => clearTimeout(timer));
    node.addEventListener("focusin", ({ target }) => target.matches(":focus-visible") && clearTimeout(timer));
    for (const away of ["pointerleave", "focusout"]) {
      node.addEventListener(away, () => {
        clearTimeout(timer);
        timer = setTimeout(end, (seconds * 1000) / 2, false);
      });
    }
    region.append(node);
  });
}
