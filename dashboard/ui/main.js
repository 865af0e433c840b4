// The page's beginning: takes over the HTML that the server wrote, follows the address, and keeps bar and notices.

import { each, effect, h, scope, signal } from "./lib/dom.js";
import { clock, share } from "./lib/format.js";
import { parse } from "./lib/router.js";
import { ask } from "./lib/stream.js";
import * as live from "./live.js";
import { mark, panel, since, trouble } from "./parts.js";

/** @typedef {import("./lib/router.js").Place} Place */
/** @typedef {{title: (place: Place) => string, topics: string[], page: (place: Place, wrong: (text: string) => void) => Node[]}} Page */

/** @type {Record<string, () => Promise<Page>>} */
const PAGES = {
  overview: () => import("./pages/overview.js"),
  stores: () => import("./pages/stores.js"),
  store: () => import("./pages/store.js"),
  keys: () => import("./pages/keys.js"),
  operators: () => import("./pages/operators.js"),
  region: () => import("./pages/region.js"),
  members: () => import("./pages/members.js"),
};
/** The page in the list of pages that stands for one that is not in it. */
const PARENT = /** @type {Record<string, string>} */ ({ store: "stores", region: "keys" });
/** How often the other members' addresses are asked for: they are what is left when this member has gone. */
const OTHERS_MS = 60_000;

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {import("./lib/dom.js").Signal<string>} A parameter of the address that makes no sense. */
const wrong = signal("");
/** @type {import("./lib/dom.js").Signal<string[]>} */
const others = signal(/** @type {string[]} */ ([]));
/** Which row had the focus at an address, so that coming back finds it. @type {Map<string, string>} */
const focused = new Map();
let endPage = () => {};
let shown = "";
let visits = 0;

/** Goes to `location.hash`. */
async function visit() {
  // Addresses of the page itself, such as the way past the menu, are no places.
  if (location.hash !== "" && !location.hash.startsWith("#/")) return;
  const place = parse(location.hash);
  const visit = (visits += 1);
  const main = $("main");
  let page;
  try {
    page = await (PAGES[place.page] ?? missing(place.page))();
  } catch (error) {
    page = broken(error);
  }
  // Somebody may have gone on while the page's module came.
  if (visit !== visits) return;
  remember();
  endPage();
  wrong.value = "";
  live.want(page.topics);
  const current = page;
  endPage = scope(() => {
    let content;
    try {
      content = current.page(place, (text) => (wrong.value = text));
    } catch (error) {
      content = broken(error).page();
    }
    main.replaceChildren(h("h1", { tabindex: "-1" }, current.title(place)), ...content);
  });
  const name = current.title(place);
  document.body.dataset.page = place.page;
  for (const link of $("pages").querySelectorAll("a")) {
    const here = link.getAttribute("href") === `#/${PARENT[place.page] ?? place.page}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  title.value = name;
  if (shown !== "" && shown !== location.hash) arrive(main);
  shown = location.hash || "#/overview";
}

const title = signal("Overview");

/** Focus goes back to the row that was left, else to the heading. @param {HTMLElement} main */
function arrive(main) {
  const key = focused.get(location.hash);
  const row = key && main.querySelector(`[data-row="${CSS.escape(key)}"]`);
  const target = /** @type {HTMLElement | null} */ (row || main.querySelector("h1"));
  target?.focus({ preventScroll: !row });
  if (!row) scrollTo(0, 0);
}

function remember() {
  const row = document.activeElement?.closest("[data-row]");
  if (row && shown) focused.set(shown, /** @type {HTMLElement} */ (row).dataset.row ?? "");
}

/** @param {string} name @returns {() => Promise<Page>} */
function missing(name) {
  return async () => ({
    title: () => "No such page",
    topics: [],
    page: () => [h("p", null, `There is no page “${name}”. The pages are ${Object.keys(PAGES).join(", ")}.`)],
  });
}

/** @param {unknown} error */
function broken(error) {
  return {
    title: () => "This page failed",
    topics: [],
    page: () => [
      panel(
        "What happened",
        trouble(error, () => visit()),
      ),
    ],
  };
}

function bar() {
  const verdict = $("verdict");
  const word = h("strong", null, () => live.health.value?.verdict ?? verdict.dataset.severity);
  effect(() => (verdict.dataset.severity = live.health.value?.verdict ?? verdict.dataset.severity));
  verdict.replaceChildren(
    mark(() => live.health.value?.verdict ?? verdict.dataset.severity ?? ""),
    word,
  );
  // Until the first news what the server wrote stands.
  const written = [...$("facts").querySelectorAll("dd")].map((it) => it.textContent);
  const facts = /** @type {[string, (health: import("./types.d.ts").Health) => string][]} */ ([
    ["Leader", (health) => health.leader ?? "none"],
    ["Cluster", (health) => health.cluster_id ?? "not drawn yet"],
    ["Seen by", (health) => health.member],
    ["Data of", (health) => clock(health.as_of_ms)],
  ]);
  $("facts").replaceChildren(
    ...facts.map(([term, read], at) =>
      h(
        "div",
        null,
        h("dt", null, term),
        h("dd", null, () => (live.health.value ? read(live.health.value) : written[at])),
      ),
    ),
  );
  effect(() => {
    document.title = `${live.health.value?.verdict ?? "?"} · ${title.value} · placement driver`;
  });
  announce();
  const paused = () => live.link.value === "paused";
  $("tools").replaceChildren(
    h(
      "button",
      { type: "button", id: "pause", "aria-pressed": () => String(paused()), onclick: () => live.pause(!paused()) },
      () => (paused() ? "paused" : "live"),
    ),
    h(
      "button",
      { type: "button", id: "find", onclick: () => keyboard().then((it) => it.find()) },
      "search ",
      h("kbd", null, "/"),
    ),
    h(
      "button",
      {
        type: "button",
        id: "help",
        "aria-label": "Keyboard and help",
        onclick: () => keyboard().then((it) => it.help()),
      },
      h("kbd", null, "?"),
    ),
  );
}

/** A change of the verdict is said once. */
function announce() {
  let told = "";
  effect(() => {
    const health = live.health.value;
    if (!health || health.verdict === told) return;
    if (told) $("announce").textContent = `Verdict: ${health.verdict}. ${health.checks[0]?.summary ?? ""}`;
    told = health.verdict;
  });
}

/** What stands above every page while this view is not simply live and whole. */
function notices() {
  /** @returns {{key: string, severity: string, content: () => import("./lib/dom.js").Child[]}[]} */
  const read = () => {
    const health = live.health.value;
    /** @type {{key: string, severity: string, content: () => import("./lib/dom.js").Child[]}[]} */
    const list = [];
    const add = (
      /** @type {string} */ key,
      /** @type {string} */ severity,
      /** @type {() => import("./lib/dom.js").Child[]} */ content,
    ) => list.push({ key, severity, content });
    const age = () => (live.health.peek() ? since(live.health.peek()?.as_of_ms) : "the server's HTML");
    if (live.link.value === "paused")
      add("paused", "learning", () => [h("strong", null, "Paused"), " at data of ", age(), ". Space goes on."]);
    else if (live.link.value === "full")
      add("full", "attention", () => [
        "The server is shedding admin work: it is asked every 10 s. Data of ",
        age(),
        ".",
      ]);
    else if (live.link.value === "crowded")
      add("crowded", "learning", () => [
        "Other tabs of this browser are live: this one asks every 10 s. Data of ",
        age(),
        ".",
      ]);
    else if (live.trust.value === "reconnecting")
      add("broken", "attention", () => [
        h("strong", null, "Reconnecting"),
        ": this member does not answer. Data of ",
        age(),
        ". ",
        elsewhere(),
      ]);
    else if (live.trust.value === "stale")
      add("stale", "attention", () => [h("strong", null, "No news"), " from this member. Data of ", age(), "."]);
    if (health && health.leader === null) {
      add("leader", "down", () => [
        h("strong", null, `This member's view (${health.member}): no leader since `),
        since(live.health.peek()?.no_leader_since_ms),
        ". Stores, operators and figures stand as the last leader saw them.",
      ]);
    } else if (health?.verdict === "learning" || (health?.heard && health.heard.regions_permille < 1_000)) {
      add("learning", "learning", () => [
        h("strong", null, () => `Learning ${share(live.health.value?.heard?.regions_permille)}`),
        () =>
          ` of regions heard, ${live.health.value?.heard?.stores ?? "?"} of ${live.health.value?.heard?.stores_expected ?? "?"} stores. Alarms that need to know the rest wait for it.`,
      ]);
    }
    if (live.otherVersion.value)
      add("version", "attention", () => [
        "The server has another version than this page. ",
        h("button", { type: "button", onclick: () => location.reload() }, "reload"),
      ]);
    if (wrong.value) add(`wrong ${wrong.value}`, "attention", () => [`In the address: ${wrong.value}. It is ignored.`]);
    for (const [topic, text] of Object.entries(live.failures.value)) if (text) add(topic, "attention", () => [text]);
    return list;
  };
  each(
    $("notices"),
    read,
    (it) => it.key,
    (it) =>
      h(
        "p",
        { class: "notice", "data-severity": it.peek().severity, "data-notice": it.peek().key.split(" ")[0] },
        mark(it.peek().severity),
        h("span", null, ...it.peek().content()),
      ),
  );
}

/** The same view on the other members. */
function elsewhere() {
  if (!others.value.length) return "";
  const place = `dashboard/${location.hash}`;
  return h(
    "span",
    null,
    "The same view on ",
    ...others.value.flatMap((url, at) => [at ? ", " : "", h("a", { href: `${url.replace(/\/$/, "")}/${place}` }, url)]),
    ".",
  );
}

async function learnOthers() {
  try {
    const { rows } = /** @type {import("./types.d.ts").Members} */ (await ask("members"));
    // An address is somebody's text: only what is a web address becomes a link.
    const urls = rows.map((row) => row.client_urls[0]).filter((url) => /^https?:\/\//.test(url ?? ""));
    others.value = urls.filter((url) => url.replace(/\/$/, "") !== location.origin);
  } catch {
    // What was known before stays.
  }
}

/** Search, shortcuts and help, which nobody needs in the first moment. */
const keyboard = () => import("./keyboard.js");

bar();
notices();
effect(() => {
  // Grey says that it is old; the notice says how old.
  const old = live.trust.value !== "fresh" || live.link.value === "paused";
  document.body.classList.toggle("old", old);
  // What only a leader knows is old while there is none.
  document.body.classList.toggle("leaderless", live.health.value?.leader === null);
});
window.addEventListener("hashchange", () => visit());
live.start();
visit()
  .then(() => keyboard())
  .then(
    (it) => it.start(),
    (error) => console.warn("no shortcuts:", error),
  );
learnOthers();
setInterval(() => document.hidden || learnOthers(), OTHERS_MS);
