// The routes of /v1: answers as values, and what goes wrong as a Problem that a person can read.

import { askForKey, currentKey } from "./key.js";

const TRIES = 4;
const LONGEST_WAIT = 5; // seconds that a busy service may ask for

export class Problem extends Error {
  /** `status` 0: the service could not be reached. */
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
  }
}

export async function get(path, options) {
  return (await ask(path, options)).json();
}

export async function post(path, form, options) {
  return (await ask(path, { ...options, method: "POST", body: form })).json();
}

export async function remove(path, options) {
  await ask(path, { ...options, method: "DELETE" });
}

export async function blob(path, options) {
  return (await ask(path, options)).blob();
}

/** Where something of an image is. */
export function imagePath(id, what = "") {
  const parts = id.split("/").map(encodeURIComponent).join("/");
  return `v1/images/${parts}${what && `/${what}`}`;
}

/** The answer. A service that is busy is asked again, and one that wants a key gets it. */
async function ask(path, options = {}) {
  for (let left = TRIES; ; ) {
    const key = currentKey();
    const answer = await send(path, options, key);
    if (answer.ok) return answer;
    const problem = await problemOf(answer);
    if (answer.status === 401) {
      await askForKey(problem.message, key);
      continue;
    }
    const wait = Number(answer.headers.get("retry-after") ?? NaN);
    const busy = answer.status === 503 || answer.status === 429;
    if (!busy || !(wait <= LONGEST_WAIT) || --left === 0) throw problem;
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
    options.signal?.throwIfAborted();
  }
}

async function send(path, options, key) {
  const headers = { Accept: "application/json, image/avif, image/webp, image/*", ...options.headers };
  if (key) headers.Authorization = `Bearer ${bytesOf(key)}`;
  try {
    return await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer", "Check that it still runs, then try again.");
  }
}

/** As a header can carry it: letters that stand for its bytes in UTF-8. */
function bytesOf(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

async function problemOf(answer) {
  try {
    const { title, detail } = await answer.json();
    return new Problem(answer.status, title, detail);
  } catch {
    return new Problem(answer.status, `The service answered ${answer.status}`, answer.statusText);
  }
}
