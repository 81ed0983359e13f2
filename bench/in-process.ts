/**
 * The node without the network: commands per second through `execute`, over the memory log and over the segment log, and
 * how many appends (each one write to the disk) that took.
 */
import { createHistogram } from "node:perf_hooks";
import { startNode } from "holdfast";
import { createMemoryStore, openMemoryLog } from "../src/adapters/memory/log.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const [engine, directory, inFlightText, measureText, command = "credit", shardsText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string | undefined,
  string | undefined,
];
const shardCount = Number(shardsText ?? shardCountEmbedded);
const log =
  engine === "memory"
    ? openMemoryLog({ store: createMemoryStore(shardCount) })
    : await openSegmentLog({ directory, shardCount });
let appends = 0;
const append = log.append.bind(log);
log.append = (frames) => {
  appends++;
  return append(frames);
};
const histogram = createHistogram();
const node = await startNode({ entities: [wallet], log, clock: systemClock, random: systemRandom, shardCount });
let sent = 0;
let done = 0;
let stopped = false;
const next = () => {
  const call = {
    entity: { type: "wallet", key: `w${(sent++ * 7_919) % 10_000}` },
    command,
    input: { amount: 5 },
    requestId: uuidV7(),
    principal: { kind: "service", id: "bench" },
  } as const;
  const askedAt = performance.now();
  node.execute(call, (result) => {
    histogram.record(Math.max(1, Math.round((performance.now() - askedAt) * 1_000)));
    if (result.ok) done++;
    if (!stopped) next();
  });
};
for (let index = 0; index < Number(inFlightText); index++) next();
await new Promise((resolve) => setTimeout(resolve, 500));
const before = done;
const appendsBefore = appends;
histogram.reset();
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
await new Promise((resolve) => setTimeout(resolve, Number(measureText)));
const seconds = (performance.now() - startedAt) / 1_000;
const perSecond = (done - before) / seconds;
const writesPerSecond = (appends - appendsBefore) / seconds;
const cpu = process.cpuUsage(cpuBefore);
const cpuMicros = (cpu.user + cpu.system) / (done - before);
stopped = true;
process.send?.({
  perSecond,
  writesPerSecond,
  cpuMicros,
  p50Ms: histogram.percentile(50) / 1_000,
  p99Ms: histogram.percentile(99) / 1_000,
});
await node.stop();
