// Pictures page by page: the next page comes when one scrolls near its end, or by a button.

import { card } from "./card.js";
import { el } from "./dom.js";
import { toast } from "./toasts.js";

export class Gallery {
  /** `list` is an <ol>, `more` a button. */
  constructor(list, more) {
    this.list = list;
    this.more = more;
    this.cards = new Map(); // key -> <li>
    this.run = 0; // counts what was shown; pages of an earlier one are dropped
    more.addEventListener("click", () => this.another());
    new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && this.another(), {
      rootMargin: "800px",
    }).observe(more);
  }

  /** Show what `pages` yields, {items, last} each, from the first; whether there is anything. `picked`: the images are
   * an answer, not a choice to start from. `gently`: cards that stay are not made anew. */
  async show(pages, { picked = true, gently = false } = {}) {
    this.run++;
    this.pages = pages[Symbol.asyncIterator]();
    this.picked = picked;
    const kept = gently ? this.cards : new Map();
    this.cards = new Map();
    return this.next((cards) => this.list.replaceChildren(...cards), kept);
  }

  /** With `waiting`, the room of the cards to come. */
  clear({ waiting = false } = {}) {
    this.run++;
    this.pages = null;
    this.cards = new Map();
    this.more.hidden = true;
    const room = waiting ? Array.from({ length: 12 }, () => el("li", { class: "card waiting", "aria-hidden": "true" })) : [];
    this.list.replaceChildren(...room);
  }

  /** Cards that stay where the state changes lead on from the new one. */
  relink() {
    for (const made of this.cards.values()) made.relink();
  }

  another() {
    this.next().catch((error) => error.name === "AbortError" || toast("No more images could be loaded. Try it again."));
  }

  async next(put = (cards) => this.list.append(...cards), kept = new Map()) {
    if (!this.pages || this.loading === this.run) return false;
    const run = (this.loading = this.run);
    try {
      const { value } = await this.pages.next();
      if (run !== this.run) return false;
      const { items, last } = value ?? { items: [], last: true };
      put(items.map((item) => this.cardOf(item, kept)));
      this.more.hidden = last;
      if (last) this.pages = null;
      this.ahead(run);
      return items.length > 0;
    } finally {
      if (this.loading === run) this.loading = null;
    }
  }

  cardOf(item, kept) {
    const made = kept.get(item.id) ?? card(item, this.picked);
    if (kept.has(item.id)) made.update(item);
    this.cards.set(item.id, made);
    return made;
  }

  /** The observer tells of changes only: with few pictures on a tall window the end stays in view. */
  ahead(run) {
    requestAnimationFrame(() => {
      if (run !== this.run || this.more.hidden) return;
      if (this.more.getBoundingClientRect().top < innerHeight + 800) this.another();
    });
  }
}
