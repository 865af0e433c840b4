// What people see while things break: a store dies, the leader dies. The page is never loaded anew.

import assert from "node:assert/strict";
import { ask } from "./control.mjs";
import { PATIENCE_MS, accessible, fits, go, open, quiet, shoot, tells } from "./watch.mjs";

/** A killed store is told so soon. */
const TOLD_WITHIN_MS = 15_000;

/** A store is killed: one cause with its count, and the keyboard leads from it to the command. */
export async function storeDies(browser, url) {
  const context = await browser.newContext({
    permissions: ["clipboard-read", "clipboard-write"],
    viewport: { width: 1440, height: 900 },
  });
  const watched = await open(context, url);
  const { page } = watched;
  await mark(page);
  await tells(page, "#verdict", /^(ok|attention)$/);
  const store = await ask("kill-store");
  const killed = Date.now();
  const counted = await page.waitForFunction(
    (it) => {
      const blames = (cause) =>
        cause.dataset.row.endsWith(` store ${it}`) ||
        new RegExp(`\\bstore ${it}\\b`, "i").test(cause.querySelector(".summary").textContent);
      const causes = [...document.querySelectorAll(".cause")].filter(blames);
      const regions = causes.find((cause) => /^REGION_/.test(cause.dataset.code) && cause.querySelector(".count"));
      return regions
        ? {
            code: regions.dataset.code,
            count: regions.querySelector(".count").textContent,
            all: causes.map((cause) => cause.textContent),
          }
        : null;
    },
    store,
    { timeout: TOLD_WITHIN_MS },
  );
  const told = await counted.jsonValue();
  console.log(
    `store killed: the page tells ${told.code} of ${told.count} regions, blamed on store ${store}, after ${((Date.now() - killed) / 1_000).toFixed(1)} s`,
  );
  assert.equal(told.all.length, 1, `one cause, one line: ${told.all.join(" | ")}`);
  assert.match(await page.locator("#verdict").textContent(), /degraded|at-risk/);
  await shoot(page, "store-killed");
  await accessible(page, "store killed");
  await keyboard(page, store);
  await unreloaded(page);
  await quiet(watched, "store killed");
  await ask("start-store");
  await page.evaluate(() => (location.hash = "#/overview"));
  await tells(page, "#verdict", /^(ok|attention)$/, 2 * PATIENCE_MS);
  await context.close();
}

/** From the verdict to the cause to the command, without a mouse. */
async function keyboard(page, store) {
  await page.keyboard.press("g");
  await page.keyboard.press("m");
  await tells(page, "h1", /Members/);
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  await tells(page, "h1", /Overview/);
  await page.waitForFunction((it) => document.querySelector(`.cause[data-row$=" store ${it}"]`), store);
  // Down the rows until the cause is found that blames the store.
  for (let step = 0; ; step += 1) {
    await page.keyboard.press("j");
    const row = await page.evaluate(
      () => document.activeElement?.closest("[data-row]")?.getAttribute("data-row") ?? "",
    );
    if (row.endsWith(` store ${store}`)) break;
    assert.ok(step < 50, "no row of the killed store");
  }
  assert.notEqual(
    await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle),
    "none",
    "focus can be seen",
  );
  await page.keyboard.press("Enter");
  await tells(page, "h1", new RegExp(`Store ${store}`));
  await page.waitForFunction(() => document.querySelector("#why-summary")?.textContent);
  await page.keyboard.press("w");
  await page.waitForFunction(() => document.activeElement?.id === "why-summary");
  for (let step = 0; ; step += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.classList.contains("copy"))) break;
    assert.ok(step < 50, "no command to copy behind the reasons");
  }
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.textContent === "copied");
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^pd-ctl /);
  console.log(`keyboard only: copied "${copied}"`);
  await page.goBack();
  await tells(page, "h1", /Overview/);
  await page.waitForFunction((it) => document.activeElement?.getAttribute("data-row")?.endsWith(` store ${it}`), store);
}

/**
 * The leader is killed. A third member stands still until "no leader" was seen, and one store until "learning" was, so
 * that what is often over within a second can be waited for.
 */
export async function leaderDies(browser) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  // The member that serves the page lives: it follows and will lead.
  const url = await ask("survivor");
  const watched = await open(context, url, { network: true });
  const { page } = watched;
  await mark(page);
  await tells(page, "#verdict", /^(ok|attention)$/);
  await ask("pause-third-and-store");
  const leader = await ask("kill-leader");
  const killed = Date.now();
  const after = () => `${((Date.now() - killed) / 1_000).toFixed(1)} s`;
  await tells(page, "#notices", /no leader since \d\d:\d\d:\d\d UTC/);
  await tells(page, "#verdict", /^down$/);
  console.log(`${leader} killed: "no leader since" after ${after()}`);
  await shoot(page, "no-leader");
  await accessible(page, "no leader");
  await ask("resume-third");
  await tells(page, "#notices", /Learning [\d.]+ %/);
  console.log(`"learning" after ${after()}`);
  await shoot(page, "learning");
  await ask("resume-store");
  await ask("start-leader");
  await tells(page, "#verdict", /^ok$/, 3 * PATIENCE_MS);
  console.log(`ok after ${after()}`);
  await unreloaded(page);
  await quiet(watched, "leader killed");
  await context.close();
}

/** The member that serves the page dies: grey, reconnecting, and the way to the others; then it is back. */
export async function servingMemberDies(browser) {
  const context = await browser.newContext();
  const url = await ask("survivor");
  const { page } = await open(context, url, { network: true });
  await mark(page);
  await tells(page, "#verdict", /^(ok|attention)$/);
  await ask("kill-survivor");
  await tells(page, "#notices", /Reconnecting/);
  await page.locator("#notices a").first().waitFor();
  assert.match(
    await page.locator("#notices a").first().getAttribute("href"),
    /^http:\/\/127\.0\.0\.1:\d+\/dashboard\/#?/,
  );
  await page.waitForFunction(() => document.body.classList.contains("old"));
  await shoot(page, "member-gone");
  await accessible(page, "member gone");
  await ask("start-survivor");
  await page.waitForFunction(() => !document.body.classList.contains("old"));
  await unreloaded(page);
  await context.close();
}

/** A store whose address is markup joins: it shows as text, in the server's HTML as well. */
export async function markupInAddress(browser, url) {
  const context = await browser.newContext({ viewport: { width: 360, height: 780 } });
  const watched = await open(context, `${url}#/stores`);
  const { page } = watched;
  await mark(page);
  const store = await ask("register-markup");
  await tells(page, `[data-row="store ${store}"] .address`, /<img src=x onerror="document\.title='broken out'">:20160/);
  for (const place of ["stores", `store/${store}`, "overview"]) {
    await go(page, place);
    assert.equal(await page.locator("main img").count(), 0, `${place}: markup became an element`);
    await fits(page, `markup on ${place}`);
  }
  await shoot(page, "markup-overview-360");
  assert.ok(!(await page.title()).includes("broken out"));
  await unreloaded(page);
  await quiet(watched, "markup in an address");
  await context.close();
}

/** A mark that a reload would take away. */
const mark = (page) => page.evaluate(() => (globalThis.neverReloaded = true));

async function unreloaded(page) {
  assert.equal(await page.evaluate(() => globalThis.neverReloaded), true, "the page was loaded anew");
}
