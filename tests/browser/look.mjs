// Screenshots of the fixture, for people who change the page: node tests/browser/look.mjs [folder]
import { mkdirSync } from "node:fs";
import { fixture } from "./fixture.mjs";
import { launch } from "./chromium.mjs";

const folder = process.argv[2] ?? "target/look";
mkdirSync(folder, { recursive: true });
const server = await fixture("degraded");
const browser = await launch();
for (const [width, scheme] of [
  [1440, "light"],
  [1440, "dark"],
  [360, "light"],
]) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme });
  const page = await context.newPage();
  page.on("console", (message) => console.log(message.type(), message.text()));
  page.on("pageerror", (error) => console.log("error", error.stack));
  await page.goto(server.url);
  for (const place of ["overview", "stores", "store/4", "operators", "region/77", "keys", "members"]) {
    await page.evaluate((it) => (location.hash = `#/${it}`), place);
    await page.waitForTimeout(600);
    await page.screenshot({ path: `${folder}/${place.replace("/", "-")}-${width}-${scheme}.png`, fullPage: true });
  }
  await context.close();
}
await browser.close();
server.close();
