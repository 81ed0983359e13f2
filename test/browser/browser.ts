/**
 * The browser for the tests: the machine's own Chromium, headless.
 *
 * Invariant: without a browser the tests are skipped and say so; under CI they fail, since there a skipped test looks
 * like a passed one.
 */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const PATHS = [
  process.env["CHROMIUM"] ?? "",
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const found = PATHS.find((path) => path !== "" && existsSync(path));

/** For `test(…, { skip })`: false, or why. */
export const skip: string | false =
  found !== undefined || process.env["CI"] === "true"
    ? false
    : "no Chromium found; install Debian's chromium, or name one in CHROMIUM";

export function openBrowser(): Promise<Browser> {
  if (found === undefined) throw new Error("No Chromium on this machine, and CI=true forbids to skip these tests.");
  return chromium.launch({ executablePath: found, args: FLAGS });
}
