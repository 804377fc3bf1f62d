// Images come and go: who shows something of the collection hears of it here.

const CHANGED = "collectionchange";

/** Tell that the collection has other images now. */
export function changed() {
  dispatchEvent(new Event(CHANGED));
}

export function onCollectionChange(listener) {
  addEventListener(CHANGED, listener);
}
