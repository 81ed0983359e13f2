/** The node without the network: commands per second through `execute`, over the memory log and over the segment log. */
import { startNode } from "holdfast";
import { createMemoryStore, openMemoryLog } from "../src/adapters/memory/log.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const [engine, directory, inFlightText, measureText, shardsText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string | undefined,
];
const shardCount = Number(shardsText ?? shardCountEmbedded);
const log =
  engine === "memory"
    ? openMemoryLog({ store: createMemoryStore(shardCount) })
    : await openSegmentLog({ directory, shardCount });
const node = await startNode({ entities: [wallet], log, clock: systemClock, random: systemRandom, shardCount });
let sent = 0;
let done = 0;
let stopped = false;
const next = () => {
  const call = {
    entity: { type: "wallet", key: `w${(sent++ * 7_919) % 10_000}` },
    command: "credit",
    input: { amount: 5 },
    requestId: uuidV7(),
    principal: { kind: "service", id: "bench" },
  } as const;
  node.execute(call, (result) => {
    if (result.ok) done++;
    if (!stopped) next();
  });
};
for (let index = 0; index < Number(inFlightText); index++) next();
await new Promise((resolve) => setTimeout(resolve, 500));
const before = done;
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
await new Promise((resolve) => setTimeout(resolve, Number(measureText)));
const perSecond = ((done - before) / (performance.now() - startedAt)) * 1_000;
const cpu = process.cpuUsage(cpuBefore);
const cpuMicros = (cpu.user + cpu.system) / (done - before);
stopped = true;
process.send?.({ perSecond, cpuMicros });
await node.stop();
