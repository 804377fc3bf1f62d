// How many hits, of which model, with or without the same image, and the filter.

import { current, go } from "./address.js";
import { $, el } from "./dom.js";
import { FilterBox } from "./filter.js";

const COUNTS = [12, 24, 60, 200, 1000];

const filter = new FilterBox($("filter"), $("filter-list"), (text) => go({ filter: text }));

export function showOptions(state, { models, max_results: most, textual }) {
  const counts = [...new Set([...COUNTS, state.k])].filter((k) => k <= most).sort((a, b) => a - b);
  $("count").replaceChildren(...counts.map((k) => choice(k, k, k === state.k)));
  $("space-row").hidden = models.length < 2;
  $("space").replaceChildren(
    ...models.map(({ name, default: usual }) => choice(usual ? "" : name, name, usual ? !state.space : name === state.space)),
  );
  $("others").checked = state.others;
  $("text-form").hidden = !textual;
  for (const name of ["text", "url"]) if (document.activeElement !== $(name)) $(name).value = state[name];
  filter.set(state.filter);
}

/** Or close them. On a phone; elsewhere there is room for them. */
export function openOptions(open = true) {
  $("options").classList.toggle("open", open);
  $("options-button").setAttribute("aria-expanded", open);
}

function choice(value, label, selected) {
  return el("option", { value: String(value), selected }, String(label));
}

$("count").addEventListener("change", () => go({ k: Number($("count").value) }));
$("space").addEventListener("change", () => go({ space: $("space").value }));
$("others").addEventListener("change", () => go({ others: $("others").checked }));
$("options-button").addEventListener("click", () => openOptions(!$("options").classList.contains("open")));
$("options").addEventListener("submit", (event) => event.preventDefault());
$("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("text").value.trim() !== current().text) go({ view: "search", text: $("text").value.trim(), show: "" });
});
