// What the server says: single answers, and the stream of changes read by `fetch` (an EventSource can carry no token).

/** Where the API lies, seen from the page: the server says so, relatively, so that a path prefix or a tunnel works. */
const API = globalThis.document?.documentElement.dataset.api || "pd/api/v2/";
/** Pauses before the next try: quick at first, because a leader change takes about a second. */
const RETRY_MS = [250, 500, 1_000, 2_000, 4_000];
/** Polling when the server has no room for a stream. */
const POLL_MS = 10_000;
/** Streams of all tabs of this browser together: it has six connections to a server, and pages need some of them to load. */
const TABS_MAX = 4;
/** No byte for so long: the connection is dead even if nobody has said so. The server comments each 10 s. */
const SILENCE_MS = 25_000;
/** A line longer than this is no answer of ours. */
const LINE_MAX = 8 * 1024 * 1024;

/** An answer that is an error. */
export class Failure extends Error {
  /** @param {string} path @param {number} status 0: nobody answered @param {string} code @param {string} text @param {string | null} request */
  constructor(path, status, code, text, request) {
    super(text);
    this.path = path;
    this.status = status;
    this.code = code;
    this.request = request;
  }
}

/** @typedef {{event: string, id: string, data: string}} Message */

/** Cuts a stream of text into messages. */
export class Decoder {
  #rest = "";
  #event = "";
  #id = "";
  /** @type {string[]} */
  #data = [];

  /** @param {string} text @returns {Message[]} */
  push(text) {
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LINE_MAX) throw new Error("a line of the stream is too long");
    const messages = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) messages.push({ event: this.#event || "message", id: this.#id, data: this.#data.join("\n") });
        this.#event = "";
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (name === "event") this.#event = value;
      else if (name === "id") this.#id = value;
      else if (name === "data") this.#data.push(value);
    }
    return messages;
  }
}

/** The answer to `GET path`. @param {string} path below the v2 API @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function ask(path, signal) {
  const response = await reach(path, { signal });
  return response.json();
}

/** @param {string} path @param {RequestInit} options */
async function reach(path, options) {
  let response;
  try {
    response = await fetch(API + path, { cache: "no-store", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure(path, 0, "", "nobody answers", null);
  }
  if (response.ok) return response;
  const text = await response.text();
  let told = { code: "", message: text.trim() };
  try {
    const body = JSON.parse(text);
    if (body && typeof body === "object") told = { code: String(body.code ?? ""), message: String(body.message ?? text) };
  } catch {
    // The text is all that there is.
  }
  throw new Failure(path, response.status, told.code, told.message || response.statusText, response.headers.get("x-request-id"));
}

/**
 * Follows `topics` until it is told to stop.
 * @param {string[]} topics
 * @param {{message: (message: Message) => void, state: (state: "open" | "broken" | "full" | "crowded") => void, alive: () => void,
 *          hash: (hash: string) => void, poll: (signal: AbortSignal) => Promise<void>}} on
 * @returns {() => void} stops
 */
export function follow(topics, on) {
  const stop = new AbortController();
  run(topics, on, stop.signal);
  return () => stop.abort();
}

/** @param {string[]} topics @param {Parameters<typeof follow>[1]} on @param {AbortSignal} stop */
async function run(topics, on, stop) {
  let tries = 0;
  let last = "";
  const seen = (/** @type {string} */ id) => {
    tries = 0;
    last = id || last;
  };
  while (!stop.aborted) {
    /** @type {"broken" | "full" | "crowded"} */
    let state = "broken";
    try {
      if (!(await inPlace(() => read(topics, last, on, stop, seen)))) state = "crowded";
    } catch (error) {
      if (error instanceof Failure && error.status === 503) state = "full";
    }
    if (stop.aborted) return;
    on.state(state);
    if (state !== "broken") await on.poll(stop).catch(() => {});
    await sleep(state === "broken" ? RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] : POLL_MS, stop);
    tries += 1;
  }
}

/**
 * Runs `body` in one of the places that all tabs share; false when all are taken. Without a secure origin tabs do not
 * know of each other, and each has its stream while it is seen.
 * @param {() => Promise<void>} body
 * @returns {Promise<boolean>}
 */
async function inPlace(body) {
  const locks = globalThis.navigator?.locks;
  if (!locks) return body().then(() => true);
  for (let place = 0; place < TABS_MAX; place += 1) {
    const done = await locks.request(`stream ${place}`, { ifAvailable: true }, (lock) => (lock ? body().then(() => true) : false));
    if (done) return true;
  }
  return false;
}

/** @param {string[]} topics @param {string} last @param {Parameters<typeof follow>[1]} on @param {AbortSignal} stop @param {(id: string) => void} seen */
async function read(topics, last, on, stop, seen) {
  const silence = new AbortController();
  const watch = () => setTimeout(() => silence.abort(), SILENCE_MS);
  let timer = watch();
  try {
    const response = await reach(`stream?topics=${topics.join(",")}`, {
      headers: last ? { "last-event-id": last, accept: "text/event-stream" } : { accept: "text/event-stream" },
      signal: AbortSignal.any([stop, silence.signal]),
    });
    on.hash(response.headers.get("pd-dashboard-hash") ?? "");
    const decoder = new Decoder();
    const text = /** @type {ReadableStream<Uint8Array>} */ (response.body).pipeThrough(/** @type {any} */ (new TextDecoderStream()));
    const reader = /** @type {ReadableStream<string>} */ (/** @type {unknown} */ (text)).getReader();
    on.state("open");
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = watch();
      on.alive();
      for (const message of decoder.push(value)) {
        seen(message.id);
        on.message(message);
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

/** @param {number} ms @param {AbortSignal} stop @returns {Promise<void>} */
function sleep(ms, stop) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    stop.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
