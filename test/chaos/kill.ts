/**
 * Kills the game server with SIGKILL at random moments, again and again, and holds it to its promises.
 *
 *     node --conditions=source test/chaos/kill.ts --rounds 500 --seed 1
 *
 * Each round: bots and recording clients work through the door; the server is killed; its log is copied and audited
 * while it starts again on the same directory and port; the clients reconnect by themselves and go on. Prints a line
 * per 50 rounds and a summary; exits with 1 at the first violation.
 */
import { parseArgs } from "node:util";
import { runCampaign } from "./campaign.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { rounds: text, seed: text, every: text } });
const rounds = Number(values.rounds ?? 100);
const seed = Number(values.seed ?? 1);
const every = Number(values.every ?? 50);

const result = await runCampaign({
  rounds,
  seed,
  roundsPerDirectory: 25,
  onRound: (done, sums) => {
    if (done % every === 0) console.log(`${done} rounds: ${sums}`);
  },
});
console.log(`\n${result.rounds} kills with seed ${seed}, ${(result.elapsedMs / 60_000).toFixed(1)} min`);
console.log(result.sums);
for (const violation of result.violations.slice(0, 20)) console.error(`VIOLATION: ${violation}`);
process.exit(result.violations.length === 0 ? 0 : 1);
