// A picture that somebody gave to the page.

let number = 0;

export class Picture {
  /** `file` is a File or Blob. */
  constructor(file, name) {
    this.key = `${Date.now()}-${++number}`;
    this.file = file;
    this.name = name || file.name || "the picture";
    this._bitmap = undefined;
  }

  /** For an <img>; the caller revokes it. */
  address() {
    return URL.createObjectURL(this.file);
  }

  /** Decoded and upright; null where this browser cannot, as most cannot read HEIC. */
  bitmap() {
    this._bitmap ??= createImageBitmap(this.file).catch(() => null);
    return this._bitmap;
  }
}

/** The first picture of a drop or a paste; null without one. */
export function pictureOf(transfer) {
  const file = imagesOf(transfer)[0];
  return file ? new Picture(file) : null;
}

/** All image files of a drop. A file whose type the system does not know may be one, too. */
export function imagesOf(transfer) {
  return [...(transfer?.files ?? [])].filter((file) => !file.type || file.type.startsWith("image/"));
}

/** The address that was dropped, as from another page's picture; empty without one. */
export function addressOf(transfer) {
  const text = (transfer?.getData("text/uri-list") || transfer?.getData("text/plain") || "").trim().split("\n")[0];
  return /^https?:\/\/\S+$/.test(text) ? text : "";
}
