// Members of the placement driver: who leads since when, how far each is, how timestamps stand, who holds what back.

import { each, h } from "../lib/dom.js";
import { bytes, count, known, span } from "../lib/format.js";
import { members } from "../live.js";
import { ago, command, empty, fact, panel, since, skeleton, state } from "../parts.js";

/** @typedef {import("../types.d.ts").MemberRow} MemberRow */

export const topics = ["members"];
export const title = () => "Members";

export function page() {
  return [
    table(),
    timestamps(),
    changes(),
    safePoints(),
    panel(
      "Commands",
      h(
        "div",
        { class: "next" },
        command("pd-ctl member"),
        command("pd-ctl member leader show"),
        command("pd-ctl health"),
      ),
    ),
  ];
}

function table() {
  const body = h("tbody", null);
  each(
    body,
    () => [...(members.value?.rows ?? [])].sort((a, b) => a.name.localeCompare(b.name)),
    (it) => it.id,
    (item) => {
      const first = item.peek();
      const cells = [
        [
          "Role",
          () => [
            state(
              () => item.value.role,
              () => severity(item.value),
            ),
          ],
        ],
        [
          "Address",
          () =>
            item.value.client_urls.map((url) =>
              h(
                "div",
                { class: "address" },
                /^https?:\/\//.test(url) ? h("a", { href: `${url.replace(/\/$/, "")}/dashboard/#/members` }, url) : url,
              ),
            ),
        ],
        ["Term", () => count(item.value.term)],
        ["Applied", () => `${count(item.value.applied)}${item.value.lag ? `, ${count(item.value.lag)} behind` : ""}`],
        ["Sync", () => sync(item.value)],
        ["Clock", () => (item.value.name === members.value?.from ? "own" : offset(item.value.clock_offset_ms))],
        ["Data", () => bytes(item.value.data_bytes)],
        ["Version", () => item.value.version || "?"],
        ["Heard", () => [ago(() => item.value.last_heard_ms)]],
      ];
      return h(
        "tr",
        { tabindex: "-1", "data-row": `member ${first.id}`, "data-open": "#/members" },
        h("th", { scope: "row" }, () => item.value.name),
        ...cells.map(([head, read]) =>
          h(
            "td",
            {
              "data-head": head,
              class: ["Term", "Applied", "Sync", "Clock", "Data"].includes(String(head)) ? "number" : null,
            },
            /** @type {any} */ (read),
          ),
        ),
      );
    },
  );
  const heads = ["Member", "Role", "Address", "Term", "Applied", "Log sync", "Clock", "Data", "Version", "Heard"].map(
    (text, at) => h("th", { scope: "col", class: at >= 3 && at <= 7 ? "number" : null }, text),
  );
  const lead = () => {
    const it = members.value;
    if (!it) return skeleton();
    return it.leader
      ? h(
          "p",
          null,
          h("strong", null, it.leader),
          ` leads term ${count(it.term)}`,
          it.leads_since_ms ? [" since ", since(it.leads_since_ms)] : "",
          ".",
        )
      : h("p", null, h("strong", null, "Nobody leads"), " since ", since(it.no_leader_since_ms), ".");
  };
  return panel(
    "Members",
    lead,
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        { class: "rows members" },
        h("caption", null, "Members, as this one sees them"),
        h("thead", null, h("tr", null, ...heads)),
        body,
      ),
    ),
  );
}

/** @param {MemberRow} row */
function severity(row) {
  if (row.healthy === false) return "down";
  if (row.healthy === null) return "learning";
  return row.role === "unknown" ? "learning" : row.role === "learner" ? "attention" : "ok";
}

/** @param {MemberRow} row */
function sync(row) {
  if (known(row.fsync_p99_ms)) return `p99 ${count(row.fsync_p99_ms)} ms`;
  return known(row.fsync_mean_ms) ? `mean ${count(Math.round(row.fsync_mean_ms * 100) / 100)} ms` : "?";
}

/** @param {number | null} ms */
const offset = (ms) => (known(ms) ? `${ms > 0 ? "+" : ""}${count(ms)} ms` : "?");

function timestamps() {
  return panel("Timestamps", () => {
    const it = members.value?.timestamps;
    if (!members.value) return "";
    if (!it) return empty("Not known: only a leader gives timestamps.");
    return h(
      "dl",
      { class: "terms" },
      fact("Given", `${count(it.per_s === null ? null : Math.round(it.per_s))}/s`),
      fact("Durable bound", `${count(it.bound_ahead_ms)} ms ahead`),
      fact("Against clock", offset(it.offset_ms)),
    );
  });
}

function changes() {
  const body = h("tbody", null);
  each(
    body,
    () => members.value?.changes ?? [],
    (it) => `${it.term} ${it.at_ms}`,
    (item) => {
      const it = item.peek();
      return h(
        "tr",
        null,
        h("th", { scope: "row" }, since(it.at_ms)),
        h("td", null, `${it.from ?? "nobody"} → ${it.to ?? "nobody"}`),
        h("td", { class: "number", "data-head": "Term" }, count(it.term)),
        h("td", { class: "number", "data-head": "Without a leader" }, it.gap_ms === null ? "?" : span(it.gap_ms)),
      );
    },
  );
  const heads = ["When", "Lead", "Term", "Without a leader"].map((text, at) =>
    h("th", { scope: "col", class: at > 1 ? "number" : null }, text),
  );
  return panel(
    "Changes of the leader",
    () => (members.value?.changes.length === 0 ? empty("None since this member started.") : ""),
    h(
      "table",
      { class: "rows narrow", hidden: () => !members.value?.changes.length },
      h("caption", null, "As this member saw them, the newest first"),
      h("thead", null, h("tr", null, ...heads)),
      body,
    ),
  );
}

function safePoints() {
  const body = h("tbody", null);
  each(
    body,
    () => members.value?.safe_points ?? [],
    (it) => it.service,
    (item) =>
      h(
        "tr",
        null,
        h("th", { scope: "row" }, item.peek().service),
        h("td", { class: "number", "data-head": "Safe point" }, () => String(item.value.value)),
        h("td", { class: "number", "data-head": "Age" }, () => (known(item.value.age_ms) ? span(item.value.age_ms) : "?")),
      ),
  );
  const heads = ["Service", "Safe point", "Age"].map((text, at) =>
    h("th", { scope: "col", class: at ? "number" : null }, text),
  );
  return panel(
    "Safe points",
    () => (members.value && !members.value.safe_points.length ? empty("Nobody holds garbage collection back.") : ""),
    h(
      "table",
      { class: "rows narrow", hidden: () => !members.value?.safe_points.length },
      h("caption", null, "Who holds garbage collection back"),
      h("thead", null, h("tr", null, ...heads)),
      body,
    ),
  );
}
