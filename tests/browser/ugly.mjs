// What a healthy group never says, told by the server of canned answers.

import assert from "node:assert/strict";
import { fixture } from "./fixture.mjs";
import { MARKUP } from "./scenes.mjs";
import { PATIENCE_MS, accessible, fits, go, open, quiet, shoot, tells } from "./watch.mjs";

const PLACES = ["overview", "stores", "store/1", "operators", "region/77", "keys", "members"];

export async function ugly(browser) {
  const server = await fixture("ugly");
  try {
    for (const [width, colorScheme] of [
      [1440, "light"],
      [360, "dark"],
    ]) {
      await odd(await browser.newContext({ viewport: { width, height: 800 }, colorScheme }), server, width);
    }
    await many(await browser.newContext({ viewport: { width: 1440, height: 900 } }), server);
    await alike(await browser.newContext({ viewport: { width: 360, height: 800 } }), server);
    await empty(await browser.newContext({ viewport: { width: 360, height: 800 } }), server);
    await shedding(await browser.newContext(), server);
    await version(await browser.newContext(), server);
    await errors(await browser.newContext(), server);
    await addresses(await browser.newContext(), server);
    await pausing(await browser.newContext(), server);
    await searching(await browser.newContext(), server);
    await wrongClock(await browser.newContext(), server);
    await map(await browser.newContext({ viewport: { width: 1440, height: 900 } }), server);
  } finally {
    server.close();
  }
}

/** Markup is text, words that nobody knows are shown as they are, addresses that are no web address are no links. */
async function odd(context, server, width) {
  const watched = await open(context, server.url);
  const { page } = watched;
  await tells(page, "#verdict", /frozen-over/);
  for (const place of PLACES) {
    await go(page, place);
    await fits(page, `ugly ${place} at ${width}`);
    await accessible(page, `ugly ${place} at ${width}`);
    assert.equal(
      await page.locator("main img, main b img, main i, main u").count(),
      0,
      `${place}: markup became elements`,
    );
  }
  await go(page, "stores");
  assert.ok((await page.locator("main").textContent()).includes(MARKUP), "the address is shown as it is");
  await tells(page, "main", /Sublimated/);
  await shoot(page, `ugly-stores-${width}`);
  await go(page, "members");
  assert.equal(await page.locator('a[href^="javascript"]').count(), 0);
  assert.ok(!(await page.title()).includes("broken out"));
  await quiet(watched, `ugly at ${width}`);
  await context.close();
}

/** Three hundred stores: a window of rows, the rest on demand, sorted and filtered as the address says. */
async function many(context, server) {
  server.state.scene = "many";
  const watched = await open(context, `${server.url}#/stores?sort=used&order=down`);
  const { page } = watched;
  const rows = page.locator("main tbody tr");
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 200);
  await page.getByRole("button", { name: /more of 300/ }).click();
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 300);
  const used = (await page.locator('td[data-column="used"]').allTextContents()).map((text) => parseFloat(text));
  assert.deepEqual(
    used,
    [...used].sort((a, b) => b - a),
    "sorted by what is used, the fullest first",
  );
  await page.getByLabel("Filter").fill("10.0.0.77:");
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
  assert.match(page.url(), /filter=10.0.0.77%3A/, "the address follows");
  await rows.first().click({ trial: true });
  await quiet(watched, "many");
  await context.close();
}

/** Checks of one code are a line each; the table of cells says how many it leaves out; numbers keep their heads. */
async function alike(context, server) {
  server.state.scene = "alike";
  const watched = await open(context, server.url);
  const { page } = watched;
  await tells(page, "#verdict", /blocked/);
  await page.waitForFunction(() => document.querySelectorAll(".cause").length === 4);
  assert.deepEqual(await page.locator(".cause .summary").allTextContents(), [
    "the disk of store 1 is nearly full",
    "the disk of store 2 is nearly full",
    "no store can take a replica",
    "scheduling is halted",
  ]);
  assert.deepEqual(await page.locator(".cause").evaluateAll((all) => all.map((it) => it.dataset.open)), [
    "#/store/1",
    "#/store/2",
    undefined,
    undefined,
  ]);
  await accessible(page, "alike");
  await go(page, "keys");
  await tells(page, "main caption", /^The first 100 of 300 cells in trouble/);
  await go(page, "members");
  await tells(page, "main", /pd-1 leads term 7 since \d\d:\d\d:\d\d UTC \(10 m/);
  for (const [place, head] of [
    ["members", "Without a leader"],
    ["store/1", "Rate"],
  ]) {
    await go(page, place);
    const shown = await page
      .locator(`td[data-head="${head}"]`)
      .first()
      .evaluate((it) => getComputedStyle(it, "::before").content);
    assert.match(shown, new RegExp(head), `${place}: a number without its head`);
  }
  await quiet(watched, "alike");
  await context.close();
}

/** Nothing has started: each page says why it is empty, and what to type. */
async function empty(context, server) {
  server.state.scene = "empty";
  const watched = await open(context, server.url);
  const { page } = watched;
  await tells(page, ".cause code", /^store --pd 127\.0\.0\.1:2379 --addr/);
  assert.equal(await page.locator("main .command").count(), 1, "one command, by who knows the address");
  assert.doesNotMatch(await page.locator(".cause").textContent(), /unknown|oldest/);
  await shoot(page, "empty-overview-360");
  for (const place of ["stores", "operators", "keys", "members"]) {
    await go(page, place);
    await tells(page, "main .empty", /./);
    await accessible(page, `empty ${place}`);
  }
  await quiet(watched, "empty");
  await context.close();
}

/** No room for a stream: the page says so, and asks instead. */
async function shedding(context, server) {
  server.state.scene = "shedding";
  const { page } = await open(context, server.url, { network: true });
  await tells(page, "#notices", /shedding admin work/);
  await tells(page, "main", /4,000 regions are short/);
  await context.close();
}

/** The server was replaced by another version. */
async function version(context, server) {
  server.state.scene = "degraded";
  const { page } = await open(context, server.url, { network: true });
  await tells(page, "#verdict", /degraded/);
  server.state.hash = "another";
  for (const stream of server.state.streams) stream.destroy();
  await tells(page, "#notices", /another version/);
  server.state.hash = "fixture";
  await context.close();
}

/** One panel fails, and the rest lives. */
async function errors(context, server) {
  const { page } = await open(context, `${server.url}#/region/404`, { network: true });
  await tells(page, "main .trouble", /no region 404 is known/);
  await tells(page, "main .trouble", /GET \/pd\/api\/v2\/why\/region\/404 · status 404 · NO_SUCH_REGION · request 7/);
  await tells(page, "#verdict", /degraded/);
  await go(page, "nowhere");
  await tells(page, "main", /There is no page “nowhere”/);
  await context.close();
}

/** Unknown parameters are kept, wrong ones named. */
async function addresses(context, server) {
  const watched = await open(context, `${server.url}#/keys?metric=cpu&future=1`);
  const { page } = watched;
  await tells(page, "#notices", /metric=cpu is none of write, read/);
  await page.getByRole("link", { name: "read", exact: true }).click();
  await page.waitForFunction(() => location.hash.includes("metric=read"));
  assert.match(page.url(), /future=1/);
  await quiet(watched, "addresses");
  await context.close();
}

/** Space closes the stream and opens it again; what is shown is grey and says how old it is. */
async function pausing(context, server) {
  const { page } = await open(context, server.url);
  await tells(page, "#verdict", /degraded/);
  await page.locator("body").press(" ");
  await tells(page, "#notices", /Paused/);
  await page.waitForFunction(() => document.body.classList.contains("old"));
  const closed = Date.now() + PATIENCE_MS;
  while (server.state.streams.size > 0 && Date.now() < closed) await page.waitForTimeout(50);
  assert.equal(server.state.streams.size, 0, "the stream is closed");
  await page.locator("body").press(" ");
  await page.waitForFunction(
    () => !document.body.classList.contains("old") && !document.querySelector('[data-notice="paused"]'),
  );
  await context.close();
}

/** The search finds stores, Regions, addresses and keys; Escape gives the focus back; shortcuts can be switched off. */
async function searching(context, server) {
  const { page } = await open(context, `${server.url}#/stores`);
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 5);
  const places = [
    ["store 4", "#/store/4"],
    ["77", "#/region/77"],
    ["3", "#/store/3"],
    ["10.0.0.2", "#/store/2"],
    ["user01", "#/keys?key=757365723031"],
  ];
  for (const [typed, place] of places) {
    await page.keyboard.press("/");
    await page.getByRole("searchbox", { name: /Store, region/ }).fill(typed);
    await page.keyboard.press("Enter");
    await page.waitForFunction((it) => location.hash === it, place);
  }
  await tells(page, "#cell-text", /Cell \d/);
  await go(page, "stores");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("/");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement?.getAttribute("data-row") === "store 2");
  await page.keyboard.press("?");
  await page.getByLabel("single-key shortcuts").uncheck();
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  assert.equal(
    await page.evaluate(() => document.activeElement?.getAttribute("data-row")),
    "store 2",
    "shortcuts are off",
  );
  await context.close();
}

/** A browser whose clock is a day off shows the right ages: they are counted by the server's clock. */
async function wrongClock(context, server) {
  await context.addInitScript(() => {
    const right = Date.now;
    Date.now = () => right() + 86_400_000;
  });
  const { page } = await open(context, `${server.url}#/stores`);
  await tells(page, 'td[data-column="heard"]', /^[45] s ago$/);
  await context.close();
}

/** Known cells have known colours, the cursor tells its cell, and a stretch can be looked at closer. */
async function map(context, server) {
  const watched = await open(context, `${server.url}#/keys`);
  const { page } = watched;
  const canvas = page.locator("canvas");
  await page.waitForFunction(() => document.querySelector("canvas")?.width > 300);
  const pixel = (x, y) =>
    canvas.evaluate((it, [px, py]) => [...it.getContext("2d").getImageData(px, py, 1, 1).data].slice(0, 3), [x, y]);
  const width = await canvas.evaluate((it) => it.width);
  const ratio = width / (await canvas.evaluate((it) => it.clientWidth));
  // Cell 40 has missing replicas: the whole lane is in the colour of harm, at its lower half too.
  const at = Math.round((40.5 / 1_500) * width);
  assert.deepEqual(await pixel(at, Math.round(125 * ratio)), [0xa3, 0x12, 0x3a], "trouble is drawn");
  await canvas.focus();
  await canvas.press("ArrowRight");
  await tells(page, "#cell-text", /Cell 1 of 1,500/);
  await canvas.press("End");
  await tells(page, "#cell-text", /Cell 1,500 of 1,500/);
  // Why the cell in trouble is in trouble.
  await canvas.press("Home");
  for (let step = 0; step < 40; step += 1) await canvas.press("ArrowRight");
  await tells(page, "#cell-text", /Cell 41 .* 3 missing/);
  await canvas.press("w");
  await page.waitForFunction(
    () => location.hash === "#/region/77?why=1" && document.activeElement?.id === "why-summary",
  );
  await page.goBack();
  await page.waitForFunction(() => document.querySelector("canvas")?.width > 300);
  // A box with Shift is looked at closer.
  const box = await canvas.boundingBox();
  await page.keyboard.down("Shift");
  await page.mouse.move(box.x + box.width / 4, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 2, box.y + 10, { steps: 4 });
  await page.mouse.up();
  await page.keyboard.up("Shift");
  await page.waitForFunction(() => /start=7480/.test(location.hash) && /end=7480/.test(location.hash));
  await canvas.focus();
  await canvas.press("Home");
  await canvas.press("+");
  await page.getByRole("button", { name: "whole key space" }).click();
  await page.waitForFunction(() => !/start=|end=/.test(location.hash));
  assert.match(await page.locator("main").textContent(), /77/, "the region in trouble is in the table");
  await quiet(watched, "map");
  await context.close();
}
