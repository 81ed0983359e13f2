/**
 * `npm run flips`: every bit of a sample log, snapshot set and state store turned once.
 *
 * Invariant: exits with 1 if any flip made wrong state.
 */
import type { Counts } from "./counts.ts";
import { runFlips } from "./run.ts";

const wrong: string[] = [];
console.log("| sample | flips | detected | harmless | end lost | wrong |\n|---|---|---|---|---|---|");
await runFlips({ small: 1, large: 1 }, (name, counts: Counts) => {
  const { flips, detected, harmless, endLost } = counts;
  console.log(`| ${name} | ${flips} | ${detected} | ${harmless} | ${endLost} | ${counts.wrong.length} |`);
  wrong.push(...counts.wrong.map((what) => `${name}: ${what}`));
});
for (const what of wrong.slice(0, 20)) console.error(what);
process.exitCode = wrong.length === 0 ? 0 : 1;
