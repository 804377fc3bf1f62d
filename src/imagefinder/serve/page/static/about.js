// What the service says of itself.

import { get } from "./api.js";
import { $, count } from "./dom.js";

/** GET /v1/status with `models` and `textual`: whether a model understands words. */
export async function about() {
  const [status, { models }] = await Promise.all([get("v1/status"), get("v1/models")]);
  $("where").textContent = `${status.collection} · ${count(status.images, "image")}`;
  $("add-link").hidden = !status.writable;
  $("url-form").hidden = !status.fetches_urls;
  return { ...status, models, textual: models.some((model) => model.text) };
}
