/**
 * Builds the page of the game when it is missing or older than its sources.
 *
 * Invariant: a page that cannot be built does not keep a server from starting.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));
export const example = join(root, "examples", "teen-patti");
const page = join(example, "page");
const built = join(page, "dist", "index.html");

/** The newest change below a directory, without what is built or installed there. */
function newestMs(directory: string): number {
  let newest = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.name === "dist" || entry.name === "node_modules" || entry.name.startsWith(".")) continue;
    const path = join(directory, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestMs(path) : statSync(path).mtimeMs);
  }
  return newest;
}

function isStale(): boolean {
  if (!existsSync(built)) return true;
  const sources = [page, join(example, "src"), join(root, "src", "client")];
  return Math.max(...sources.map(newestMs)) > statSync(built).mtimeMs;
}

function buildPage(): void {
  console.error("Building the page ...");
  // Its package exports no path to the program, but the package file is always reachable.
  const vite = dirname(createRequire(join(example, "package.json")).resolve("vite/package.json"));
  const result = spawnSync(process.execPath, [join(vite, "bin", "vite.js"), "build"], {
    cwd: page,
    stdio: ["ignore", 2, 2],
  });
  if (result.status !== 0) console.error("The page could not be built; the server starts without the newest page.");
}

export function buildStalePage(): void {
  try {
    if (existsSync(join(page, "index.html")) && isStale()) buildPage();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.error(`The page could not be built (${why}). Run \`npm install\` first; the server starts without it.`);
  }
}
