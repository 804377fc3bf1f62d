// The collection: what is in it, a random sample, a map, and what was skipped.

import { get } from "./api.js";
import { $, button, count, el } from "./dom.js";
import { bytes } from "./details.js";
import { Gallery } from "./gallery.js";
import { showMap } from "./map.js";
import { empty, sentence } from "./words.js";

const SAMPLE = 16;
const SKIPPED = 20; // rows shown at once

let changing = []; // {place, show}: what is shown again when images come or go

/** Made anew at each visit: it may have changed. */
export function showCollection(state, about, fresh) {
  if (!fresh) return;
  changing = [];
  const skipped = el("div", {});
  if (!about.images) {
    const todo = el("div", { class: "state" }, empty(about));
    $("collection").replaceChildren(el("h1", {}, about.collection), figures(about), todo, part("skipped", "Skipped", skipped));
    fill(skipped, showSkipped);
    return;
  }
  const sample = el("ol", { class: "gallery small" });
  const map = el("div", { class: "map" });
  const formats = el("div", {});
  $("collection").replaceChildren(
    el("h1", {}, about.collection),
    figures(about),
    part("formats", "Formats", formats),
    part("map", "Map", el("p", { class: "note" }, "Images that look alike are close to each other. Point at one to see it; click to open it. Ctrl and the wheel zoom."), map),
    part("sample", "A random sample", button("Show others", () => fill(sample, showSample), { class: "quiet" }), sample),
    part("skipped", "Skipped", skipped),
  );
  fill(sample, showSample);
  fill(skipped, showSkipped);
  changing = [
    { place: formats, show: showFormats },
    { place: map, show: showMap },
  ];
  for (const { place, show } of changing) fill(place, show);
}

/** Images came or went while it is shown; the sample stays as it is. */
export function refreshCollection(about) {
  if (!about.images || !changing.length) return showCollection({}, about, true);
  $("collection").querySelector(".figures").replaceWith(figures(about));
  for (const { place, show } of changing) fill(place, show);
}

function part(name, title, ...more) {
  const id = `${name}-title`;
  return el("section", { class: `part ${name}-part`, "aria-labelledby": id }, el("h2", { id }, title), ...more);
}

async function fill(place, show) {
  place.setAttribute("aria-busy", "true");
  try {
    await show(place);
  } catch (error) {
    place.replaceChildren(el("p", { class: "error" }, sentence(error.message)));
  }
  place.setAttribute("aria-busy", "false");
}

function figures(about) {
  const facts = [
    ["Images", about.images.toLocaleString("en")],
    ["Skipped", about.skipped.toLocaleString("en")],
    ["Model", about.model],
    ["Dimensions", about.dim],
    ...others(about),
    ...(about.disk_bytes === null ? [] : [["On disk", bytes(about.disk_bytes)]]),
    ["Version", about.version],
  ];
  return el("dl", { class: "figures" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, String(value)))));
}

/** The models beside the one in use, and what they lack. */
function others({ models, model }) {
  const named = models.filter(({ name }) => name !== model);
  const words = named.map(({ name, behind }) => (behind ? `${name} (lacks ${count(behind, "image")})` : name));
  return named.length ? [["Other models", words.join(", ")]] : [];
}

async function showFormats(place) {
  const { fields, sampled, images } = await get("v1/fields");
  const format = fields.find((field) => field.name === "format");
  const rows = (format?.values ?? []).map(({ value, count: number }) => {
    const share = el("i");
    share.style.width = `${(100 * number) / sampled}%`;
    return el("li", {}, el("span", {}, value), el("span", { class: "bar", "aria-hidden": "true" }, share), el("span", { class: "number" }, sampled < images ? `${Math.round((100 * number) / sampled)} %` : number.toLocaleString("en")));
  });
  const note = sampled < images && el("p", { class: "note" }, `Of a sample of ${count(sampled, "image")}.`);
  place.replaceChildren(el("ul", { class: "formats-list" }, rows), ...(note ? [note] : []));
}

async function showSample(place) {
  const { images } = await get(`v1/images?sample=${SAMPLE}`);
  async function* once() {
    yield { items: images, last: true };
  }
  await new Gallery(place, button("", null)).show(once());
}

async function showSkipped(place) {
  const { skipped } = await get("v1/skipped");
  if (!skipped.length) {
    place.replaceChildren(el("p", { class: "note" }, "No image was skipped while indexing."));
    return;
  }
  const rows = el("tbody");
  const more = button("Show more", () => add());
  const add = () => {
    const from = rows.childElementCount;
    rows.append(...skipped.slice(from, from + SKIPPED).map(({ uri, reason }) => el("tr", {}, el("td", {}, uri), el("td", {}, reason))));
    more.hidden = rows.childElementCount >= skipped.length;
  };
  const head = el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Image"), el("th", { scope: "col" }, "Why it was skipped")));
  place.replaceChildren(el("p", { class: "note" }, `${count(skipped.length, "image")} could not be indexed.`), el("table", {}, head, rows), more);
  add();
}
