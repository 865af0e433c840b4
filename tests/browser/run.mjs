// All browser tests: node tests/browser/run.mjs [part...]. PAGES= names the page's address on each member; without it only
// the tests against canned answers run.

import { launch } from "./chromium.mjs";
import { leaderDies, markupInAddress, servingMemberDies, storeDies } from "./faults.mjs";
import { belowPrefix, budget, documents, eightTabs, pages, sameElsewhere, withoutScript } from "./live.mjs";
import { ugly } from "./ugly.mjs";

const urls = (process.env.PAGES ?? "").split(",").filter(Boolean);
const wanted = process.argv.slice(2);
const PARTS = {
  ugly,
  withoutScript: (browser) => withoutScript(browser, urls[0]),
  budget: (browser) => budget(browser, urls[0]),
  pages: (browser) => pages(browser, urls[0]),
  belowPrefix: (browser) => belowPrefix(browser, urls[1], process.env.PREFIX),
  documents: (browser) => documents(browser, [urls[0], urls[1], `${new URL(urls[1]).origin}/`]),
  sameElsewhere: (browser) => sameElsewhere(browser, urls[1]),
  eightTabs: (browser) => eightTabs(browser, urls[1]),
  storeDies: (browser) => storeDies(browser, urls[2]),
  leaderDies,
  servingMemberDies,
  markupInAddress: (browser) => markupInAddress(browser, urls[1]),
};

let failed = 0;
const browser = await launch();
for (const [name, part] of Object.entries(PARTS)) {
  if (wanted.length ? !wanted.includes(name) : !urls.length && name !== "ugly") continue;
  const start = Date.now();
  try {
    await part(browser);
    console.log(`ok ${name} (${((Date.now() - start) / 1_000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.stack}`);
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
