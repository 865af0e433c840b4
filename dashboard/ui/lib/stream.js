// What the server says: single answers, and the stream of changes read by `fetch` (an EventSource can carry no token).

/** Where the API lies, seen from the page: the server says so, relatively, so that a path prefix or a tunnel works. */
const API = globalThis.document?.documentElement.dataset.api || "pd/api/v2/";
/** No byte for so long: the connection is dead even if nobody has said so. The server comments each 10 s. */
const SILENCE_MS = 25_000;
/** A line longer than this is no answer of ours. */
const LINE_MAX = 8 * 1024 * 1024;

/** An answer that is an error; status 0: nobody answered. */
export class Failure extends Error {
  /** @param {string} path @param {string} text @param {{status?: number, code?: string, request?: string | null}} told */
  constructor(path, text, { status = 0, code = "", request = null } = {}) {
    super(text);
    this.told = { path, status, code, request };
  }
}

/** @typedef {{event: string, id: string, data: string}} Message */

/** Cuts a stream of text into messages. */
export class Decoder {
  #rest = "";
  #id = "";
  #event = "";
  #data = /** @type {string[]} */ ([]);

  /** @param {string} text @returns {Message[]} */
  push(text) {
    const lines = (this.#rest + text).split(/\r?\n/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LINE_MAX) throw new Error("a line of the stream is too long");
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line @returns {Message[]} */
  #line(line) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? ["", "", ""];
    if (name === "event") this.#event = value;
    else if (name === "id") this.#id = value;
    else if (name === "data") this.#data.push(value);
    if (line !== "") return [];
    const message = { event: this.#event || "message", id: this.#id, data: this.#data.join("\n") };
    const whole = this.#data.length > 0;
    [this.#event, this.#data] = ["", []];
    return whole ? [message] : [];
  }
}

/** The answer to `GET path`. @param {string} path below the v2 API @param {AbortSignal} [signal] @returns {Promise<any>} */
export async function ask(path, signal) {
  return (await reach(path, { signal })).json();
}

/** @param {string} path @param {RequestInit} options */
async function reach(path, options) {
  const response = await fetch(API + path, { cache: "no-store", ...options }).catch((error) => {
    throw options.signal?.aborted ? error : new Failure(path, "nobody answers");
  });
  if (response.ok) return response;
  const text = await response.text();
  const request = response.headers.get("x-request-id");
  let code = "";
  let message = text.trim() || response.statusText;
  try {
    ({ code = "", message = message } = JSON.parse(text) ?? {});
  } catch {
    // The text is all that there is.
  }
  throw new Failure(path, message, { status: response.status, code, request });
}

/**
 * Reads one stream from behind message `last` to its end. @param {string[]} topics @param {string} last
 * @param {{open: (hash: string) => void, alive: () => void, message: (message: Message) => void}} on
 * @param {AbortSignal} stop
 */
export async function read(topics, last, on, stop) {
  const silence = new AbortController();
  const watch = () => setTimeout(() => silence.abort(), SILENCE_MS);
  let timer = watch();
  try {
    const headers = { accept: "text/event-stream", ...(last && { "last-event-id": last }) };
    const signal = AbortSignal.any([stop, silence.signal]);
    const response = await reach(`stream?topics=${topics.join(",")}`, { headers, signal });
    on.open(response.headers.get("pd-dashboard-hash") ?? "");
    const decoder = new Decoder();
    const characters = new TextDecoder();
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = watch();
      on.alive();
      decoder.push(characters.decode(value, { stream: true })).forEach(on.message);
    }
  } finally {
    clearTimeout(timer);
  }
}
