// How many hits, of which models, with or without the same image, and the filter.

import { current, go } from "./address.js";
import { $, el } from "./dom.js";
import { FilterBox } from "./filter.js";

const COUNTS = [12, 24, 60, 200, 1000];

let models = []; // of the collection, as the service tells them

const filter = new FilterBox($("filter"), $("filter-list"), (text) => go({ filter: text }));

export function showOptions(state, { models: known, max_results: most, textual }) {
  models = known;
  const counts = [...new Set([...COUNTS, state.k])].filter((k) => k <= most).sort((a, b) => a - b);
  $("count").replaceChildren(...counts.map((k) => choice(k, k, k === state.k)));
  $("space-row").hidden = models.length < 2;
  const able = state.text ? models.filter((model) => model.text) : models;
  const all = able.map(({ name }) => name).join(",");
  const choices = able.map((model) => choice(valueOf(model), model.name, valueOf(model) === state.space));
  if (able.length > 1) choices.push(choice(all, "All together", all === state.space));
  $("space").replaceChildren(...choices);
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

/** The model that searches use by themselves needs no word in the address. */
function valueOf({ name, default: usual }) {
  return usual ? "" : name;
}

/** The chosen model, or one that understands words where that does not. */
function spaceForWords(space) {
  const able = models.filter((model) => model.text);
  const chosen = able.find((model) => valueOf(model) === space);
  return chosen || !able.length ? space : valueOf(able[0]);
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
  const { text, space } = current();
  const words = $("text").value.trim();
  if (words !== text) go({ view: "search", text: words, space: words ? spaceForWords(space) : space, show: "" });
});
