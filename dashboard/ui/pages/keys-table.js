// The strip as a table, for those who do not see it: all trouble, and what is hottest.

import { each, h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { key } from "../keytext.js";
import { empty, panel, regionLink, storeLink } from "../parts.js";
import { heatValue } from "../draw/strip.js";
import { number, troubles } from "./keys-cell.js";

/** @typedef {import("./keys.js").Shown} Shown */

/** Rows of the table. */
const HOT_ROWS = 20;
const TROUBLE_ROWS = 100;
/** A cell below this share of the hottest one's step of the scale is not hot. */
const HOT_SHARE = 0.75;

/** Neighbouring cells as one stretch. @typedef {{from: number, to: number, bad: boolean}} Stretch */

/** All trouble cell by cell, then what is about as hot as the hottest, neighbours together. @param {Shown} shown @returns {Stretch[]} */
export function stretches({ map, heat }) {
  const bad = Object.keys(map.trouble)
    .map(Number)
    .slice(0, TROUBLE_ROWS)
    .map((at) => ({ from: at, to: at + 1, bad: true }));
  const known = (/** @type {number} */ at) => (heat[at] === 255 || map.trouble[at] ? 0 : heat[at]);
  const peak = (/** @type {Stretch} */ it) =>
    heat.slice(it.from, it.to).reduce((most, byte) => Math.max(most, byte), 0);
  const least = Math.max(1, HOT_SHARE * heat.reduce((most, _, at) => Math.max(most, known(at)), 0));
  /** @type {Stretch[]} */
  const hot = [];
  for (let at = 0; at < heat.length; at += 1) {
    if (known(at) < least) continue;
    const last = hot.at(-1);
    if (last?.to === at) last.to = at + 1;
    else hot.push({ from: at, to: at + 1, bad: false });
  }
  hot.sort((a, b) => peak(b) - peak(a) || a.from - b.from);
  return [...bad, ...hot.slice(0, HOT_ROWS)];
}

/** What the table has of all there is. @param {Shown | null} shown */
function told(shown) {
  const bad = Object.keys(shown?.map.trouble ?? {}).length;
  const cells = bad > TROUBLE_ROWS ? `The first ${count(TROUBLE_ROWS)} of ${count(bad)} cells in trouble` : "All trouble";
  return `${cells} and the hottest stretches`;
}

/** The strip for those who do not see it. @param {import("../lib/dom.js").Signal<Shown | null>} shown @param {import("../lib/dom.js").Signal<number>} cursor @param {"write" | "read"} metric */
export function twin(shown, cursor, metric) {
  const body = h("tbody", null);
  const rows = () =>
    shown.value ? stretches(shown.value).map((it) => ({ ...it, shown: /** @type {Shown} */ (shown.value) })) : [];
  each(
    body,
    rows,
    (it) => `${it.from} ${it.to}`,
    (item) => {
      const { from, to, bad } = item.peek();
      const map = () => item.value.shown.map;
      const of = (/** @type {number[]} */ column) => column.slice(from, to);
      const example = () => (bad ? map().trouble[from]?.example : null);
      const why = () => (example() ? `#/region/${example()}?why=1` : null);
      const lane = () => map().heat[metric];
      const leaders = () => {
        const stores = [...new Set(of(map().leader))];
        return stores.length === 1 && stores[0] ? storeLink(stores[0]) : "several";
      };
      const hottest = () => number(heatValue(Math.max(...item.value.shown.heat.slice(from, to)), lane()), lane().unit);
      const trouble = () => [
        troubles(map(), from) || "–",
        ...(example() ? [" ", regionLink(/** @type {number} */ (example()))] : []),
      ];
      return h(
        "tr",
        { tabindex: "-1", "data-row": `cell ${from}`, "data-why": why, "data-open": why },
        h(
          "th",
          { scope: "row" },
          h(
            "button",
            { type: "button", class: "plain-button", onclick: () => (cursor.value = from) },
            () => `${key(map().keys[from])} to ${key(map().keys[to], "end")}`,
          ),
        ),
        h("td", { class: "number", "data-head": "Regions" }, () =>
          count(of(map().regions).reduce((sum, it) => sum + it, 0)),
        ),
        h("td", null, leaders),
        h("td", { class: "number", "data-head": metric }, hottest),
        h("td", null, bad ? trouble : "–"),
      );
    },
  );
  const heads = ["Keys", "Regions", "Leader", `Hottest ${metric}`, "Trouble"].map((text, at) =>
    h("th", { scope: "col", class: at === 1 || at === 3 ? "number" : null }, text),
  );
  const none = () => (shown.value && !rows().length ? empty("No heat and no trouble.") : "");
  return panel(
    "Trouble and heat",
    none,
    h(
      "div",
      { class: "scroll", hidden: () => rows().length === 0 },
      h(
        "table",
        { class: "rows" },
        h("caption", null, () => told(shown.value)),
        h("thead", null, h("tr", null, ...heads)),
        body,
      ),
    ),
  );
}
