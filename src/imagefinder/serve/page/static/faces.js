// The pictures on the map, as soon as there is room for them.

import { imagePath } from "./api.js";
import { loaded, sizeFor } from "./pictures.js";

const MOST = 400; // pictures on the map; with more of them it has dots
const AT_ONCE = 6; // loaded at a time
const [SMALLEST, LARGEST] = [18, 72]; // pixels

export class Faces {
  constructor(arrived) {
    Object.assign(this, { arrived, known: new Map(), waiting: [], loading: 0 });
  }

  /** Pixels of a picture where so many are in view; 0: too many for pictures. */
  side(many, [width, height]) {
    if (many > MOST) return 0;
    const room = Math.sqrt((width * height) / Math.max(many, 1)) * 0.55;
    return Math.min(Math.max(room, SMALLEST), LARGEST);
  }

  /** The picture, once it is there. */
  get(id) {
    if (!this.known.has(id)) {
      this.known.set(id, null);
      this.waiting.push(id);
      this.load();
    }
    return this.known.get(id);
  }

  async load() {
    if (this.loading >= AT_ONCE || !this.waiting.length) return;
    const id = this.waiting.pop(); // what was asked for last is in view
    this.loading++;
    try {
      this.known.set(id, await loaded(imagePath(id, "thumbnail"), sizeFor(LARGEST)));
      this.arrived();
    } catch {
      // it stays a dot
    }
    this.loading--;
    this.load();
  }

  draw(pen, face, x, y, side) {
    const scale = side / Math.max(face.naturalWidth, face.naturalHeight);
    const [width, height] = [face.naturalWidth * scale, face.naturalHeight * scale];
    pen.drawImage(face, x - width / 2, y - height / 2, width, height);
  }
}
