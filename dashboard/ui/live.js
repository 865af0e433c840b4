// What is known now: one stream fills these values, and the pages follow them.

import { signal } from "./lib/dom.js";
import { Failure, ask, read } from "./lib/stream.js";

/** @typedef {import("./types.d.ts").Health} Health */
/** @typedef {import("./types.d.ts").Stats} Stats */
/** @typedef {import("./types.d.ts").Members} Members */
/** @typedef {import("./types.d.ts").StoreRow} StoreRow */
/** @typedef {import("./types.d.ts").OperatorRow} OperatorRow */
/** @template Row @typedef {{asOf: number, rows: Map<number, Row>}} Table */
/** @typedef {"loading" | "open" | "broken" | "full" | "crowded" | "hidden" | "paused"} Link */

/** Pauses before the next try: quick at first, because a leader change takes about a second. */
const RETRY_MS = [250, 500, 1_000, 2_000, 4_000];
/** Polling when there is no room for a stream. */
const POLL_MS = 10_000;
/** Streams of all tabs of this browser: it has six connections to a server, and pages need some of them to load. */
const TABS_MAX = 4;
/** A broken stream is told after so long: a leader change is quicker. */
const TELL_BROKEN_MS = 3_000;
/** Data older than three intervals of one second is grey. */
const STALE_MS = 3_500;
/** Rows of one answer of a list, as many as the server gives. */
const PAGE_ROWS = 1_000;
/** Rows kept of one topic, far above what the server sends: a page open for days stays small. */
const ROWS_MAX = 20_000;

/** @type {import("./lib/dom.js").Signal<Health | null>} */
export const health = signal(/** @type {Health | null} */ (null));
/** @type {import("./lib/dom.js").Signal<Stats | null>} */
export const stats = signal(/** @type {Stats | null} */ (null));
/** @type {import("./lib/dom.js").Signal<Members | null>} */
export const members = signal(/** @type {Members | null} */ (null));
/** @type {import("./lib/dom.js").Signal<Table<StoreRow> | null>} */
export const stores = signal(/** @type {Table<StoreRow> | null} */ (null));
/** @type {import("./lib/dom.js").Signal<Table<OperatorRow> | null>} */
export const operators = signal(/** @type {Table<OperatorRow> | null} */ (null));
/** @type {import("./lib/dom.js").Signal<Link>} */
export const link = signal(/** @type {Link} */ ("loading"));
/** @type {import("./lib/dom.js").Signal<"fresh" | "reconnecting" | "stale">} How far what is shown can be trusted. */
export const trust = signal(/** @type {"fresh" | "reconnecting" | "stale"} */ ("fresh"));
/** The server's time, once a second: ages are right although this machine's clock may be a day off. */
export const now = signal(Number(globalThis.document?.documentElement.dataset.asOf) || Date.now());
/** What of the page's data could not be read, by topic. */
export const failures = signal(/** @type {Record<string, string>} */ ({}));
/** Whether the server has other files than this page. */
export const otherVersion = signal(false);

const own = globalThis.document?.documentElement.dataset.hash ?? "";
/** The last pulse: the server's time, and when it came by our own steady clock. */
let pulse = { server: now.peek(), here: performance.now() };
let heard = performance.now();
/** @type {string[]} */
let topics = [];
let stop = () => {};

/** Follows `wanted` from now on. @param {string[]} wanted */
export function want(wanted) {
  const next = [...new Set(["health", ...wanted])].sort();
  if (next.join() === topics.join()) return;
  topics = next;
  if (link.peek() !== "paused" && link.peek() !== "hidden") open();
}

/** Stops and goes on. @param {boolean} paused */
export function pause(paused) {
  if (paused) close("paused");
  else open();
}

/** Begins: the stream is closed while nobody looks, because a browser has six connections to a server for all tabs. */
export function start() {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && link.peek() !== "paused") close("hidden");
    else if (!document.hidden && link.peek() === "hidden") open();
  });
  window.addEventListener("pagehide", () => close("hidden"));
  window.addEventListener("pageshow", (event) => event.persisted && link.peek() === "hidden" && open());
  setInterval(tick, 1_000);
  if (document.hidden) link.value = "hidden";
  else open();
}

function open() {
  stop();
  if (link.peek() !== "broken") link.value = "loading";
  heard = performance.now();
  const over = new AbortController();
  stop = () => over.abort();
  follow(over.signal);
}

/** Streams, tries again, or polls, until it is over. @param {AbortSignal} over */
async function follow(over) {
  let tries = 0;
  let last = "";
  const on = {
    open: (/** @type {string} */ hash) => {
      link.value = "open";
      otherVersion.value = hash !== "" && own !== "" && hash !== own;
    },
    alive: () => (heard = performance.now()),
    message: (/** @type {import("./lib/stream.js").Message} */ { event, id, data }) => {
      tries = 0;
      last = id || last;
      take(event, data);
    },
  };
  while (!over.aborted) {
    /** @type {Link} */
    let state = "broken";
    try {
      if (!(await inPlace(() => read(topics, last, on, over)))) state = "crowded";
    } catch (error) {
      if (error instanceof Failure && error.told.status === 503) state = "full";
    }
    if (over.aborted) return;
    link.value = state;
    if (state !== "broken") await poll(over).catch(() => {});
    await sleep(state === "broken" ? RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] : POLL_MS, over);
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
  const whole = () => body().then(() => true);
  if (!navigator.locks) return whole();
  for (let place = 0; place < TABS_MAX; place += 1) {
    const options = { ifAvailable: true };
    if (await navigator.locks.request(`stream ${place}`, options, (lock) => (lock ? whole() : false))) return true;
  }
  return false;
}

/** @param {number} ms @param {AbortSignal} over @returns {Promise<void>} */
function sleep(ms, over) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    over.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

/** @param {"hidden" | "paused"} state */
function close(state) {
  stop();
  stop = () => {};
  link.value = state;
}

function tick() {
  now.value = pulse.server + (performance.now() - pulse.here);
  const silent = performance.now() - heard;
  const follows = link.peek() === "open" || link.peek() === "broken" || link.peek() === "loading";
  if (!follows) trust.value = "fresh";
  else if (silent < TELL_BROKEN_MS) trust.value = "fresh";
  else trust.value = link.peek() === "open" ? (silent > STALE_MS ? "stale" : "fresh") : "reconnecting";
}

/** Each topic once, when there is no room for a stream. @param {AbortSignal} signal */
async function poll(signal) {
  for (const topic of topics) {
    const rows = topic === "stores" || topic === "operators";
    const answer = await ask(rows ? `${topic}?limit=${PAGE_ROWS}` : topic, signal);
    heard = performance.now();
    apply(topic, rows ? { ...answer, full: true } : answer);
    for (let next = answer.next; rows && next;) {
      const more = await ask(`${topic}?limit=${PAGE_ROWS}&cursor=${encodeURIComponent(next)}`, signal);
      apply(topic, more);
      next = more.next;
    }
  }
}

/** One bad message never ends the stream. @param {string} topic @param {string} text */
function take(topic, text) {
  try {
    apply(topic, JSON.parse(text));
    if (failures.peek()[topic]) failures.value = { ...failures.peek(), [topic]: "" };
  } catch (error) {
    failures.value = { ...failures.peek(), [topic]: `what came about ${topic} cannot be read: ${error}` };
  }
}

/** @param {string} topic @param {any} value */
function apply(topic, value) {
  if (topic === "resync") return;
  if (topic === "health") {
    pulse = { server: Number(value.as_of_ms), here: performance.now() };
    now.value = pulse.server;
    health.value = value;
  } else if (topic === "stats") stats.value = { ...value, figures: value.figures.map(withSeries) };
  else if (topic === "members") members.value = value;
  else if (topic === "stores") stores.value = merge(stores.peek(), value);
  else if (topic === "operators") operators.value = merge(operators.peek(), value);
}

/** Between two samples only the value comes; the line of the last hour stays. @param {import("./types.d.ts").Figure} figure */
function withSeries(figure) {
  if (figure.series) return figure;
  return { ...figure, series: stats.peek()?.figures.find((it) => it.name === figure.name)?.series ?? null };
}

/**
 * @template {{id: number}} Row
 * @param {Table<Row> | null} table
 * @param {import("./types.d.ts").Rows<Row>} change
 * @returns {Table<Row>}
 */
export function merge(table, change) {
  const rows = new Map(change.full ? [] : table?.rows);
  for (const id of change.gone ?? []) rows.delete(id);
  for (const row of change.rows) rows.set(row.id, row);
  // The oldest go first: a map keeps the order of arrival.
  for (const id of rows.keys()) {
    if (rows.size <= ROWS_MAX) break;
    rows.delete(id);
  }
  return { asOf: change.as_of_ms, rows };
}
