// Operators: what runs with its present step, what waits and for what, what has ended and how. A click on a value filters.

import { each, h, signal } from "../lib/dom.js";
import { count, some, span } from "../lib/format.js";
import { format, parse, withParameters } from "../lib/router.js";
import { now, operators } from "../live.js";
import { ago, empty, panel, regionLink, skeleton, state, command } from "../parts.js";

/** @typedef {import("../types.d.ts").OperatorRow} OperatorRow */
/** @typedef {import("../lib/dom.js").Signal<OperatorRow>} Item */
/** @typedef {import("../lib/router.js").Place} Place */

/** Rows that are built at first; one more click builds as many again. */
const WINDOW = 50;
/** What can be filtered by. */
const FILTERS = /** @type {const} */ (["kind", "desc", "store", "region", "state"]);

export const topics = ["operators"];
export const title = () => "Operators";

/** @param {Place} place @param {(text: string) => void} wrong */
export function page(place, wrong) {
  for (const name of /** @type {const} */ (["store", "region"])) {
    const value = place.parameters.get(name);
    if (value !== null && !/^\d+$/.test(value)) wrong(`${name}=${value} is no number`);
  }
  const matching = () =>
    [...(operators.value?.rows.values() ?? [])].filter((row) =>
      FILTERS.every((name) => matches(row, name, place.parameters.get(name))),
    );
  const at = (/** @type {string[]} */ states) => () => matching().filter((row) => states.includes(row.state));
  const others = () =>
    matching()
      .filter((row) => row.state !== "running" && row.state !== "waiting")
      .sort((a, b) => (b.finished_ms ?? 0) - (a.finished_ms ?? 0) || b.id - a.id);
  return [
    filters(place),
    part(
      "Running",
      at(["running"]),
      "No operator runs: nothing moves, because nothing has to or something holds it back.",
      ["Region", "What for", "Steps", "Age", "Stores"],
      running,
    ),
    part(
      "Waiting",
      at(["waiting"]),
      "No operator waits for a limit.",
      ["Region", "What for", "Waits for", "Age", "Stores"],
      waiting,
    ),
    part(
      "Ended",
      others,
      "No operator has ended since this leader began.",
      ["Region", "What for", "How", "Took", "When"],
      ended,
    ),
    panel("Commands", h("div", { class: "next" }, command("pd-ctl operator show"), command("pd-ctl operator history"))),
  ];
}

/** @param {OperatorRow} row @param {typeof FILTERS[number]} name @param {string | null} value */
function matches(row, name, value) {
  if (value === null || ((name === "store" || name === "region") && !/^\d+$/.test(value))) return true;
  return name === "store" ? row.stores.includes(Number(value)) : String(row[name]) === value;
}

/** @param {Place} place */
function filters(place) {
  const set = FILTERS.filter((name) => place.parameters.has(name));
  if (!set.length) return h("p", { class: "quiet" }, "Click a kind, a reason, a store or a state to see only those.");
  return h(
    "p",
    { class: "filters" },
    "Only ",
    ...set.flatMap((name) => [
      h(
        "a",
        {
          href: format(withParameters(place, { [name]: null })),
          class: "chip",
          "aria-label": `Remove the filter ${name} ${place.parameters.get(name)}`,
        },
        `${name} ${place.parameters.get(name)} ✕`,
      ),
      " ",
    ]),
  );
}

/** @param {string} name @param {string | number} value @param {string} [text] */
function filter(name, value, text = String(value)) {
  return h(
    "a",
    { class: "value", href: format(withParameters(parse(location.hash), { [name]: String(value) })) },
    text,
  );
}

/** @param {string} name @param {() => OperatorRow[]} read @param {string} none @param {string[]} heads @param {(item: Item) => HTMLElement[]} cells */
function part(name, read, none, heads, cells) {
  const body = h("tbody", null);
  const size = signal(WINDOW);
  each(
    body,
    () => read().slice(0, size.value),
    (row) => row.id,
    (item) =>
      h(
        "tr",
        {
          tabindex: "-1",
          "data-row": `operator ${item.peek().id}`,
          "data-open": `#/region/${item.peek().region}`,
          "data-why": `#/region/${item.peek().region}?why=1`,
        },
        ...cells(item),
      ),
  );
  const table = h(
    "table",
    { class: "rows", hidden: () => read().length === 0 },
    h("caption", null, () => `${name}: ${some(read().length, "operator")}`),
    h("thead", null, h("tr", null, ...heads.map((text) => h("th", { scope: "col" }, text)))),
    body,
  );
  const more = () =>
    read().length > size.value
      ? h(
          "button",
          { type: "button", onclick: () => (size.value += WINDOW) },
          `show ${count(Math.min(WINDOW, read().length - size.value))} more of ${count(read().length)}`,
        )
      : "";
  return panel(name, () => (!operators.value ? skeleton() : read().length ? "" : empty(none)), table, more);
}

/** @param {Item} item */
function lead(item) {
  const row = item.peek();
  return [
    h("th", { scope: "row" }, regionLink(row.region)),
    h("td", { class: "wide" }, filter("desc", row.desc), " ", h("span", { class: "quiet" }, filter("kind", row.kind))),
  ];
}

/** @param {Item} item */
const onStores = (item) =>
  h("td", null, () => item.value.stores.flatMap((id, at) => [at ? " " : "", filter("store", id, `store ${id}`)]));

/** @param {Item} item */
function running(item) {
  const limit = () => {
    const row = item.value;
    if (row.started_ms === null || row.limit_ms === null) return "";
    // The server says when the step in hand times out.
    return ` ${span(Math.max(0, now.value - row.started_ms))} of ${span(row.limit_ms - row.started_ms)}`;
  };
  const line = h(
    "td",
    { class: "wide" },
    () => steps(item.value.steps, item.value.step ?? 0),
    h("span", { class: "quiet" }, limit),
  );
  return [
    ...lead(item),
    line,
    h(
      "td",
      null,
      ago(() => item.value.created_ms, ""),
    ),
    onStores(item),
  ];
}

/** @param {Item} item */
const waiting = (item) => [
  ...lead(item),
  h("td", { class: "wide" }, () => item.value.waiting_for ?? "not told"),
  h(
    "td",
    null,
    ago(() => item.value.created_ms, ""),
  ),
  onStores(item),
];

/** @param {Item} item */
function ended(item) {
  const took = () => {
    const { created_ms, finished_ms } = item.value;
    return created_ms === null || finished_ms === null ? "?" : span(finished_ms - created_ms);
  };
  return [
    ...lead(item),
    h(
      "td",
      { class: "wide" },
      state(() => item.value.state),
      h("span", { class: "quiet" }, () => (item.value.reason ? ` ${item.value.reason}` : "")),
    ),
    h("td", null, took),
    h(
      "td",
      null,
      ago(() => item.value.finished_ms),
    ),
  ];
}

/** Steps as a line of dots, the present one in words. @param {string[]} texts @param {number} at */
export function steps(texts, at) {
  const dots = texts.map((text, index) =>
    h("span", { class: index < at ? "dot done" : index === at ? "dot present" : "dot", title: text }),
  );
  const words =
    at < texts.length ? `step ${at + 1} of ${texts.length}: ${texts[at]}` : `all ${texts.length} steps are done`;
  return h(
    "span",
    { class: "steps" },
    h("span", { class: "dots", "aria-hidden": "true" }, ...dots),
    h("span", null, words),
  );
}
