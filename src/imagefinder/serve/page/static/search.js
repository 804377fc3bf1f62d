// The search view: the state says what is asked, and the pictures follow.

import { current } from "./address.js";
import { $, announce } from "./dom.js";
import { Gallery } from "./gallery.js";
import { openOptions, showOptions } from "./options.js";
import { showPreview, showQuery } from "./query.js";
import { isAsking, NOTHING, pages, questionOf, subjectOf } from "./question.js";
import { failure, greeting, nothing, sentence } from "./words.js";

const gallery = new Gallery($("gallery"), $("more"));
let asked = null; // the newest question
let subject = null; // what it is about, however it is asked
let running = null; // AbortController of its answer

export function showSearch(state, about) {
  const asking = isAsking(state);
  $("search").classList.toggle("asking", asking);
  $("start").hidden = asking;
  $("asking-title").hidden = !asking;
  $("lead").textContent = greeting(about);
  showOptions(state, about);
  showQuery(state, (box) => follow({ ...current(), box }, about));
  gallery.relink();
  if (questionOf(state) !== asked) answer(state, about);
}

/** Ask again, as when the collection has changed. */
export function askAgain() {
  asked = null;
}

/** While a box is moved: one search at a time, and the next with where the box is then. */
async function follow(state, about) {
  const busy = follow.next !== undefined;
  follow.next = state;
  if (busy) return;
  while (follow.next) {
    const now = follow.next;
    if (questionOf(now) !== asked) await answer(now, about);
    if (follow.next === now) follow.next = undefined;
  }
}

async function answer(state, about) {
  asked = questionOf(state);
  running?.abort();
  const mine = (running = new AbortController());
  const gently = subjectOf(state) === subject; // the pictures that stay keep their place
  const first = subject === null;
  subject = subjectOf(state);
  wait(gently);
  try {
    const found = await pages(state, mine.signal);
    if (mine.signal.aborted) return;
    say(found.title, found.note);
    showPreview(found.preview);
    const any = await gallery.show(found.pages, { picked: isAsking(state), gently });
    if (!any) showState(nothing(state, about));
    // what had the focus may be gone with the page before; who has just come begins at the top
    if (document.activeElement === document.body && !gently && !first) $("results-title").focus({ preventScroll: true });
  } catch (error) {
    if (error.name === "AbortError") return;
    asked = null; // asking the same once more is a way out
    fail(error, state, about);
  } finally {
    if (running === mine) $("results").setAttribute("aria-busy", "false");
  }
}

function wait(gently) {
  $("results").setAttribute("aria-busy", "true");
  $("filter-error").textContent = "";
  showState(null);
  if (gently) return;
  scrollTo({ top: 0 });
  gallery.clear({ waiting: true });
  say("Searching …", "");
}

function fail(error, state, about) {
  say(NOTHING, "");
  gallery.clear();
  if (/^filter\b/i.test(error.message)) {
    openOptions(); // it stands there, too
    $("filter-error").textContent = sentence(error.message);
  }
  showState(failure(error, state, () => answer(state, about)));
}

function say(title, note) {
  $("results-title").textContent = title;
  $("results-note").textContent = note;
  announce(title);
}

/** Instead of pictures: an element, or null. */
function showState(content) {
  if ($("results-state").contains(document.activeElement)) $("results-title").focus({ preventScroll: true });
  $("results-state").hidden = content === null;
  $("results-state").replaceChildren(...(content ? [content] : []));
  if (content) announce(content.innerText);
}
