// A photograph with the camera of a laptop; phones have a better way, their own camera program.

import { button, el } from "./dom.js";
import { Picture } from "./picture.js";

/** Whether the page can use a camera itself: not on phones, and not over plain HTTP. */
export function canPhotograph() {
  return Boolean(navigator.mediaDevices?.getUserMedia) && !matchMedia("(pointer: coarse)").matches;
}

/** The picture; null when nobody took one. */
export async function photograph() {
  const video = el("video", { autoplay: true, playsinline: true, muted: true, "aria-label": "What the camera sees" });
  const told = el("p", { class: "note", role: "status" }, "Waiting for the camera …");
  let taken = null;
  const shutter = button("Take the photograph", take, { class: "primary", disabled: true });
  const box = el(
    "dialog",
    { id: "camera-dialog", "aria-labelledby": "camera-title" },
    el("h2", { id: "camera-title" }, "Photograph"),
    video,
    told,
    el("div", { class: "row end" }, button("Cancel", () => box.close()), shutter),
  );
  document.body.append(box);
  box.showModal();
  const closed = new Promise((resolve) => box.addEventListener("close", resolve, { once: true }));

  async function take() {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
    taken = blob && new Picture(blob, "photograph.jpg");
    box.close();
  }

  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = stream;
    await video.play();
    told.textContent = "";
    shutter.disabled = false;
    shutter.focus();
  } catch {
    told.textContent = "There is no camera, or the browser may not use it. Choose a file instead.";
  }
  await closed;
  for (const track of stream?.getTracks() ?? []) track.stop();
  box.remove();
  return taken;
}
