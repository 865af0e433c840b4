// Stores: one row each; sorted, filtered and grouped as the address says.

import { each, h, signal } from "../lib/dom.js";
import { bytes, count, known, some, span } from "../lib/format.js";
import { choice, format, withParameters } from "../lib/router.js";
import { stores } from "../live.js";
import { ago, bar, empty, panel, skeleton, state, storeLink } from "../parts.js";

/** @typedef {import("../types.d.ts").StoreRow} StoreRow */
/** @typedef {import("../lib/dom.js").Signal<StoreRow>} Item */
/** @typedef {import("../lib/router.js").Place} Place */
/** @typedef {{name: string, head: string, number?: boolean, order: (row: StoreRow) => string | number | null, cell: (item: Item) => import("../lib/dom.js").Child}} Column */

/** Rows that are built at first; one more click builds as many again. */
const WINDOW = 200;
/** Stores that send nothing for three heartbeat intervals of 10 s have old numbers. */
const OLD_MS = 30_000;

/** @type {Column[]} */
const COLUMNS = [
  { name: "id", head: "Store", order: (row) => row.id, cell: (item) => storeLink(item.peek().id) },
  {
    name: "liveness",
    head: "State",
    order: (row) => row.liveness,
    cell: (item) => [
      state(() => item.value.liveness),
      h("span", { class: "quiet" }, () => ` ${item.value.state === "Up" ? item.value.node_state : item.value.state}`),
    ],
  },
  {
    name: "address",
    head: "Address",
    order: (row) => row.address,
    cell: (item) => [
      h("span", { class: "address" }, () => item.value.address),
      h("span", { class: "labels" }, () => labels(item.value)),
    ],
  },
  {
    name: "used",
    head: "Used",
    number: true,
    order: (row) => ratio(row),
    cell: (item) => [
      bar(
        () => item.value.used_bytes,
        () => item.value.capacity_bytes,
        `store ${item.peek().id} used`,
      ),
      h("span", null, () => ` ${bytes(item.value.used_bytes)} of ${bytes(item.value.capacity_bytes)}`),
    ],
  },
  {
    name: "full",
    head: "Full in",
    number: true,
    order: (row) => row.full_in_s,
    cell: (item) => () => (item.value.full_in_s === null ? "–" : span(item.value.full_in_s * 1_000)),
  },
  {
    name: "regions",
    head: "Regions",
    number: true,
    order: (row) => row.regions,
    cell: (item) => () => count(item.value.regions),
  },
  {
    name: "leaders",
    head: "Leaders",
    number: true,
    order: (row) => row.leaders,
    cell: (item) => () => count(item.value.leaders),
  },
  {
    name: "score",
    head: "Score",
    number: true,
    order: (row) => row.region_score,
    cell: (item) => () => bytes(item.value.region_score),
  },
  {
    name: "slow",
    head: "Slow",
    number: true,
    order: (row) => row.slow_score,
    cell: (item) => () => count(item.value.slow_score),
  },
  {
    name: "snapshots",
    head: "Snaps in/out",
    number: true,
    order: (row) => row.receiving_snaps,
    cell: (item) => () => `${count(item.value.receiving_snaps)} / ${count(item.value.sending_snaps)}`,
  },
  {
    name: "limits",
    head: "Refused",
    number: true,
    order: (row) => refused(row),
    cell: (item) => () => count(refused(item.value)),
  },
  { name: "version", head: "Version", order: (row) => row.version, cell: (item) => () => item.value.version || "?" },
  {
    name: "heard",
    head: "Heard",
    number: true,
    order: (row) => row.last_heartbeat_ms,
    cell: (item) => ago(() => item.value.last_heartbeat_ms),
  },
];

export const topics = ["stores"];
export const title = () => "Stores";

/** @param {Place} place @param {(text: string) => void} wrong */
export function page(place, wrong) {
  const sort = choice(
    place,
    "sort",
    COLUMNS.map((it) => it.name),
    wrong,
  );
  const direction = choice(place, "order", ["up", "down"], wrong);
  const label = place.parameters.get("group");
  const text = signal(place.parameters.get("filter") ?? "");
  const column = COLUMNS.find((it) => it.name === sort) ?? COLUMNS[0];
  const rows = () =>
    sorted(
      [...(stores.value?.rows.values() ?? [])].filter((row) => contains(row, text.value)),
      column,
      direction,
    );
  const present = () => rows().filter((row) => row.state !== "Tombstone");
  const gone = () => rows().filter((row) => row.state === "Tombstone");
  const head = controls(place, text, label);
  const none = () =>
    !stores.value
      ? skeleton()
      : rows().length
        ? ""
        : empty(
            text.value
              ? `No store's id, address, label or state contains “${text.value}”.`
              : "No store has joined yet. Start one; the Overview has the command.",
          );
  if (label)
    return [
      head,
      panel("Stores", none, groups(place, present, label, sort, direction)),
      tombstones(place, gone, sort, direction),
    ];
  return [
    head,
    panel("Stores", none, table(place, "All stores", present, sort, direction)),
    tombstones(place, gone, sort, direction),
  ];
}

/** @param {Place} place @param {import("../lib/dom.js").Signal<string>} text @param {string | null} label */
function controls(place, text, label) {
  const names = () =>
    [...new Set([...(stores.value?.rows.values() ?? [])].flatMap((row) => Object.keys(row.labels)))].sort();
  // The address follows without a new visit, so that the field keeps its focus.
  const keep = (/** @type {string} */ value) =>
    history.replaceState(null, "", format(withParameters(place, { filter: value })));
  const field = h("input", {
    type: "search",
    value: text.peek(),
    placeholder: "id, address, label, state",
    oninput: (/** @type {Event} */ event) => {
      text.value = /** @type {HTMLInputElement} */ (event.target).value;
      keep(text.peek());
    },
  });
  const links = () =>
    [null, ...names()].map((name) =>
      h(
        "a",
        {
          class: "chip",
          href: format(withParameters(place, { group: name })),
          "aria-current": name === label ? "true" : null,
        },
        name ?? "none",
      ),
    );
  return h(
    "div",
    { class: "controls" },
    h("label", null, "Filter ", field),
    h("span", { class: "choices", hidden: () => !label && names().length === 0 }, "Group by ", links),
  );
}

/** @param {Place} place @param {() => StoreRow[]} read @param {string} label @param {string} sort @param {string} direction */
function groups(place, read, label, sort, direction) {
  const box = h("div", null);
  const values = () => [...new Set(read().map((row) => row.labels[label] ?? ""))].sort();
  each(
    box,
    values,
    (value) => value,
    (value) => {
      const name = value.peek();
      const mine = () => read().filter((row) => (row.labels[label] ?? "") === name);
      return h(
        "div",
        { class: "group" },
        table(place, name ? `${label} = ${name}` : `without ${label}`, mine, sort, direction),
      );
    },
  );
  return box;
}

/** @param {Place} place @param {() => StoreRow[]} read @param {string} sort @param {string} direction */
function tombstones(place, read, sort, direction) {
  return h(
    "details",
    { hidden: () => read().length === 0 },
    h("summary", null, () => some(read().length, "tombstone")),
    table(place, "Tombstones", read, sort, direction),
  );
}

/** @param {Place} place @param {string} name @param {() => StoreRow[]} read @param {string} sort @param {string} direction */
function table(place, name, read, sort, direction) {
  const size = signal(WINDOW);
  const body = h("tbody", null);
  each(
    body,
    () => read().slice(0, size.value),
    (row) => row.id,
    row,
  );
  const heads = COLUMNS.map((column) => {
    const here = column.name === sort;
    const next = here && direction === "up" ? "down" : "up";
    return h(
      "th",
      {
        scope: "col",
        class: column.number ? "number" : null,
        "aria-sort": here ? (direction === "up" ? "ascending" : "descending") : null,
      },
      h(
        "a",
        { href: format(withParameters(place, { sort: column.name, order: next === "down" ? "down" : null })) },
        column.head,
        here ? (direction === "up" ? " ▲" : " ▼") : "",
      ),
    );
  });
  const more = () =>
    read().length > size.value
      ? h(
          "button",
          { type: "button", onclick: () => (size.value += WINDOW) },
          `show ${count(Math.min(WINDOW, read().length - size.value))} more of ${count(read().length)}`,
        )
      : "";
  return h(
    "div",
    { class: "scroll", hidden: () => read().length === 0 },
    h(
      "table",
      { class: "rows stores" },
      h("caption", null, () => `${name}: ${count(read().length)}`),
      h("thead", null, h("tr", null, ...heads)),
      body,
    ),
    more,
  );
}

/** @param {Item} item */
function row(item) {
  const { id } = item.peek();
  const cells = COLUMNS.map((column, at) => {
    const content = column.cell(item);
    return h(
      at ? "td" : "th",
      {
        scope: at ? null : "row",
        class: column.number ? "number" : null,
        "data-head": column.head,
        "data-column": column.name,
      },
      content,
    );
  });
  return h(
    "tr",
    {
      tabindex: "-1",
      "data-row": `store ${id}`,
      "data-open": `#/store/${id}`,
      "data-why": `#/store/${id}?why=1`,
      class: () => (old(item.value) ? "aged" : null),
    },
    ...cells,
  );
}

/** Whether its numbers are older than three heartbeats when they came. @param {StoreRow} row */
function old(row) {
  const asOf = stores.value?.asOf ?? 0;
  return row.last_heartbeat_ms === null || asOf - row.last_heartbeat_ms > OLD_MS;
}

/** @param {StoreRow[]} rows @param {Column} column @param {string} direction @returns {StoreRow[]} what is not known comes last */
export function sorted(rows, column, direction) {
  const sign = direction === "down" ? -1 : 1;
  return rows.sort((a, b) => {
    const [x, y] = [column.order(a), column.order(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null) || a.id - b.id;
    const order = typeof x === "string" && typeof y === "string" ? x.localeCompare(y) : Number(x) - Number(y);
    return sign * order || a.id - b.id;
  });
}

/** @param {StoreRow} row @param {string} text */
function contains(row, text) {
  if (text === "") return true;
  const all = [`store ${row.id}`, row.address, row.state, row.node_state, row.liveness, labels(row)]
    .join(" ")
    .toLowerCase();
  return all.includes(text.toLowerCase());
}

/** @param {StoreRow} row */
const labels = (row) =>
  Object.entries(row.labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
/** @param {StoreRow} row */
const ratio = (row) =>
  known(row.used_bytes) && known(row.capacity_bytes) && row.capacity_bytes > 0
    ? row.used_bytes / row.capacity_bytes
    : null;
/** @param {StoreRow} row */
const refused = (row) =>
  row.limits.reduce(
    (/** @type {number | null} */ sum, it) => (it.refused === null ? sum : (sum ?? 0) + it.refused),
    null,
  );
