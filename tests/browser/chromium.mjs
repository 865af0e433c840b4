// The browser of the tests: Debian's Chromium by path, another by CHROMIUM=.
import { chromium } from "playwright-core";

/** Starts it, or fails with what is missing. */
export function launch() {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  // Its sandbox wants a user other than root.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}
