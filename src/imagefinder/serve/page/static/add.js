// Adding images: several files, each with its outcome, and a way to take one out again.

import { current } from "./address.js";
import { imagePath, post } from "./api.js";
import { changed } from "./changes.js";
import { $, button, count, el } from "./dom.js";
import { bytes } from "./details.js";
import { imagesOf } from "./picture.js";
import { picture } from "./pictures.js";
import { removeImage } from "./removal.js";
import { sentence } from "./words.js";

const AT_ONCE = 2; // uploads at a time
const SEARCH = "The next search finds what was added.";

let tally = null; // what was given since the view was made
const queue = [];
let uploading = 0;

export function showAdd(state, about) {
  if (!about.writable) {
    $("add").replaceChildren(el("h1", {}, "Add images"), el("p", { class: "state" }, "Images cannot be added here: the service or your key allows searching only."));
    return;
  }
  if (!tally) build(about);
}

function build(about) {
  tally = { given: 0, done: 0, added: 0, there: 0, skipped: 0 };
  const input = el("input", { id: "add-files", type: "file", accept: "image/*,.heic,.heif,.avif", multiple: true, hidden: true });
  const zone = button("", () => input.click(), { class: "dropzone large", id: "add-choose" });
  zone.append(el("b", {}, "Choose images"), el("span", { class: "hint" }, ` or drop them here, ${bytes(about.max_upload_bytes)} each at most`));
  const progress = el("progress", { id: "add-progress", max: "1", value: "0", hidden: true, "aria-label": "Images added" });
  $("add").replaceChildren(
    el("h1", {}, "Add images"),
    el("p", { class: "note" }, "The collection keeps a copy of them. Their names become their ids."),
    zone,
    input,
    progress,
    el("p", { id: "add-summary", role: "status" }),
    el("ol", { id: "add-list", class: "uploads" }),
  );
  const take = (files) => files.forEach((file) => enqueue(file, about));
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  // anywhere: what falls beside the list would take the browser away from here
  addEventListener("dragover", (event) => current().view === "add" && event.preventDefault());
  addEventListener("drop", (event) => {
    if (current().view !== "add") return;
    event.preventDefault();
    const images = imagesOf(event.dataTransfer);
    take(images);
    if (!images.length) $("add-summary").textContent = "That is no image. Drop picture files, such as JPEG or PNG.";
  });
}

function enqueue(file, about) {
  const row = el("li", {}, el("span", { class: "face" }), el("span", { class: "name" }, file.name, el("small", {}, bytes(file.size))), el("span", { class: "outcome" }, "Waiting"));
  $("add-list").prepend(row);
  tally.given++;
  queue.push({ file, row, about });
  work();
}

async function work() {
  summarise();
  if (uploading >= AT_ONCE || !queue.length) return;
  uploading++;
  const { file, row, about } = queue.shift();
  say(row, "", "Adding …");
  try {
    if (file.size > about.max_upload_bytes) throw new Error(`${bytes(file.size)}, and the service takes ${bytes(about.max_upload_bytes)} at most`);
    const form = new FormData();
    form.set("image", file, file.name);
    told(row, await post("v1/images", form));
  } catch (error) {
    tally.skipped++;
    say(row, "bad", sentence(error.message));
  }
  tally.done++;
  uploading--;
  if (!queue.length && !uploading) changed();
  work();
}

function told(row, { added, updated, unchanged, skipped }) {
  const id = [...added, ...updated, ...unchanged][0];
  if (id === undefined) {
    tally.skipped++;
    say(row, "bad", `Skipped: ${skipped[0].reason}`);
    return;
  }
  tally.added += added.length + updated.length;
  tally.there += unchanged.length;
  row.dataset.id = id;
  row.querySelector(".face").append(picture(imagePath(id, "thumbnail"), 128, ""));
  say(row, "good", unchanged.length ? "It is there already" : "Added", button("Delete", () => takeOut(id, row), { "aria-label": `Delete ${id}` }));
}

async function takeOut(id, row) {
  if (await removeImage(id)) row.remove();
}

function say(row, kind, text, ...more) {
  const outcome = row.querySelector(".outcome");
  outcome.className = `outcome ${kind}`;
  outcome.replaceChildren(el("span", {}, text), ...more);
}

function summarise() {
  const { given, done, added, there, skipped } = tally;
  $("add-progress").hidden = done === given;
  $("add-progress").max = given;
  $("add-progress").value = done;
  if (!given) return;
  const parts = [count(added, "image") + " added", there && `${there} there already`, skipped && `${skipped} skipped`].filter(Boolean).join(", ");
  $("add-summary").textContent = done < given ? `${done} of ${given}` : `${parts}. ${added ? SEARCH : ""}`;
}
