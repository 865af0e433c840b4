// The cell under the cursor in words, and its Regions when they are asked for.

import { effect, h, signal } from "../lib/dom.js";
import { bytes, count, share, some } from "../lib/format.js";
import { key } from "../keytext.js";
import { ask } from "../lib/stream.js";
import { command, regionLink, storeLink, trouble } from "../parts.js";
import { heatValue } from "../draw/strip.js";

/** @typedef {import("../types.d.ts").KeyMap} KeyMap */
/** @typedef {import("./keys.js").Shown} Shown */

/** tikv/pd's own API lies beside ours, below the same place of the page: a proxy has one rule for both. */
const V1 = "../v1/";
/** Regions of a cell that are listed. */
const REGIONS_SHOWN = 50;

/** The cell under the cursor, in words. @param {import("../lib/dom.js").Signal<Shown | null>} shown @param {import("../lib/dom.js").Signal<number>} cursor @param {"write" | "read"} metric */
export function cell(shown, cursor, metric) {
  const regions = signal(/** @type {HTMLElement | null} */ (null));
  effect(() => {
    // A list of another cell would be a lie.
    cursor.value;
    regions.value = null;
  });
  const text = () => {
    const now = shown.value;
    const at = cursor.value;
    if (!now || at < 0 || at >= now.map.regions.length) return "Move over the strip, or into it with the keyboard.";
    return words(now, at, metric);
  };
  const open = async () => {
    const now = shown.peek();
    const at = cursor.peek();
    if (!now || at < 0) return;
    regions.value = await inRange(now.map.keys[at], now.map.keys[at + 1]).catch((error) => trouble(error, open));
  };
  const example = () => shown.value?.map.trouble[cursor.value]?.example;
  const chosen = () => shown.value !== null && cursor.value >= 0;
  return h(
    "div",
    { "data-why-here": () => (example() ? `#/region/${example()}?why=1` : null) },
    h("p", { id: "cell-text", "aria-live": "polite" }, text),
    h(
      "div",
      { class: "next", hidden: () => !chosen() },
      h("button", { type: "button", id: "cell-open", onclick: open }, "its regions"),
      () => regionLinkOf(example()),
      () => (chosen() && shown.value ? listing(shown.value.map, cursor.value) : ""),
    ),
    () => regions.value,
  );
}

/** @param {number | null | undefined} id */
const regionLinkOf = (id) => (id ? regionLink(id) : "");

/** The command that lists the Regions of a cell. @param {KeyMap} map @param {number} at */
function listing({ keys }, at) {
  return command(`pd-ctl region keys --format=hex ${keys[at] || '""'} ${keys[at + 1]}`.trim());
}

/** @param {Shown} shown @param {number} at @param {"write" | "read"} metric */
function words({ map, heat }, at, metric) {
  const lane = map.heat?.[metric] ?? { unit: "", min: 0, max: 0 };
  const trouble = troubles(map, at);
  const leader = map.leader[at]
    ? `led by store ${map.leader[at]}`
    : `led by several stores, the first of them ${share(map.leader_permille[at])}`;
  return [
    `Cell ${count(at + 1)} of ${count(map.regions.length)}: keys ${key(map.keys[at])} to ${key(map.keys[at + 1], "end")}`,
    `${some(map.regions[at], "region")}, ${bytes(map.bytes[at])}`,
    leader,
    `${metric} ${number(heatValue(heat[at], lane), lane.unit)}`,
    `rule ${map.rules[map.rule[at]] ?? "not known"}`,
    trouble ? `trouble: ${trouble}` : "no trouble",
    map.ops[at] ? some(map.ops[at], "operator") : "no operator",
  ].join(" · ");
}

/** The first Regions of a range. @param {string} start @param {string} end */
async function inRange(start, end) {
  const query = new URLSearchParams({ key: start, end_key: end, format: "hex", limit: String(REGIONS_SHOWN) });
  /** @type {{regions: {id: number, start_key: string, end_key: string, leader?: {store_id?: number}}[] | null}} */
  const answer = await ask(`${V1}regions/key?${query}`);
  const rows = (answer.regions ?? []).map(({ id, start_key, end_key, leader }) =>
    h(
      "tr",
      { tabindex: "-1", "data-row": `region ${id}`, "data-open": `#/region/${id}`, "data-why": `#/region/${id}?why=1` },
      h("th", { scope: "row" }, regionLink(id)),
      h("td", null, key(start_key)),
      h("td", null, key(end_key, "end")),
      h("td", null, leader?.store_id ? storeLink(leader.store_id) : "no leader known"),
    ),
  );
  const heads = ["Region", "From", "To before", "Leader"].map((text) => h("th", { scope: "col" }, text));
  return h(
    "table",
    { class: "rows" },
    h(
      "caption",
      null,
      `${rows.length === REGIONS_SHOWN ? "The first " : ""}${some(rows.length, "region")} of this cell`,
    ),
    h("thead", null, h("tr", null, ...heads)),
    h("tbody", null, ...rows),
  );
}

/** What is wrong in a cell, empty when nothing is. @param {KeyMap} map @param {number} at */
export function troubles(map, at) {
  const counts = Object.entries(map.trouble[at] ?? {}).filter(
    ([name, value]) => value && name !== "example" && name !== "regions",
  );
  return counts.map(([name, value]) => `${count(value)} ${name}`).join(", ");
}

/** A value of heat with its unit. @param {number | null} value @param {string} unit */
export const number = (value, unit) =>
  value === null ? "not known" : /^b/i.test(unit) ? `${bytes(value)}/s` : `${count(value)} ${unit}`;
