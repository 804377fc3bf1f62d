// Removing an image: it disappears at once, and is removed when nobody has taken that back.

import { imagePath, remove } from "./api.js";
import { changed } from "./changes.js";
import { toast } from "./toasts.js";
import { sentence } from "./words.js";

const pending = new Set(); // ids that are to go

/** Whether an image is about to go, so that what shows it now need not. */
export function isLeaving(id) {
  return pending.has(id);
}

/** Whether it was removed in the end. */
export async function removeImage(id) {
  show(id, false);
  pending.add(id);
  const undone = await toast(`${id} is removed`, "Undo");
  if (!pending.delete(id)) return true; // the page was left meanwhile
  try {
    if (!undone) await remove(imagePath(id));
  } catch (error) {
    show(id, true);
    toast(`${id} could not be removed. ${sentence(error.message)}`);
    return false;
  }
  if (undone) show(id, true);
  else changed();
  return !undone;
}

function show(id, is) {
  for (const card of document.querySelectorAll(`[data-id="${CSS.escape(id)}"]`)) card.hidden = !is;
}

// whoever leaves the page has not taken it back
addEventListener("pagehide", () => {
  for (const id of pending) remove(imagePath(id), { keepalive: true }).catch(() => {});
  pending.clear();
});
