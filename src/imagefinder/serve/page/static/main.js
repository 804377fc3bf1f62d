// The page: the address says which view is shown and what it shows.

import "./intake.js";
import { about } from "./about.js";
import { showAdd } from "./add.js";
import { current, onChange } from "./address.js";
import { onCollectionChange } from "./changes.js";
import { refreshCollection, showCollection } from "./collection.js";
import { showDetails } from "./details.js";
import { $, el } from "./dom.js";
import { askAgain, showSearch } from "./search.js";
import { failure } from "./words.js";

const VIEWS = { search: showSearch, collection: showCollection, add: showAdd };
let known = null; // what the service says of itself
let shown = null; // the view

function show(state) {
  const view = state.view in VIEWS ? state.view : "search";
  for (const name of Object.keys(VIEWS)) $(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = [titleOf(view, state), "ImageFinder"].filter(Boolean).join(" - ");
  const fresh = view !== shown;
  shown = view;
  VIEWS[view](state, known, fresh);
  showDetails(state, known);
}

function titleOf(view, { picture, id, url, text, filter }) {
  if (view === "collection") return known.collection;
  if (view === "add") return "Add images";
  return picture?.name || id || url || text || filter;
}

/** What was shown of the collection is asked for again when it is needed. */
onCollectionChange(async () => {
  askAgain();
  known = await about().catch(() => known); // what was known is better than nothing
  if (shown === "collection") refreshCollection(known);
});

async function begin() {
  try {
    known = await about();
  } catch (error) {
    $("main").replaceChildren(el("div", { class: "state" }, failure(error, current(), () => location.reload())));
    return;
  }
  onChange(show);
  show(current());
}

begin();
