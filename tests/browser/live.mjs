// A real group with stores and load: each page, the keyboard, many tabs.

import assert from "node:assert/strict";
import { PATIENCE_MS, accessible, fits, go, open, quiet, shoot, tells } from "./watch.mjs";

/** Every page in both widths and both themes. */
export async function pages(browser, url) {
  for (const width of [1440, 360]) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ viewport: { width, height: width === 360 ? 780 : 900 }, colorScheme });
      const watched = await open(context, url);
      const { page } = watched;
      await page.waitForFunction(() =>
        /^(ok|attention|learning)$/.test(document.querySelector("#verdict")?.dataset.severity ?? ""),
      );
      const [store, region] = await some(page);
      for (const place of [
        "overview",
        "stores",
        `store/${store}`,
        "keys",
        "operators",
        `region/${region}`,
        "members",
      ]) {
        await go(page, place);
        await full(page, place);
        const where = `${place} at ${width} ${colorScheme}`;
        await fits(page, where);
        await accessible(page, where);
        await shoot(page, `${place.split("/")[0]}-${width}-${colorScheme}`);
      }
      await page.locator("body").press("?");
      await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
      await accessible(page, `help at ${width} ${colorScheme}`);
      await page.keyboard.press("Escape");
      await quiet(watched, `${width} ${colorScheme}`);
      await context.close();
    }
  }
}

/** A store and a Region that exist. */
async function some(page) {
  await go(page, "stores");
  await page.waitForFunction(() => document.querySelector('main [data-row^="store "]'));
  const store = (await page.locator('main [data-row^="store "]').first().getAttribute("data-row")).split(" ")[1];
  const answer = await page.evaluate(async () => (await fetch("../pd/api/v1/regions/key?key=&limit=1")).json());
  return [store, answer.regions[0].id];
}

/** What a page is about has come. */
async function full(page, place) {
  const wanted = {
    overview: ".figure",
    stores: "tbody tr",
    store: ".terms dd",
    keys: "canvas",
    operators: ".panel",
    region: "tbody tr",
    members: "tbody tr",
  };
  await page
    .locator(`main ${wanted[place.split("/")[0]]}`)
    .first()
    .waitFor();
}

/** Without script the verdict and its figures are there, and the first answer has the verdict in its HTML. */
export async function withoutScript(browser, url) {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(url);
  assert.match(await page.locator("#verdict").textContent(), /ok|attention|learning/);
  await page.locator("noscript, main .quiet").first().waitFor({ state: "attached" });
  await shoot(page, "without-script");
  await context.close();
}

/** The first view is small and asks for few files. */
export async function budget(browser, url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const sizes = new Map();
  session.on("Network.loadingFinished", (event) => sizes.set(event.requestId, event.encodedDataLength));
  await page.goto(url, { waitUntil: "load" });
  await page.locator("main .figure").first().waitFor();
  await page.waitForFunction(() =>
    performance.getEntriesByType("resource").some((it) => it.name.endsWith("keyboard.js")),
  );
  const names = await page.evaluate(() =>
    performance.getEntriesByType("resource").map((it) => it.name.split("/").slice(-2).join("/")),
  );
  const bytes = [...sizes.values()].reduce((sum, it) => sum + it, 0);
  console.log(`first view: ${names.length} requests besides the page, ${bytes} bytes with headers: ${names.join(" ")}`);
  assert.ok(bytes > 0 && bytes <= 60 * 1_024, `${bytes} bytes`);
  // Shortcuts and lines of the past come when the first view stands.
  const modules = names.filter((name) => name.endsWith(".js") && !/keyboard|keytext|spark/.test(name));
  assert.ok(modules.length <= 8, `${modules.length} modules: ${modules.join(" ")}`);
  await context.close();
}

/** Eight tabs of one browser on one server: few of them have a stream, so that the eighth loads, and each has data. */
export async function eightTabs(browser, url) {
  const context = await browser.newContext();
  const pages = [];
  for (let tab = 1; tab <= 8; tab += 1) {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.goto(`${url}#/stores`, { waitUntil: "domcontentloaded" });
    await tells(page, "main", /127\.0\.0\.1/);
    pages.push(page);
  }
  await tells(pages[7], "#notices", /Other tabs of this browser are live/);
  // Tabs that nobody sees give their connection back, and the last one becomes live.
  for (const page of pages.slice(0, 7)) await hide(page, true);
  await pages[7].waitForFunction(() => !document.querySelector("[data-notice=crowded]"), null, { polling: 100 });
  await live(pages[7]);
  // The first one comes back and is live again.
  await hide(pages[0], false);
  await live(pages[0]);
  await context.close();
}

/** Its data goes on. */
async function live(page) {
  const before = await page.locator("#facts").textContent();
  await page.waitForFunction((text) => document.querySelector("#facts")?.textContent !== text, before, {
    polling: 100,
  });
}

/** A page behind another one: headless browsers show all of them, so the page is told as a browser with a screen would. */
async function hide(page, hidden) {
  await page.evaluate((it) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => it });
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => (it ? "hidden" : "visible") });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

/** Below another place everything is asked for below it, the Regions of a cell as well: a proxy has one rule. */
export async function belowPrefix(browser, url, prefix) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const watched = await open(context, `${new URL(url).origin}${prefix}/#/keys`);
  const { page } = watched;
  const outside = [];
  page.on("request", (request) => {
    if (!new URL(request.url()).pathname.startsWith(`${prefix}/`)) outside.push(request.url());
  });
  await page.waitForFunction(() => document.querySelector("canvas")?.width > 300);
  await page.locator("canvas").focus();
  await page.keyboard.press("End");
  await tells(page, "#cell-text", /Cell [\d,]+ of/);
  await page.keyboard.press("Enter");
  await page.locator('main tbody [data-row^="region "]').first().waitFor();
  for (const place of ["overview", "stores", "members"]) await go(page, place);
  assert.deepEqual(outside, [], "asked for outside of the place of the page");
  await quiet(watched, "below a prefix");
  await context.close();
}

/** The documents of the API show its routes, wherever they are opened. */
export async function documents(browser, places) {
  for (const place of places) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    await page.goto(`${place}pd/api/v2/docs`);
    await tells(page, ".opblock-summary-path", /\/pd\/api\/v2\/health/);
    assert.deepEqual(complaints, [], `documents at ${place}`);
    await shoot(page, "documents");
    await context.close();
  }
}

/** An address shows the same in another browser. */
export async function sameElsewhere(browser, url) {
  const texts = [];
  for (let at = 0; at < 2; at += 1) {
    const context = await browser.newContext();
    const { page } = await open(context, `${url}#/stores?sort=leaders&order=down&filter=127.0.0.1`);
    await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length > 0);
    texts.push(await page.locator("main thead").first().textContent());
    assert.equal(await page.getByLabel("Filter").inputValue(), "127.0.0.1");
    await context.close();
  }
  assert.equal(texts[0], texts[1]);
}
