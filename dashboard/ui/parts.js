// The pieces that every page is built from: marks, links, commands to copy, ages, panels.

import { h } from "./lib/dom.js";
import { clock, moment, span } from "./lib/format.js";
import { now } from "./live.js";

/** @typedef {import("./types.d.ts").Subject} Subject */

/** How long "copied" stands. */
const COPIED_MS = 1_500;
/** Words of states of a store's liveness, an operator and a member, by how much they matter. */
const SEVERITY = /** @type {Record<string, string>} */ ({
  Connected: "ok",
  Up: "ok",
  Serving: "ok",
  leader: "ok",
  follower: "ok",
  finished: "ok",
  success: "ok",
  healthy: "ok",
  Disconnected: "attention",
  Offline: "attention",
  Preparing: "attention",
  Removing: "attention",
  learner: "attention",
  timeout: "attention",
  Unhealthy: "attention",
  disconnected: "attention",
  offline: "attention",
  cancelled: "attention",
  replaced: "attention",
  waiting: "learning",
  pending: "attention",
  Down: "at-risk",
  down: "at-risk",
  failed: "at-risk",
  Tombstone: "learning",
  Removed: "learning",
  running: "ok",
});
const ORDER = ["at-risk", "down", "degraded", "blocked", "attention", "learning", "ok"];

/** The place of a severity in the order of the verdict; unknown words come after those that mean harm. @param {string} word */
export function rank(word) {
  const found = ORDER.indexOf(word);
  return found < 0 ? ORDER.indexOf("learning") : found;
}

/** A shape in the colour of `severity`; the word stands beside it. @param {string | (() => string)} severity */
export function mark(severity) {
  return h("span", { class: "mark", "aria-hidden": "true", "data-severity": severity });
}

/** A state: shape and word. A word that nobody knows is shown as it is. @param {() => string} word @param {() => string} [severity] */
export function state(word, severity = () => SEVERITY[word()] ?? "learning") {
  return h("span", { class: "state", "data-severity": severity }, mark(severity), word);
}

/** @param {number} id */
export const storeLink = (id) => h("a", { href: `#/store/${id}`, class: "id" }, `store ${id}`);
/** @param {number} id */
export const regionLink = (id) => h("a", { href: `#/region/${id}`, class: "id" }, `region ${id}`);

/** Where a subject leads. @param {Subject | null | undefined} subject */
export function subjectPlace(subject) {
  if (subject?.region !== undefined && subject.region !== null) return `#/region/${subject.region}`;
  if (subject?.store !== undefined && subject.store !== null) return `#/store/${subject.store}`;
  if (subject?.member) return "#/members";
  if (subject?.range) return `#/keys?start=${subject.range.split("..")[0]}&end=${subject.range.split("..")[1] ?? ""}`;
  return null;
}

/** @param {Subject | null | undefined} subject */
export function subjectText(subject) {
  const [kind, id] = Object.entries(subject ?? {}).find(([, value]) => value !== null && value !== undefined) ?? [
    "",
    "",
  ];
  return `${kind} ${id}`.trim();
}

/** @param {Subject} subject */
export function subjectLink(subject) {
  const place = subjectPlace(subject);
  return place
    ? h("a", { href: place, class: "id" }, subjectText(subject))
    : h("span", { class: "id" }, subjectText(subject));
}

/** A command line with a button that copies it. @param {string} text */
export function command(text) {
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-label": `Copy: ${text}`, onclick: () => copy(text, button) },
    "copy",
  );
  return h("span", { class: "command" }, h("code", null, text), button);
}

/** Puts `text` on the clipboard; where that is refused the text is selected. @param {string} text @param {HTMLElement} button */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    // Without a secure origin there is no clipboard: selected text is one key away from it.
    const code = button.parentElement?.querySelector("code");
    if (code) getSelection()?.selectAllChildren(code);
    button.textContent = code ? "selected" : "no clipboard";
  }
  setTimeout(() => (button.textContent = "copy"), COPIED_MS);
}

/** How long ago; exact on hover. @param {() => number | null | undefined} at */
export function ago(at, word = "ago") {
  return h("time", { class: "age", title: () => moment(at()) }, () => {
    const then = at();
    return then === null || then === undefined
      ? "never heard"
      : `${span(Math.max(0, now.value - then))} ${word}`.trim();
  });
}

/** "12:03:07 UTC (4 m)". @param {number | null | undefined} at */
export function since(at) {
  return h("time", { class: "age", title: moment(at) }, () =>
    at === null || at === undefined ? "unknown" : `${clock(at)} (${span(Math.max(0, now.value - at))})`,
  );
}

/** One term of a list of facts. @param {string} term @param {...import("./lib/dom.js").Child} value */
export function fact(term, ...value) {
  return h("div", null, h("dt", null, term), h("dd", null, ...value));
}

let titles = 0;

/** A part of a page with a heading. @param {string} title @param {...import("./lib/dom.js").Child} children */
export function panel(title, ...children) {
  const id = `title-${(titles += 1)}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** Why there is nothing, and what will fill it. @param {import("./lib/dom.js").Child} text */
export function empty(text) {
  return h("p", { class: "empty" }, text);
}

/** An error of one panel: endpoint, code, request, and a way to try again. @param {any} error @param {() => void} retry */
export function trouble(error, retry) {
  const { path = "", status = 0, code = "", request = "" } = error.told ?? {};
  const place =
    path && `GET ${new URL(path, "http://member/dashboard/pd/api/v2/").pathname.replace("/dashboard/", "/")}`;
  const facts = [place, status && `status ${status}`, code, request && `request ${request}`];
  return h(
    "div",
    { class: "trouble", role: "alert" },
    h("p", null, mark("attention"), h("strong", null, String(error.message ?? error))),
    h("p", { class: "quiet" }, facts.filter(Boolean).join(" · ")),
    h("button", { type: "button", onclick: retry }, "try again"),
  );
}

/** What stands until the first data comes; it shows itself only after a moment. */
export const skeleton = () => h("div", { class: "skeleton", role: "status" }, "loading");

/** A bar of `part` in `whole`. @param {() => number | null | undefined} part @param {() => number | null | undefined} whole @param {string} name */
export function bar(part, whole, name) {
  const permille = () => {
    const [a, b] = [part(), whole()];
    return a === null || a === undefined || !b ? null : Math.max(0, Math.min(1_000, Math.round((a / b) * 1_000)));
  };
  const fill = h("span", { class: "fill", style: () => ({ width: `${(permille() ?? 0) / 10}%` }) });
  const label = () => `${name}: ${permille() === null ? "not known" : `${Math.floor((permille() ?? 0) / 10)} %`}`;
  return h(
    "span",
    { class: () => `bar${permille() === null ? " unknown" : ""}`, role: "img", "aria-label": label },
    fill,
  );
}
