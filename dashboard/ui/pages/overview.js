// Overview: the verdict with its causes first, then figures, what is known, and the stores at a glance.

import { each, effect, h } from "../lib/dom.js";
import { bytes, count, share, span } from "../lib/format.js";
import { health, now, stats, stores } from "../live.js";
import {
  bar,
  command,
  empty,
  mark,
  panel,
  since,
  skeleton,
  state,
  subjectLink,
  subjectPlace,
  subjectText,
} from "../parts.js";

/** @typedef {import("../types.d.ts").Check} Check */
/** @typedef {import("../types.d.ts").Figure} Figure */
/** @typedef {Check & {row: string}} Line */
/** @typedef {import("../lib/dom.js").Signal<Line>} CheckSignal */

/** Subjects that are named on the line itself. */
const SUBJECTS_SHOWN = 6;
/** Ages that are taken a moment apart differ by so much. */
const SAME_AGE_MS = 5_000;
/** Stores shown at a glance; the Stores page has all. */
const STORES_SHOWN = 24;

export const topics = ["stats", "stores"];
export const title = () => "Overview";

export function page() {
  return [causes(), figures(), glance()];
}

function causes() {
  const list = h("ul", { class: "causes" });
  each(
    list,
    () => lines(health.value?.checks ?? []),
    (it) => it.row,
    cause,
  );
  const quiet = () => {
    if (!health.value) return skeleton();
    if (health.value.checks.length) return "";
    return empty(
      health.value.verdict === "ok" ? "Nothing is wrong: every check passes." : "No check tells more than the verdict.",
    );
  };
  return panel("Causes", list, quiet);
}

/**
 * Each check with the name of its line. Several checks may have one code and one cause, or none: the first subject tells
 * them apart, and where that is the same, too, their order.
 * @param {Check[]} checks @returns {Line[]}
 */
export function lines(checks) {
  const plain = (/** @type {Check} */ it) => `${it.code} ${subjectText(it.cause?.subject)}`.trim();
  const alike = (/** @type {Check} */ it) => checks.filter((other) => plain(other) === plain(it)).length;
  /** @type {Map<string, number>} */
  const taken = new Map();
  return checks.map((check) => {
    const name = alike(check) > 1 ? `${plain(check)} ${subjectText(check.subjects[0])}` : plain(check);
    const times = (taken.get(name) ?? 0) + 1;
    taken.set(name, times);
    return { ...check, row: times > 1 ? `${name} ${times}` : name };
  });
}

/** One cause: what, how many, since when, whose fault, what to type. @param {CheckSignal} check */
function cause(check) {
  const first = check.peek();
  const place = () => subjectPlace(check.value.cause?.subject) ?? subjectPlace(check.value.subjects[0]);
  const meta = () => {
    const it = check.value;
    const parts = [];
    // One of something is what the summary says already.
    if (it.count !== null && it.count !== undefined && (it.count > 1 || it.subjects.length))
      parts.push(h("b", { class: "count" }, count(it.count)));
    if (it.bytes) parts.push(bytes(it.bytes));
    parts.push(h("code", null, it.code));
    return parts.flatMap((part, at) => (at ? [" · ", part] : [part]));
  };
  const age = () => {
    const it = check.value;
    if (!it.since_ms) return it.oldest_ms ? [" · oldest ", span(it.oldest_ms)] : [];
    // Where the oldest is as old as the whole, it is the same fact.
    const older = it.oldest_ms && Math.abs(now.peek() - it.since_ms - it.oldest_ms) > SAME_AGE_MS;
    return [" · since ", since(it.since_ms), ...(older ? [` · oldest ${span(it.oldest_ms)}`] : [])];
  };
  const named = () => {
    const it = check.value;
    const more = it.more + Math.max(0, it.subjects.length - SUBJECTS_SHOWN);
    return [
      ...it.subjects.slice(0, SUBJECTS_SHOWN).flatMap((subject) => [subjectLink(subject), " "]),
      more > 0 ? `and ${count(more)} more` : "",
    ];
  };
  const muted = () =>
    check.value.muted_until_ms ? h("span", { class: "quiet" }, " muted until ", since(check.value.muted_until_ms)) : "";
  return h(
    "li",
    {
      class: "cause",
      tabindex: "-1",
      "data-row": first.row,
      "data-severity": () => check.value.severity,
      "data-open": place,
      "data-why": place,
      "data-code": first.code,
    },
    h(
      "div",
      { class: "head" },
      mark(() => check.value.severity),
      h("span", { class: "word" }, () => check.value.severity),
      // Without a place it is a link to nowhere, which is plain text.
      h("a", { class: "summary", href: place }, () => check.value.summary),
    ),
    h("p", { class: "meta" }, meta, age, muted),
    h("p", { class: "subjects" }, named),
    h("div", { class: "next" }, () => check.value.next.map(command)),
  );
}

function figures() {
  const known = h(
    "div",
    { class: "figure", hidden: () => !health.value?.heard },
    h("dt", null, "Known"),
    h("dd", null, () => share(health.value?.heard?.regions_permille)),
    h(
      "dd",
      { class: "note" },
      () =>
        `of regions heard in this term · ${count(health.value?.heard?.stores)} of ${count(health.value?.heard?.stores_expected)} stores`,
    ),
  );
  // What is known stays behind the figures, which are put before it.
  const list = h("dl", { class: "figures" }, known);
  each(
    list,
    () => stats.value?.figures ?? [],
    (it) => it.name,
    figure,
  );
  const box = panel("Figures", () => (stats.value ? "" : skeleton()), list);
  effect(() => (box.hidden = health.value?.bootstrapped === false));
  return box;
}

/** @param {import("../lib/dom.js").Signal<Figure>} item */
function figure(item) {
  const value = () =>
    item.value.unit === "bytes"
      ? bytes(item.value.value)
      : `${count(item.value.value)}${item.value.value === null ? "" : item.value.unit}`;
  const line = h("dd", { class: "spark" });
  effect(() => {
    const { series, step_ms, label } = item.value;
    if (!series?.some((it) => it !== null)) return;
    import("../draw/spark.js").then(({ spark }) =>
      line.replaceChildren(spark(series, `${label}, the last ${span(series.length * step_ms)}`)),
    );
  });
  return h(
    "div",
    { class: "figure" },
    h("dt", null, () => item.value.label),
    h("dd", null, value),
    h("dd", { class: "note" }, () => item.value.note ?? ""),
    line,
  );
}

function glance() {
  const rows = h("tbody", null);
  each(
    rows,
    () => [...(stores.value?.rows.values() ?? [])].filter((it) => it.state !== "Tombstone").slice(0, STORES_SHOWN),
    (it) => it.id,
    (item) => {
      const store = item.peek();
      return h(
        "tr",
        {
          tabindex: "-1",
          "data-row": `store ${store.id}`,
          "data-open": `#/store/${store.id}`,
          "data-why": `#/store/${store.id}?why=1`,
        },
        h("th", { scope: "row" }, h("a", { href: `#/store/${store.id}`, class: "id" }, `store ${store.id}`)),
        h(
          "td",
          null,
          state(() => item.value.liveness),
        ),
        h(
          "td",
          { class: "wide" },
          bar(
            () => item.value.used_bytes,
            () => item.value.capacity_bytes,
            `store ${store.id} used`,
          ),
        ),
        h("td", { class: "number" }, () => `${bytes(item.value.used_bytes)} of ${bytes(item.value.capacity_bytes)}`),
        h("td", { class: "number", "data-head": "Regions" }, () => count(item.value.regions)),
        h("td", { class: "number", "data-head": "Leaders" }, () => count(item.value.leaders)),
      );
    },
  );
  const heads = ["Store", "Liveness", "Used", "Bytes", "Regions", "Leaders"].map((text, at) =>
    h("th", { scope: "col", class: at > 2 ? "number" : null }, text),
  );
  const table = h(
    "table",
    {
      class: "rows glance",
      hidden: () => !stores.value || ![...stores.value.rows.values()].some((it) => it.state !== "Tombstone"),
    },
    h("caption", null, "Stores at a glance"),
    h("thead", null, h("tr", null, ...heads)),
    rows,
  );
  const rest = () => {
    const all = [...(stores.value?.rows.values() ?? [])].filter((it) => it.state !== "Tombstone").length;
    if (!stores.value) return skeleton();
    if (all === 0) return empty("No store yet.");
    return all > STORES_SHOWN
      ? h("p", null, h("a", { href: "#/stores" }, `and ${count(all - STORES_SHOWN)} more stores`))
      : "";
  };
  return panel("Stores", table, rest);
}
