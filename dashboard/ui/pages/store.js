// One Store: why it is as it is, what it holds, and the operators that touch it.

import { each, h } from "../lib/dom.js";
import { bytes, count, span } from "../lib/format.js";
import { operators, stores } from "../live.js";
import { ago, bar, command, empty, fact, panel, regionLink, since, skeleton, state } from "../parts.js";
import { steps } from "./operators.js";
import { asked, whyPanel } from "./why.js";

/** @typedef {import("../types.d.ts").StoreRow} StoreRow */
/** @typedef {import("../lib/router.js").Place} Place */

export const topics = ["stores", "operators"];
/** @param {Place} place */
export const title = (place) => `Store ${place.argument || "?"}`;

/** @param {Place} place */
export function page(place) {
  if (!/^\d{1,19}$/.test(place.argument)) return [empty(`“${place.argument}” is no Store id: an id is a number.`)];
  const id = Number(place.argument);
  const row = () => stores.value?.rows.get(id) ?? null;
  return [
    whyPanel(asked("store", place.argument), place.parameters.has("why")),
    facts(id, row),
    limits(row),
    moves(id),
    commands(id, row),
  ];
}

/** @param {number} id @param {() => StoreRow | null} row */
function facts(id, row) {
  const some =
    (/** @type {(it: StoreRow) => import("../lib/dom.js").Content | import("../lib/dom.js").Content[]} */ read) =>
    () => {
      const it = row();
      return it ? read(it) : "?";
    };
  const list = h(
    "dl",
    { class: "terms", hidden: () => row() === null },
    fact(
      "Liveness",
      state(() => row()?.liveness ?? "?"),
    ),
    fact(
      "State",
      some((it) => `${it.state} · ${it.node_state}`),
    ),
    fact(
      "Address",
      some((it) => it.address),
    ),
    fact(
      "Status address",
      some((it) => it.status_address || "none"),
    ),
    fact(
      "Labels",
      some(
        (it) =>
          Object.entries(it.labels)
            .map(([name, value]) => `${name}=${value}`)
            .join(" ") || "none",
      ),
    ),
    fact(
      "Heard",
      ago(() => row()?.last_heartbeat_ms),
    ),
    fact(
      "Used",
      bar(
        () => row()?.used_bytes,
        () => row()?.capacity_bytes,
        `store ${id} used`,
      ),
      some((it) => ` ${bytes(it.used_bytes)} of ${bytes(it.capacity_bytes)}, ${bytes(it.available_bytes)} free`),
    ),
    fact(
      "Full in",
      some((it) => (it.full_in_s === null ? "it does not fill, or that is not known yet" : span(it.full_in_s * 1_000))),
    ),
    fact(
      "Regions",
      some(
        (it) =>
          `${count(it.regions)} · ${count(it.leaders)} led · ${count(it.learners)} learners · ${count(it.pending)} pending`,
      ),
    ),
    fact(
      "Score",
      some(
        (it) =>
          `${bytes(it.region_score)} of regions · ${count(it.leader_score)} leaders · slow ${count(it.slow_score)} of 100`,
      ),
    ),
    fact(
      "Snapshots",
      some((it) => `${count(it.receiving_snaps)} in · ${count(it.sending_snaps)} out`),
    ),
    fact(
      "Version",
      some((it) => it.version || "?"),
    ),
    fact(
      "Started",
      some((it) => since(it.started_ms)),
    ),
  );
  return panel(
    "What it is",
    () =>
      !stores.value ? skeleton() : row() ? "" : empty(`No store ${id} is known. The Stores page has those that are.`),
    list,
  );
}

/** @param {() => StoreRow | null} row */
function limits(row) {
  const body = h("tbody", null);
  each(
    body,
    () => row()?.limits ?? [],
    (it) => it.kind,
    (item) =>
      h(
        "tr",
        null,
        h("th", { scope: "row" }, item.peek().kind),
        h("td", { class: "number", "data-head": "Rate" }, () =>
          item.value.rate === null ? "no limit" : `${count(item.value.rate)} a minute`,
        ),
        h("td", { class: "number", "data-head": "Refused in this term" }, () => count(item.value.refused)),
      ),
  );
  const heads = [
    ["Limit", null],
    ["Rate", "number"],
    ["Refused in this term", "number"],
  ].map(([text, kind]) => h("th", { scope: "col", class: kind }, text));
  return panel(
    "Limits",
    h(
      "table",
      { class: "rows narrow", hidden: () => !row()?.limits.length },
      h("caption", null, "Limits of this store"),
      h("thead", null, h("tr", null, ...heads)),
      body,
    ),
    () => (row()?.limits.length ? "" : empty("No limit of its own.")),
  );
}

/** @param {number} id */
function moves(id) {
  const read = () =>
    [...(operators.value?.rows.values() ?? [])].filter(
      (it) => (it.state === "running" || it.state === "waiting") && it.stores.includes(id),
    );
  const list = h("ul", { class: "plain" });
  each(
    list,
    read,
    (it) => it.id,
    (item) =>
      h(
        "li",
        {
          tabindex: "-1",
          "data-row": `operator ${item.peek().id}`,
          "data-open": `#/region/${item.peek().region}`,
          "data-why": `#/region/${item.peek().region}?why=1`,
        },
        regionLink(item.peek().region),
        ` ${item.peek().desc} `,
        () => steps(item.value.steps, item.value.step ?? 0),
      ),
  );
  return panel(
    "Operators",
    list,
    () => (read().length ? "" : empty("No operator touches it now.")),
    h("p", null, h("a", { href: `#/operators?store=${id}` }, "all operators of this store")),
  );
}

/** @param {number} id @param {() => StoreRow | null} row */
function commands(id, row) {
  const drain = () =>
    row()?.state === "Offline" ? command(`pd-ctl store cancel-delete ${id}`) : command(`pd-ctl store delete ${id}`);
  return panel(
    "Commands",
    h(
      "div",
      { class: "next" },
      command(`pd-ctl why store ${id}`),
      command(`pd-ctl store ${id}`),
      command(`pd-ctl region store ${id}`),
      drain,
    ),
  );
}
