// Shortcuts, the search for ids, addresses and keys, and the help that lists them.

import { h } from "./lib/dom.js";
import { keyHex } from "./keytext.js";
import * as live from "./live.js";

/** The second key after `g`. */
const PAGES = /** @type {Record<string, [string, string]>} */ ({
  o: ["overview", "Overview"],
  s: ["stores", "Stores"],
  k: ["keys", "Key space"],
  p: ["operators", "Operators"],
  m: ["members", "Members"],
});
const HELP = [
  ["/", "search: store, region, address, key in hex or text"],
  ["g then o s k p m", "Overview, Stores, Key space, Operators, Members"],
  ["j k", "next and previous row"],
  ["Enter", "open the row"],
  ["w", "why: the planner's reasons for the row or this page"],
  ["y", "copy a link to this view"],
  ["Space", "pause and go on"],
  ["?", "this help"],
  ["Esc", "close, or leave the search"],
];
/** A `g` is forgotten after so long. */
const PREFIX_MS = 1_500;
/** Where the wish to have no single-key shortcuts is kept. */
const OFF = "shortcuts-off";

let prefixUntil = 0;

export function start() {
  document.addEventListener("keydown", onKey);
  // From now on keys are heard.
  document.body.dataset.shortcuts = "on";
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (off()) return;
  // A control keeps the keys that work it, and the map its arrows.
  const control = target.closest("button, summary, a");
  if ((event.key === "Enter" || event.key === " ") && control) return;
  if (act(event.key)) event.preventDefault();
}

/** @param {string} key @returns {boolean} whether it meant something */
function act(key) {
  if (performance.now() < prefixUntil) {
    prefixUntil = 0;
    const page = PAGES[key]?.[0];
    if (page) location.hash = `#/${page}`;
    return page !== undefined;
  }
  const row = /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-row]") ?? null);
  switch (key) {
    case "/":
      find();
      return true;
    case "?":
      help();
      return true;
    case "g":
      prefixUntil = performance.now() + PREFIX_MS;
      return true;
    case "j":
      step(row, 1);
      return true;
    case "k":
      step(row, -1);
      return true;
    case "Enter":
      return follow(row?.dataset.open ?? row?.querySelector("a")?.getAttribute("href"));
    case "w":
      return follow(row?.dataset.why ?? whyHere());
    case "y":
      copyLink();
      return true;
    case " ":
      live.pause(live.link.peek() !== "paused");
      return true;
    default:
      return false;
  }
}

/** What "why" means where no row has the focus: this page's own question, else that of its first cause. */
function whyHere() {
  const here = /** @type {HTMLElement | null} */ (document.querySelector("main [data-why-here]"));
  const cause = /** @type {HTMLElement | null} */ (document.querySelector("main .cause[data-why]"));
  return here?.dataset.whyHere ?? cause?.dataset.why;
}

/** @param {string | null | undefined} place */
function follow(place) {
  if (!place) return false;
  if (place.startsWith("#why-")) document.getElementById(place.slice(1))?.focus();
  else location.hash = place;
  return true;
}

/** @param {HTMLElement | null} row @param {number} by */
function step(row, by) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("main [data-row]")]).filter(
    (it) => it.offsetParent !== null,
  );
  const at = row ? rows.indexOf(row) : by > 0 ? -1 : rows.length;
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}

async function copyLink() {
  const announce = /** @type {HTMLElement} */ (document.getElementById("announce"));
  try {
    await navigator.clipboard.writeText(location.href);
    announce.textContent = "The link is copied.";
  } catch {
    announce.textContent = `The link: ${location.href}`;
  }
}

function off() {
  try {
    return localStorage.getItem(OFF) !== null;
  } catch {
    return false;
  }
}

/** @typedef {HTMLDialogElement & {leave: () => void}} Box closes by `leave` at once: the next key belongs to the page again */

/** @param {string} title @param {HTMLElement[]} content @returns {Box} */
function dialog(title, content) {
  const back = /** @type {HTMLElement | null} */ (document.activeElement);
  const leave = () => {
    box.remove();
    back?.focus();
  };
  const close = h("button", { type: "button", class: "close", onclick: leave }, "close");
  const element = h("dialog", { "aria-label": title, onclose: leave }, h("h2", null, title), ...content, close);
  const box = Object.assign(/** @type {HTMLDialogElement} */ (element), { leave });
  document.body.append(box);
  box.showModal();
  return box;
}

export function help() {
  const box = h("input", {
    type: "checkbox",
    onchange: (/** @type {Event} */ event) => {
      const on = /** @type {HTMLInputElement} */ (event.target).checked;
      if (on) localStorage.removeItem(OFF);
      else localStorage.setItem(OFF, "1");
    },
  });
  /** @type {HTMLInputElement} */ (box).checked = !off();
  const rows = HELP.map(([keys, text]) =>
    h("tr", null, h("th", { scope: "row" }, h("kbd", null, keys)), h("td", null, text)),
  );
  dialog("Keyboard", [
    h("table", { class: "help" }, h("caption", null, "Every page answers these keys"), h("tbody", null, ...rows)),
    h("label", { class: "option" }, box, " single-key shortcuts"),
    h("p", null, h("a", { href: `${document.documentElement.dataset.api ?? ""}docs/` }, "API documents")),
  ]);
}

export function find() {
  const results = h("ul", { class: "found" });
  const input = /** @type {HTMLInputElement} */ (
    h("input", {
      type: "search",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": "Store, region, address or key",
      placeholder: "7 · 10.0.0.1:20160 · 7480.. · user01",
      oninput: () => show(),
    })
  );
  const show = () => {
    const places = candidates(input.value.trim());
    const links = places.map(([href, text]) => h("a", { href, onclick: () => box.leave() }, text));
    results.replaceChildren(...links.map((link) => h("li", null, link)));
  };
  const form = h(
    "form",
    {
      onsubmit: (/** @type {Event} */ event) => {
        event.preventDefault();
        const first = candidates(input.value.trim())[0];
        if (!first) return;
        box.leave();
        location.hash = first[0];
      },
    },
    input,
  );
  const box = dialog("Search", [form, results]);
  input.focus();
}

/** Places that `text` may mean, the likeliest first. @param {string} text @returns {[string, string][]} */
export function candidates(text) {
  if (text === "") return [];
  /** @type {[string, string][]} */
  const found = [];
  const stores = live.stores.peek()?.rows;
  const named = /^(store|region|s|r)[\s/:]*(\d{1,19})$/i.exec(text);
  const number = /^\d{1,19}$/.test(text) ? text : null;
  if (named) found.push([`#/${named[1][0].toLowerCase() === "s" ? "store" : "region"}/${named[2]}`, text]);
  if (number && stores?.has(Number(number))) found.push([`#/store/${number}`, `store ${number}`]);
  if (number) found.push([`#/region/${number}`, `region ${number}`]);
  if (number && !stores?.has(Number(number))) found.push([`#/store/${number}`, `store ${number}`]);
  for (const store of stores?.values() ?? []) {
    if (found.length < 8 && store.address.includes(text) && !number)
      found.push([`#/store/${store.id}`, `store ${store.id} at ${store.address}`]);
  }
  found.push([`#/keys?key=${keyHex(text)}`, `the key ${text}`]);
  return found;
}
