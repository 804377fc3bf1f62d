// What a state asks of the service, and its answer: pages of pictures.

import { get, post } from "./api.js";
import { count } from "./dom.js";
import { prepared } from "./shrink.js";

export const NOTHING = "No results";
const PAGE = 60; // pictures shown at once; the next ones come when one scrolls
const SHOWN = /^image\/(jpeg|png|gif|webp|avif|bmp)$/; // formats that every browser reads
const SAMPLE = 18; // to start from

/** Whether anything is looked for; else there is a sample of the collection. */
export function isAsking(state) {
  return isQuery(state) || state.filter !== "";
}

function isQuery({ picture, id, url, text }) {
  return picture !== null || Boolean(id || url || text);
}

/** Two states with the same question have the same answer. */
export function questionOf(state) {
  const { id, url, text, box, filter, k, others, space } = state;
  const picture = state.picture === null ? "" : (state.picture?.key ?? "lost");
  return JSON.stringify([picture, id, url, text, box, filter, k, others, space]);
}

/** What is asked about, however it is asked. */
export function subjectOf(state) {
  const { picture, id, url, text, view } = state;
  return JSON.stringify([picture?.key, id, url, text, view, isAsking(state)]);
}

/** {title, note, preview, pages}: `pages` yields {items, last}, `items` being hits or image records. */
export async function pages(state, signal) {
  if (isQuery(state)) return hits(state, signal);
  if (state.filter) return listed(state, signal);
  return sample(signal);
}

async function hits(state, signal) {
  if (state.picture === undefined) throw new Error("the picture is lost");
  const answer = await post("v1/search", await formOf(state), { signal });
  return {
    title: answer.hits.length ? count(answer.hits.length, "closest image").replace(/^1 /, "The ") : NOTHING,
    note: answer.hits.length ? `Best first, in ${Math.round(answer.took_ms)} ms` : "",
    preview: answer.previews?.[0],
    pages: slices(answer.hits),
  };
}

async function* slices(items) {
  for (let start = 0; start < items.length; start += PAGE) {
    yield { items: items.slice(start, start + PAGE), last: start + PAGE >= items.length };
  }
}

async function listed(state, signal) {
  const first = await page(state.filter, "", signal);
  const many = first.images.length;
  const title = first.next !== null ? "Images that match the filter" : `${count(many, "image")} match${many === 1 ? "es" : ""} the filter`;
  return { title: many ? title : NOTHING, note: "", pages: follows(first, state.filter, signal) };
}

/** A page that did not come can be asked for once more; after an error a generator would be at its end. */
function follows(first, filter, signal) {
  let after = "";
  const next = async () => {
    const answer = after ? await page(filter, after, signal) : first;
    after = answer.next;
    return { value: { items: answer.images, last: after === null } };
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function page(filter, after, signal) {
  return get(`v1/images?${new URLSearchParams({ filter, after, limit: PAGE })}`, { signal });
}

async function sample(signal) {
  const { images } = await get(`v1/images?sample=${SAMPLE}`, { signal });
  return { title: images.length ? "Or start from one of these" : "Nothing here yet", note: "", pages: slices(images) };
}

async function formOf(state) {
  const form = new FormData();
  form.set("k", state.k);
  for (const name of ["id", "url", "text", "filter", "space"]) if (state[name]) form.set(name, state[name]);
  if (state.others) form.set("exclude_same", "true");
  let box = state.box;
  if (state.picture) {
    const ready = await prepared(state.picture, state.box);
    form.set("image", ready.file, state.picture.name);
    box = ready.box;
  }
  if (box) form.set("box", box.join(","));
  // the page cannot show what it must not fetch, or what this browser cannot read
  if (state.url || (state.picture && !(await canShow(state.picture)))) form.set("preview", "true");
  return form;
}

/** Without decoding it where that is known: the search waits for this. */
async function canShow(picture) {
  return SHOWN.test(picture.file.type) || (await picture.bitmap()) !== null;
}
