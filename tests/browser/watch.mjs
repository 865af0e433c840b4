// What must hold on every page: no console error, no violation of the policy, nothing for axe to find, no sideways scroll.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Far beyond what a loaded machine needs. */
export const PATIENCE_MS = 60_000;

/** Screenshots lie here. */
export const SHOTS = process.env.SHOTS ?? "target/browser";
mkdirSync(SHOTS, { recursive: true });

/**
 * A page whose complaints are collected.
 * @param {import("playwright-core").BrowserContext} context
 * @param {{network?: boolean}} [allowed] `network`: a server is about to die, its refused connections are no fault
 */
export async function open(context, url, allowed = {}) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    // The browser itself tells of each answer that is an error.
    const network = /Failed to load resource|net::ERR/.test(message.text());
    if (!(network && allowed.network)) complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  await page.addInitScript(() => {
    globalThis.violations = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      globalThis.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`),
    );
  });
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.waitForFunction(() => document.body.dataset.shortcuts === "on");
  return { page, complaints };
}

/** Nothing was complained about so far. */
export async function quiet({ page, complaints }, where) {
  const violations = await page.evaluate(() => globalThis.violations);
  assert.deepEqual([...complaints, ...violations], [], `${where}: complaints`);
}

/** axe has nothing to say; it is evaluated, because the policy keeps scripts of others out. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(
    (it) =>
      `${it.id}: ${it.help}: ${it.nodes
        .slice(0, 3)
        .map((node) => `${node.target.join(" ")} ${node.failureSummary ?? ""}`)
        .join(" | ")}`,
  );
  assert.deepEqual(told, [], `${where}: axe`);
}

/** No sideways scroll of the page itself. */
export async function fits(page, where) {
  const [scroll, width] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(scroll <= width, `${where}: ${scroll} px wide on a screen of ${width} px`);
}

export const shoot = (page, name) => page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });

/** Goes there within the page, and waits until no skeleton is left. */
export async function go(page, place) {
  await page.evaluate((it) => (location.hash = `#/${it}`), place);
  await page.waitForFunction((it) => document.body.dataset.page === it, place.split(/[/?]/)[0]);
  await page.waitForFunction(() => !document.querySelector("main .skeleton"));
}

/** Waits for text in the page, and says what it saw instead. */
export async function tells(page, selector, pattern, limit = PATIENCE_MS) {
  const [source, flags] = [pattern.source, pattern.flags];
  try {
    await page.waitForFunction(
      ([it, text, how]) =>
        [...document.querySelectorAll(it)].some((node) => new RegExp(text, how).test(node.textContent)),
      [selector, source, flags],
      { timeout: limit },
    );
  } catch {
    const seen = await page.locator(selector).allTextContents();
    assert.fail(`${selector} does not tell ${pattern}; it tells ${JSON.stringify(seen)}`);
  }
}
