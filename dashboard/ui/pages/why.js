// The planner's own chain of reasons for a Region or a Store, asked once and again on request.

import { h, onEnd, signal } from "../lib/dom.js";
import { count, some } from "../lib/format.js";
import { ask } from "../lib/stream.js";
import { ago, command, empty, mark, panel, since, skeleton, subjectLink, trouble } from "../parts.js";

/** @typedef {import("../types.d.ts").Why} Why */
/** @typedef {import("../types.d.ts").Reason} Reason */

/** How often an open page asks again. */
const AGAIN_MS = 5_000;

/**
 * The answer to "why", kept fresh while the page is open.
 * @param {"region" | "store"} kind
 * @param {string} id
 */
export function asked(kind, id) {
  /** @type {import("../lib/dom.js").Signal<Why | null>} */
  const answer = signal(/** @type {Why | null} */ (null));
  /** @type {import("../lib/dom.js").Signal<any>} */
  const error = signal(/** @type {any} */ (null));
  const stop = new AbortController();
  const again = async () => {
    try {
      answer.value = await ask(`why/${kind}/${encodeURIComponent(id)}`, stop.signal);
      error.value = null;
    } catch (failure) {
      if (!stop.signal.aborted) error.value = failure;
    }
  };
  again();
  const timer = setInterval(() => document.hidden || again(), AGAIN_MS);
  onEnd(() => {
    clearInterval(timer);
    stop.abort();
  });
  return { answer, error, again };
}

/**
 * @param {ReturnType<typeof asked>} question
 * @param {boolean} focus whether it was asked for by the address
 */
export function whyPanel({ answer, error, again }, focus) {
  const heading = h(
    "p",
    { class: "summary", id: "why-summary", tabindex: "-1", "data-why-here": "#why-summary" },
    () => answer.value?.summary ?? "",
  );
  if (focus) queueMicrotask(() => setTimeout(() => heading.focus()));
  return panel(
    "Why",
    () => (error.value ? trouble(error.value, again) : answer.value ? "" : skeleton()),
    heading,
    () =>
      answer.value?.lines.length
        ? h("ol", { class: "reasons" }, ...answer.value.lines.map(reason))
        : answer.value && !answer.value.healthy
          ? empty("The planner gives no reason.")
          : "",
    () =>
      answer.value?.kept.length
        ? h(
            "details",
            null,
            h("summary", null, some(answer.value.kept.length, "earlier reason")),
            h("ol", { class: "reasons" }, ...answer.value.kept.map(reason)),
          )
        : "",
    h("div", { class: "next" }, () => (answer.value?.next ?? []).map(command)),
    h("p", { class: "quiet" }, () => (answer.value ? ["asked ", ago(() => answer.value?.as_of_ms)] : "")),
  );
}

/** @param {Reason} it */
function reason(it) {
  const numbers =
    it.number === null ? "" : ` ${count(it.number)}${it.limit === null ? "" : `, limit ${count(it.limit)}`}`;
  return h(
    "li",
    { "data-severity": it.severity },
    it.severity ? mark(it.severity) : "",
    h("span", null, it.text),
    it.kind ? h("span", { class: "quiet" }, " ", h("code", null, it.kind), numbers) : "",
    it.subject ? [" ", subjectLink(it.subject)] : "",
    it.at_ms
      ? h(
          "span",
          { class: "quiet" },
          " last ",
          since(it.at_ms),
          (it.times ?? 1) > 1 ? `, ${count(it.times)} times` : "",
        )
      : "",
  );
}
