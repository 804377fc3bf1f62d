// What is sent of a picture. A model looks at a few hundred pixels a side: a photograph of 12
// megapixels, 4 MB, is sent as 1280 pixels, 0.3 MB, unless the service is on this machine, where
// sending is quicker than decoding here. Of a part of a picture only that part is sent.

const SIDE = 1280; // pixels; with the qualities below even noise and pale drawings keep a cosine of 0.99
const SMALL = 400_000; // bytes that are not worth decoding
const PHOTOGRAPH = 0.97; // quality of what was a JPEG already
const EXACT = 1; // of the rest: below it browsers halve the colours' pixels, and most is lost by that
const HERE = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

/** {file, box}: what to send, and the box that is still to be cut there. */
export async function prepared(picture, box) {
  const bitmap = box || (!HERE && picture.file.size > SMALL) ? await picture.bitmap() : null;
  if (!bitmap) return { file: picture.file, box };
  const [x, y, width, height] = box ?? [0, 0, 1, 1];
  const left = Math.floor(x * bitmap.width);
  const top = Math.floor(y * bitmap.height);
  const across = Math.max(1, Math.min(bitmap.width, Math.round((x + width) * bitmap.width)) - left);
  const down = Math.max(1, Math.min(bitmap.height, Math.round((y + height) * bitmap.height)) - top);
  const scale = Math.min(1, SIDE / Math.max(across, down));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(across * scale));
  canvas.height = Math.max(1, Math.round(down * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  // the service puts transparent pictures on white, too
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(bitmap, left, top, across, down, 0, 0, canvas.width, canvas.height);
  const quality = picture.file.type === "image/jpeg" ? PHOTOGRAPH : EXACT;
  const file = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  const worth = file && (box || file.size < picture.file.size);
  return worth ? { file, box: null } : { file: picture.file, box };
}
