/**
 * Recovery: how fast a log of a million events becomes state again. `write <directory> <events>` makes the log,
 * `read <directory>` recovers it in a fresh process.
 */
import { startNode } from "holdfast";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const [mode, directory, eventsText] = process.argv.slice(2) as [string, string, string];
const shardCount = shardCountEmbedded;
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
const log = await openSegmentLog({ directory, shardCount });
const openedMs = performance.now() - startedAt;
const node = await startNode({ entities: [wallet], log, clock: systemClock, random: systemRandom, shardCount });
const servingMs = performance.now() - startedAt;
const cpu = process.cpuUsage(cpuBefore);
const cpuMs = (cpu.user + cpu.system) / 1_000;

if (mode === "write") {
  const events = Number(eventsText);
  let sent = 0;
  let done = 0;
  await new Promise<void>((resolve) => {
    const next = () => {
      if (sent === events) return;
      const key = `w${(sent++ * 7_919) % 10_000}`;
      const call = {
        entity: { type: "wallet", key },
        command: "credit",
        input: { amount: 5 },
        requestId: uuidV7(),
        principal: { kind: "service", id: "bench" },
      } as const;
      node.execute(call, (result) => {
        if (!result.ok) throw new Error(result.detail);
        done++;
        if (done === events) resolve();
        else next();
      });
    };
    for (let index = 0; index < 2_048; index++) next();
  });
}
const { recovered } = node.health();
process.send?.({
  openedMs,
  servingMs,
  cpuMs,
  recovered,
  heapMb: process.memoryUsage().heapUsed / 1e6,
  rssMb: process.memoryUsage().rss / 1e6,
});
await node.stop();
