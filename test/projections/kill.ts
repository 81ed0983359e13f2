/** `npx node --conditions=source test/projections/kill.ts --rounds 50 [--seed 1]`: prints what it did; fails at a difference. */
import { parseArgs } from "node:util";
import { killRounds } from "./campaign.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "50" }, seed: { type: "string", default: "1" } },
});
const { rounds, changes, folded, versions } = await killRounds(Number(values.rounds), Number(values.seed));
console.log(
  `${rounds} kills, ${changes} events, ${folded} changes folded before ${rounds} comparisons, ${versions} times another version: no difference`,
);
