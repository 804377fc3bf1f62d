// A hit, or an image of the collection, in a gallery.

import { current, href } from "./address.js";
import { el } from "./dom.js";
import { picture, sizeFor } from "./pictures.js";
import { isLeaving } from "./removal.js";

const WIDTH = 200; // pixels, about

/** An <li>. `picked`: a click on the picture shows the details; else it searches with it. */
export function card(item, picked) {
  const score = el("span", { class: "score" });
  const bar = el("i");
  const face = el("a", { class: "face", "data-show": picked ? item.id : null, "aria-label": picked ? null : `Similar to ${item.id}` });
  const similar = picked && el("a", { class: "similar", "aria-label": `Similar to ${item.id}` }, "Similar");
  face.append(
    el("span", { class: "frame" }, picture(item.thumbnail, sizeFor(WIDTH), "")),
    el("span", { class: "bar", "aria-hidden": "true" }, bar),
    el("span", { class: "caption" }, score, el("span", { class: "id", title: item.id }, item.id)),
  );
  const made = el("li", { class: "card", "data-id": item.id, hidden: isLeaving(item.id) }, face, similar);
  made.relink = () => {
    const state = current();
    const like = href({ id: item.id, others: true, k: state.k, filter: state.filter, space: state.space });
    face.href = picked ? href({ ...state, show: item.id }) : like;
    if (similar) similar.href = like;
  };
  made.update = (hit) => {
    score.textContent = hit.score === undefined ? "" : hit.score.toFixed(3);
    score.title = hit.confidence == null ? "" : `Shows the same kind of thing: ${Math.round(hit.confidence * 100)} %`;
    score.hidden = hit.score === undefined;
    bar.parentNode.hidden = hit.score === undefined;
    bar.style.width = `${Math.max(0, hit.score ?? 0) * 100}%`;
  };
  made.relink();
  made.update(item);
  return made;
}
