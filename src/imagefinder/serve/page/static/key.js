// The API key of this tab, asked for when the service wants one.

import { el } from "./dom.js";

const PLACE = "imagefinder-key";
let asking = null; // a promise while the question stands

let here = ""; // for a browser that keeps nothing: it is asked for again after a reload

export function currentKey() {
  try {
    return sessionStorage.getItem(PLACE) ?? here;
  } catch {
    return here;
  }
}

function keep(given) {
  here = given;
  try {
    sessionStorage.setItem(PLACE, given);
  } catch {
    // see above
  }
}

/** Resolves once there is another key than `tried`; many requests may wait for one answer. */
export function askForKey(reason, tried) {
  if (currentKey() !== tried) return Promise.resolve();
  asking ??= dialog(reason).then((given) => {
    keep(given);
    asking = null;
  });
  return asking;
}

function dialog(reason) {
  return new Promise((resolve) => {
    const input = el("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
    const form = el(
      "form",
      {
        method: "dialog",
        onsubmit: (event) => {
          event.preventDefault();
          if (!input.value.trim()) return;
          box.close();
          box.remove();
          resolve(input.value.trim());
        },
      },
      el("h2", { id: "key-title" }, "This collection needs a key"),
      reason.startsWith("This needs")
        ? el("p", {}, "Ask whoever runs the service for an API key.")
        : el("p", { class: "error", role: "alert" }, `${reason}.`),
      el("label", { for: "key" }, "API key"),
      input,
      el("p", { class: "note" }, "It is kept until this tab is closed, and sent to this service only."),
      el("div", { class: "row end" }, el("button", { class: "primary" }, "Open the collection")),
    );
    const box = el("dialog", { id: "key-dialog", class: "small", "aria-labelledby": "key-title" }, form);
    box.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
    // browsers close it at the second Escape all the same
    box.addEventListener("close", () => box.isConnected && box.showModal());
    document.body.append(box);
    box.showModal();
  });
}
