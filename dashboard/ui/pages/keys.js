// Key space: the strip, the cell under the cursor in words, and a table of what is hot or in trouble.

import { effect, h, onEnd, signal } from "../lib/dom.js";
import { share } from "../lib/format.js";
import { key, keyHex } from "../keytext.js";
import { choice, format, parse, withParameters } from "../lib/router.js";
import { ask } from "../lib/stream.js";
import { health, link, stores } from "../live.js";
import { ago, empty, panel, skeleton, trouble } from "../parts.js";
import { HEIGHT, LANES, decodeHeat, draw, heatColour, storeColour } from "../draw/strip.js";
import { gestures } from "../draw/gestures.js";
import { cell, number } from "./keys-cell.js";
import { twin } from "./keys-table.js";

/** @typedef {import("../types.d.ts").KeyMap} KeyMap */
/** @typedef {import("../lib/router.js").Place} Place */
/** @typedef {{map: KeyMap, heat: Uint8Array}} Shown */

/** How often an open map asks again. */
const AGAIN_MS = 5_000;
/** A changed stretch is asked for once it rests. */
const REST_MS = 250;
/** Cells of a narrow screen and of a wide one. */
const CELLS = /** @type {const} */ ([250, 1_500]);
const LANE_NAMES = { leader: "Leader", heat: "Heat now", rule: "Rule", trouble: "Trouble" };

export const topics = ["stores"];
export const title = () => "Key space";

/** @param {Place} place @param {(text: string) => void} wrong */
export function page(place, wrong) {
  const metric = choice(place, "metric", ["write", "read"], wrong);
  const by = choice(place, "by", ["regions", "bytes", "keys"], wrong);
  const picked = picks(place, wrong);
  for (const name of ["start", "end"])
    if (!/^([0-9a-f]{2})*$/i.test(place.parameters.get(name) ?? "")) wrong(`${name} is no hex`);
  /** @type {import("../lib/dom.js").Signal<Shown | null>} */
  const shown = signal(/** @type {Shown | null} */ (null));
  /** @type {import("../lib/dom.js").Signal<any>} */
  const error = signal(/** @type {any} */ (null));
  const view = signal({ from: 0, to: 1 });
  const cursor = signal(-1);
  const range = signal({ start: hex(place, "start"), end: hex(place, "end") });

  const stop = new AbortController();
  let asked = false;
  const load = async () => {
    // Before the first store there is no map: asking for one is an error, and nothing is wrong.
    if (health.peek()?.bootstrapped === false) return;
    asked = true;
    const { start, end } = range.peek();
    const cells = matchMedia("(max-width: 640px)").matches ? CELLS[0] : CELLS[1];
    try {
      /** @type {KeyMap} */
      const map = await ask(
        `map?${new URLSearchParams({ ...(start && { start }), ...(end && { end }), cells: String(cells), by })}`,
        stop.signal,
      );
      // Somebody may have moved on while it came.
      if (range.peek().start !== start || range.peek().end !== end) return;
      const fresh =
        shown.peek() === null ||
        shown.peek()?.map.keys[0] !== map.keys[0] ||
        shown.peek()?.map.keys.at(-1) !== map.keys.at(-1) ||
        shown.peek()?.map.regions.length !== map.regions.length;
      shown.value = { map, heat: decodeHeat(map.heat?.[metric]?.v, map.regions.length) };
      if (fresh) view.value = { from: 0, to: Math.max(1, map.regions.length) };
      cursor.value = fresh
        ? holding(map, place.parameters.get("key"))
        : Math.min(cursor.peek(), map.regions.length - 1);
      error.value = null;
    } catch (failure) {
      if (!stop.signal.aborted) error.value = failure;
    }
  };
  // The first look waits for the verdict, which says whether there is anything.
  effect(() => void (health.value && !asked && load()));
  const timer = setInterval(() => document.hidden || link.peek() === "paused" || load(), AGAIN_MS);
  let resting = 0;
  onEnd(() => {
    clearInterval(timer);
    clearTimeout(resting);
    stop.abort();
  });

  /** Shows `from..to` of the cells at once, and asks for it in full once it rests. @param {number} from @param {number} to */
  const look = (from, to) => {
    const cells = shown.peek()?.map.regions.length ?? 1;
    const width = Math.min(cells, Math.max(1, to - from));
    const first = Math.max(0, Math.min(cells - width, from));
    view.value = { from: first, to: first + width };
    clearTimeout(resting);
    if (width < cells) resting = window.setTimeout(settle, REST_MS);
  };
  const settle = () => {
    const now = shown.peek();
    if (!now || now.map.regions.length < 2) return;
    const { from, to } = view.peek();
    go(now.map.keys[Math.floor(from)], now.map.keys[Math.min(now.map.keys.length - 1, Math.ceil(to))]);
  };
  /** @param {string} start @param {string} end */
  const go = (start, end) => {
    range.value = { start, end };
    history.replaceState(null, "", format(withParameters(parse(location.hash), { start, end })));
    load();
  };

  const none = () =>
    shown.value ? total(shown.value.map) === 0 : !error.value && health.value?.bootstrapped === false;
  const strip = lanes(shown, view, cursor, picked, look, metric);
  return [
    controls(
      place,
      metric,
      by,
      range,
      () => go("", ""),
      () => zoom(view, cursor, look, 0.5),
    ),
    panel(
      "Strip",
      () => (error.value ? trouble(error.value, load) : shown.value || none() ? "" : skeleton()),
      () => (none() ? empty("No Region is known yet: the first store brings the first one.") : ""),
      strip,
      h("p", { class: "quiet" }, () =>
        shown.value
          ? [
              "made ",
              ago(() => shown.value?.map.as_of_ms),
              ` · ${share(shown.value.map.heard_permille)} of regions heard`,
            ]
          : "",
      ),
    ),
    panel("Cell", cell(shown, cursor, metric)),
    twin(shown, cursor, metric),
  ];
}

/** @param {Place} place @param {string} name */
const hex = (place, name) =>
  /^([0-9a-f]{2})+$/i.test(place.parameters.get(name) ?? "") ? (place.parameters.get(name) ?? "").toUpperCase() : "";
/** @param {KeyMap} map */
const total = (map) => map.regions.reduce((sum, it) => sum + it, 0);

/** @param {Place} place @param {(text: string) => void} wrong @returns {number | null} */
function picks(place, wrong) {
  const text = place.parameters.get("store");
  if (text === null) return null;
  if (/^\d+$/.test(text)) return Number(text);
  wrong(`store=${text} is no number`);
  return null;
}

/** The cell that holds a key, -1 without one. @param {KeyMap} map @param {string | null} wanted hex */
export function holding(map, wanted) {
  if (wanted === null) return -1;
  const sought = keyHex(wanted);
  let found = 0;
  for (let at = 0; at < map.regions.length; at += 1) if (map.keys[at] <= sought) found = at;
  return found;
}

/** @param {import("../lib/dom.js").Signal<{from: number, to: number}>} view @param {import("../lib/dom.js").Signal<number>} cursor @param {(from: number, to: number) => void} look @param {number} factor */
function zoom(view, cursor, look, factor) {
  const { from, to } = view.peek();
  const middle = cursor.peek() >= from && cursor.peek() < to ? cursor.peek() + 0.5 : (from + to) / 2;
  look(middle - (middle - from) * factor, middle + (to - middle) * factor);
}

/** @param {Place} place @param {string} metric @param {string} by @param {import("../lib/dom.js").Signal<{start: string, end: string}>} range @param {() => void} whole @param {() => void} closer */
function controls(place, metric, by, range, whole, closer) {
  const chips = (/** @type {string} */ name, /** @type {string[]} */ values, /** @type {string} */ present) =>
    values.map((value) =>
      h(
        "a",
        {
          class: "chip",
          href: format(withParameters(parse(location.hash), { [name]: value })),
          "aria-current": value === present ? "true" : null,
          onclick: (/** @type {Event} */ event) => {
            // The stretch may have changed since this was drawn.
            /** @type {HTMLAnchorElement} */ (event.currentTarget).href = format(
              withParameters(parse(location.hash), { [name]: value }),
            );
          },
        },
        value,
      ),
    );
  const storeChips = () =>
    [...(stores.value?.rows.values() ?? [])]
      .filter((it) => it.state !== "Tombstone")
      .slice(0, 32)
      .map((it) =>
        h(
          "a",
          {
            class: "chip",
            href: format(
              withParameters(parse(location.hash), {
                store: place.parameters.get("store") === String(it.id) ? null : String(it.id),
              }),
            ),
            "aria-current": place.parameters.get("store") === String(it.id) ? "true" : null,
          },
          swatch(storeColour(it.id, dark())),
          `store ${it.id}`,
        ),
      );
  return h(
    "div",
    { class: "controls" },
    h("span", { class: "choices" }, "Heat ", ...chips("metric", ["write", "read"], metric)),
    h("span", { class: "choices" }, "Width by ", ...chips("by", ["regions", "bytes", "keys"], by)),
    h(
      "span",
      { class: "choices" },
      h("button", { type: "button", onclick: closer }, "zoom in"),
      h(
        "button",
        { type: "button", onclick: whole, disabled: () => !range.value.start && !range.value.end },
        "whole key space",
      ),
    ),
    h("span", { class: "choices stores" }, "Leader ", storeChips),
  );
}

/** @param {string} colour */
const swatch = (colour) => h("span", { class: "swatch", "aria-hidden": "true", style: { background: colour } });
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;

/** @param {import("../lib/dom.js").Signal<Shown | null>} shown @param {import("../lib/dom.js").Signal<{from: number, to: number}>} view @param {import("../lib/dom.js").Signal<number>} cursor @param {number | null} picked @param {(from: number, to: number) => void} look @param {"write" | "read"} metric */
function lanes(shown, view, cursor, picked, look, metric) {
  const canvas = /** @type {HTMLCanvasElement} */ (
    h("canvas", {
      tabindex: "0",
      role: "application",
      "aria-label":
        "Key space from left to right: arrows move the cell cursor, Enter opens, plus and minus zoom. The table below says the same.",
      "aria-describedby": "cell-text",
      style: { height: `${HEIGHT}px` },
    })
  );
  const band = signal(/** @type {{from: number, to: number} | null} */ (null));
  const paint = () => {
    if (shown.value && canvas.clientWidth)
      draw(canvas, { ...shown.value, view: view.value, cursor: cursor.value, band: band.value, picked, dark: dark() });
  };
  effect(paint);
  const size = new ResizeObserver(() => paint());
  size.observe(canvas);
  const theme = matchMedia("(prefers-color-scheme: dark)");
  theme.addEventListener("change", paint);
  onEnd(() => {
    size.disconnect();
    theme.removeEventListener("change", paint);
  });
  gestures(canvas, {
    view: () => view.peek(),
    look,
    band: (next) => (band.value = next),
    point: (place) =>
      (cursor.value = Math.max(0, Math.min((shown.peek()?.map.regions.length ?? 1) - 1, Math.floor(place)))),
    move: (by) => {
      const cells = shown.peek()?.map.regions.length ?? 0;
      if (cells)
        cursor.value = Math.max(
          0,
          Math.min(cells - 1, (cursor.peek() < 0 ? (by > 0 ? -1 : cells) : cursor.peek()) + by),
        );
    },
    zoom: (factor) => zoom(view, cursor, look, factor),
    open: () => /** @type {HTMLElement | null} */ (document.querySelector("#cell-open"))?.click(),
  });
  const names = h(
    "div",
    { class: "lane-names", "aria-hidden": "true" },
    ...LANES.map(([lane, height]) => h("span", { style: { height: `${height}px` } }, LANE_NAMES[lane])),
  );
  const axis = () => {
    if (!shown.value) return "";
    const { map } = shown.value;
    return [
      h("span", null, key(map.keys[Math.floor(view.value.from)])),
      h("span", null, key(map.keys[Math.min(map.keys.length - 1, Math.ceil(view.value.to))], "end")),
    ];
  };
  return h(
    "div",
    { class: "strip", hidden: () => shown.value === null },
    names,
    canvas,
    h("div", { class: "axis" }, axis),
    h("div", { class: "legend" }, () => legend(shown.value?.map ?? null, metric)),
  );
}

/** @param {KeyMap | null} map @param {"write" | "read"} metric */
function legend(map, metric) {
  if (!map) return [];
  const lane = map.heat?.[metric];
  const ramp = h(
    "span",
    { class: "ramp", "aria-hidden": "true" },
    ...[1, 43, 85, 127, 169, 211, 254].map((byte) => swatch(heatColour(byte, dark()))),
  );
  return [
    h(
      "span",
      null,
      `${metric} `,
      lane && lane.max > 0
        ? [number(lane.min, lane.unit), " ", ramp, " ", number(lane.max, lane.unit), ", logarithmic"]
        : "nothing",
    ),
    h("span", null, "leader: short bars where several lead"),
    h(
      "span",
      null,
      swatch("var(--risk)"),
      "missing, down or without a Region ",
      swatch("var(--warn)"),
      "lesser trouble ",
      swatch("var(--good)"),
      "operators",
    ),
  ];
}
