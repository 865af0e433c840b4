// One Region: its range, its replicas, what is being done to it, and why.

import { h } from "../lib/dom.js";
import { bytes, count } from "../lib/format.js";
import { key } from "../keytext.js";
import { ago, command, empty, fact, panel, state, storeLink } from "../parts.js";
import { steps } from "./operators.js";
import { asked, whyPanel } from "./why.js";

/** @typedef {import("../lib/router.js").Place} Place */

/** @type {string[]} */
export const topics = [];
/** @param {Place} place */
export const title = (place) => `Region ${place.argument || "?"}`;

/** @param {Place} place */
export function page(place) {
  if (!/^\d{1,19}$/.test(place.argument)) return [empty(`“${place.argument}” is no Region id: an id is a number.`)];
  const question = asked("region", place.argument);
  return [
    whyPanel(question, place.parameters.has("why")),
    facts(question),
    replicas(question),
    operator(question),
    commands(place.argument),
  ];
}

/** @param {ReturnType<typeof asked>} question */
function facts({ answer }) {
  return panel("What it is", () => {
    const region = answer.value?.region;
    if (!answer.value) return "";
    if (!region)
      return empty("Nothing is known of this Region: no leader of it has reported since this member's leader began.");
    const range = new URLSearchParams({ start: region.start_hex, end: region.end_hex });
    return h(
      "dl",
      { class: "terms" },
      fact("Keys from", h("code", { title: region.start_hex }, key(region.start_hex))),
      fact("to before", h("code", { title: region.end_hex }, key(region.end_hex, "end"))),
      fact("Epoch", `version ${region.version} · conf_ver ${region.conf_ver}`),
      fact("Leader", region.leader === null ? "not known" : storeLink(region.leader)),
      fact("Size", `${bytes(region.bytes)} · ${count(region.keys)} keys`),
      fact(
        "Heard",
        ago(() => region.heard_ms),
      ),
      fact("On the map", h("a", { href: `#/keys?${range}` }, "its stretch of the key space")),
    );
  });
}

/** @param {ReturnType<typeof asked>} question */
function replicas({ answer }) {
  return panel("Replicas", () => {
    const region = answer.value?.region;
    if (!region) return "";
    const row = (/** @type {typeof region.peers[0]} */ peer) =>
      h(
        "tr",
        {
          tabindex: "-1",
          "data-row": `peer ${peer.id}`,
          "data-open": `#/store/${peer.store}`,
          "data-why": `#/store/${peer.store}?why=1`,
        },
        h("th", { scope: "row" }, storeLink(peer.store)),
        h("td", null, peer.id === undefined ? "?" : `peer ${peer.id}`),
        h("td", null, peer.role, peer.store === region.leader ? " · leader" : ""),
        h(
          "td",
          null,
          state(() => peer.state),
          peer.down_s ? ` for ${count(peer.down_s)} s` : "",
        ),
      );
    const heads = ["Store", "Peer", "Role", "State"].map((text) => h("th", { scope: "col" }, text));
    return h(
      "table",
      { class: "rows" },
      h("caption", null, `Replicas of region ${region.id}`),
      h("thead", null, h("tr", null, ...heads)),
      h("tbody", null, ...region.peers.map(row)),
    );
  });
}

/** @param {ReturnType<typeof asked>} question */
function operator({ answer }) {
  return panel("Operator", () => {
    const it = answer.value?.operator;
    if (!answer.value) return "";
    if (!it) return empty("None: nothing is being done to it.");
    return h(
      "div",
      null,
      h(
        "p",
        null,
        h("strong", null, it.cause),
        ` (${it.kind}), made `,
        ago(() => it.created_ms),
      ),
      steps(it.steps, it.step),
      it.waits_for ? h("p", { class: "quiet" }, `waits for ${it.waits_for}`) : "",
    );
  });
}

/** @param {string} id */
function commands(id) {
  return panel(
    "Commands",
    h(
      "div",
      { class: "next" },
      command(`pd-ctl region ${id}`),
      command(`pd-ctl why region ${id}`),
      command(`pd-ctl operator check ${id}`),
    ),
  );
}
