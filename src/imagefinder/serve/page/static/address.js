// The address in the browser is the state of the page, so that it can be shared and "back" works.
// Only a picture that was given to the page is not in it: that stays in this tab.

const LIMIT = 20; // pictures of this tab that "back" still finds
const pictures = new Map(); // key in the history's state -> picture
const listeners = [];

export const DEFAULTS = {
  view: "search", // search, collection, add
  id: "",
  url: "",
  text: "",
  box: null, // [x, y, width, height], fractions of the upright image
  filter: "",
  k: 24,
  others: false, // leave out the same image
  space: "",
  show: "", // the id whose details are open
};

/** The state that the address says; `picture` is null without one, undefined where it is lost. */
export function current() {
  const given = new URLSearchParams(location.search);
  const state = { ...DEFAULTS, picture: null };
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    if (!given.has(name)) continue;
    const value = given.get(name);
    if (name === "box") state.box = parseBox(value);
    else if (typeof usual === "number") state[name] = Number.parseInt(value, 10) || usual;
    else if (typeof usual === "boolean") state[name] = value === "1";
    else state[name] = value;
  }
  const key = history.state?.picture;
  if (key) state.picture = pictures.get(key);
  return state;
}

/** The address of a state: `changes` to what a fresh page has. */
export function href(changes) {
  const given = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = changes[name] ?? usual;
    if (value === usual || value === "") continue;
    given.set(name, name === "box" ? value.join(",") : value === true ? "1" : String(value));
  }
  return `?${given}`;
}

/** Change the state: a step that "back" takes back, or, with `replace`, none. */
export function go(changes, { replace = false } = {}) {
  const state = { ...current(), ...changes };
  const picture = state.picture ? keep(state.picture) : null;
  const address = new URL(href(state), document.baseURI);
  // `step`: "back" leads to where the page was before
  if (replace) history.replaceState({ ...history.state, picture }, "", address);
  else history.pushState({ step: true, picture }, "", address);
  tell();
}

/** Take back what was shown on top: by "back" where it was a step of this page. */
export function close() {
  if (history.state?.step) history.back();
  else go({ show: "" }, { replace: true });
}

/** `listener(state)` at each change, "back" and "forward" included. */
export function onChange(listener) {
  listeners.push(listener);
}

export function tell() {
  const state = current();
  for (const listener of listeners) listener(state);
}

addEventListener("popstate", tell);

/** Links within the page change the state instead of loading it anew; `data-show` opens details. */
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='?']");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (link.dataset.show) {
    go({ show: link.dataset.show });
    return;
  }
  history.pushState({ step: true }, "", link.href);
  tell();
});

function keep(picture) {
  if (!pictures.has(picture.key)) pictures.set(picture.key, picture);
  for (const oldest of pictures.keys()) {
    if (pictures.size <= LIMIT) break;
    pictures.delete(oldest);
  }
  return picture.key;
}

export function parseBox(text) {
  const numbers = text.split(",").map(Number);
  const [x, y, width, height] = numbers;
  const inside = numbers.length === 4 && numbers.every((n) => n >= 0 && n <= 1) && width > 0 && height > 0;
  return inside && x < 1 && y < 1 ? numbers : null;
}
