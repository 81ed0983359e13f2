/**
 * Kills a node, and consumers over HTTP, server-sent events and a WebSocket, with SIGKILL, in turns, under load; then compares what
 * arrived at each with the log.
 *
 *     node --conditions=source test/feeds/pull-kill.ts --rounds 100 --seed 1
 *
 * Half of the rounds kill the node, half the consumers. Exits with 1 if anything is missing, came twice, or out of order.
 */
import { parseArgs } from "node:util";
import { runKills } from "./campaign.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { rounds: text, seed: text } });
const [rounds, seed] = [Number(values.rounds ?? 100), Number(values.seed ?? 1)];
const startedMs = performance.now();
const { events, kills, violations } = await runKills({
  rounds,
  seed,
  onRound: (done) => {
    if (done % 10 === 0) console.log(`${done} rounds`);
  },
});
const each = Object.entries(kills).map(([name, count]) => `${name} ${count}`);
console.log(
  `${rounds} rounds with seed ${seed}, ${((performance.now() - startedMs) / 1_000).toFixed(0)} s; kills: ${each.join(", ")}`,
);
console.log(`${events.toLocaleString("en")} events in the log; of each consumer ${violations.length} differences`);
for (const violation of violations.slice(0, 20)) console.error(`VIOLATION: ${violation}`);
process.exit(violations.length === 0 ? 0 : 1);
