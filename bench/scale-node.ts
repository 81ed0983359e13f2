/**
 * One process of the benchmark of state at scale: a node with many entities, and its load. `scale.ts` starts it.
 *
 *     scale-node.ts fill <directory> --entities N --events M     brings N into being, then goes on until M are recorded
 *     scale-node.ts rate <directory> --entities N --ms T --per-second R   random commands over the first N, arriving at a
 *                                  rate that does not depend on answers; latency counts from when a command was due
 *     scale-node.ts load <directory> --entities N --ms T         the same with 32 in flight: how many there can be
 *     scale-node.ts open <directory>                             how long a start takes, and the first answer
 *     scale-node.ts download <directory>                         reads every object of the snapshot store, and nothing else
 *
 * `--snapshots` gives the node a snapshot store, `--kill` ends the process with SIGKILL, `--checkpoint-ms` makes
 * checkpoints (and snapshots) due so often.
 */
import { createHistogram, PerformanceObserver } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { type HoldfastNode, startNode } from "holdfast";
import { openFileSnapshots } from "../src/adapters/files/snapshot-store.ts";
import { openLmdbStateStore } from "../src/adapters/lmdb/open.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { openDirectory } from "../src/adapters/system/disk.ts";
import { limitHeapGrowth, systemHeap } from "../src/adapters/system/heap.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { account } from "./wallet.ts";

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    entities: { type: "string", default: "1" },
    events: { type: "string", default: "0" },
    ms: { type: "string", default: "1000" },
    "per-second": { type: "string", default: "1000" },
    "checkpoint-ms": { type: "string" },
    snapshots: { type: "boolean", default: false },
    kill: { type: "boolean", default: false },
  },
});
const [mode, directory] = positionals as [string, string];
const entities = Number(options.entities);
const shardCount = shardCountEmbedded;
const warmMs = 3_000;

/** Pauses of the collector in ms, and the most heap that was ever used in MB. */
const pauses: number[] = [];
/** Commands that were refused as `overloaded` and tried again. */
let refused = 0;
let heapPeakMb = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) pauses.push(entry.duration);
}).observe({ entryTypes: ["gc"] });
setInterval(() => {
  heapPeakMb = Math.max(heapPeakMb, process.memoryUsage().heapUsed / 1e6);
}, 50).unref();

limitHeapGrowth();

const snapshots = () =>
  openFileSnapshots({ disk: openDirectory(`${directory}/snapshots`), clock: systemClock, random: systemRandom });

async function start(): Promise<HoldfastNode> {
  const log = await openSegmentLog({ directory, shardCount });
  const emptied = (reason: string) => console.error(`state store: ${reason}`);
  const state = await openLmdbStateStore({ directory: `${directory}/state`, emptied });
  const checkpointMs = options["checkpoint-ms"];
  return await startNode({
    entities: [account],
    log,
    state,
    ...(options.snapshots ? { snapshots: await snapshots() } : {}),
    clock: systemClock,
    random: systemRandom,
    heap: systemHeap,
    shardCount,
    limits: checkpointMs === undefined ? {} : { checkpointMs: Number(checkpointMs) },
    onFault: (where, error) => console.error(where, error),
  });
}

/** Runs `next` with `inFlight` calls at a time until it gives no more. */
function drive(node: HoldfastNode, inFlight: number, next: () => number | undefined): Promise<void> {
  let open = 0;
  return new Promise((resolve) => {
    const go = (): void => {
      const entity = next();
      if (entity === undefined) {
        if (open === 0) resolve();
        return;
      }
      open++;
      credit(node, entity, () => {
        open--;
        go();
      });
    };
    for (let index = 0; index < inFlight; index++) go();
  });
}

/** Sends at a rate, whatever the answers do. @returns how many it were */
function arrive(node: HoldfastNode, forMs: number, note: (micros: number) => void): Promise<number> {
  const from = performance.now();
  const gapMs = 1_000 / Number(options["per-second"]);
  let [sent, open] = [0, 0];
  return new Promise((resolve) => {
    const go = (): void => {
      const now = performance.now();
      for (let dueAt = from + sent * gapMs; dueAt <= now && dueAt < from + forMs; dueAt = from + sent * gapMs) {
        sent++;
        open++;
        const at = dueAt;
        credit(node, Math.floor(Math.random() * entities), () => {
          open--;
          note((performance.now() - at) * 1_000);
        });
      }
      if (now < from + forMs || open > 0) setTimeout(go, 1);
      else resolve(sent);
    };
    go();
  });
}

function credit(to: HoldfastNode, entity: number, done: () => void): void {
  const call = {
    entity: { type: "account", key: `a${entity}` },
    command: "credit",
    input: { amount: 5 },
    requestId: uuidV7(),
    principal: { kind: "service", id: "bench" },
  } as const;
  to.execute(call, (result) => {
    if (result.ok) done();
    else if (result.code === "overloaded") {
      refused++;
      setTimeout(() => credit(to, entity, done), 20 + Math.random() * 40);
    } else throw new Error(`${result.code}: ${result.detail}`);
  });
}

function facts(node: HoldfastNode) {
  const { hot, lookups, activations, recovered } = node.health();
  return {
    recovered,
    refused,
    hot,
    lookups,
    activations,
    heapPeakMb,
    rssMb: process.memoryUsage().rss / 1e6,
    pausesOver20Ms: pauses.filter((ms) => ms > 20).length,
    longestPauseMs: Math.max(0, ...pauses),
  };
}

/** To whoever started this as a part of a benchmark, else to the terminal. */
function tell(what: object): void {
  if (process.send === undefined) console.log(JSON.stringify(what));
  else process.send(what);
}

async function fill(node: HoldfastNode): Promise<object> {
  const events = Number(options.events);
  let sent = 0;
  const from = performance.now();
  // A step that has no factor with the number of entities: each comes once before any comes again.
  await drive(node, 2_048, () => (sent < events ? (sent++ * 7_919) % entities : undefined));
  return { perSecond: events / ((performance.now() - from) / 1_000) };
}

async function load(node: HoldfastNode): Promise<object> {
  const ms = Number(options.ms);
  let done = 0;
  const until = performance.now() + ms;
  await drive(node, 32, () => {
    if (performance.now() >= until) return undefined;
    done++;
    return Math.floor(Math.random() * entities);
  });
  return { perSecond: (done / ms) * 1_000 };
}

async function rate(node: HoldfastNode): Promise<object> {
  await arrive(node, warmMs, () => {});
  pauses.length = 0;
  const histogram = createHistogram();
  await arrive(node, Number(options.ms), (micros) => histogram.record(Math.max(1, Math.round(micros))));
  const [p50Ms, p99Ms, p999Ms] = [50, 99, 99.9].map((share) => histogram.percentile(share) / 1_000);
  return { p50Ms, p99Ms, p999Ms };
}

async function open(node: HoldfastNode): Promise<object> {
  await new Promise<void>((resolve) => credit(node, 0, resolve));
  return { firstAnswerMs: performance.now() };
}

async function download(): Promise<object> {
  const store = await snapshots();
  const from = performance.now();
  let bytes = 0;
  for await (const name of store.list("shards/")) bytes += (await store.get(name))?.bytes.length ?? 0;
  await store.close();
  return { bytes, ms: performance.now() - from };
}

if (mode === "download") tell(await download());
else {
  const node = await start();
  // Counted from the start of the process, its modules included.
  const servingMs = performance.now();
  const run = { fill, load, rate, open }[mode];
  if (run === undefined) throw new Error(`No mode ${mode}.`);
  const result = await run(node);
  tell({ servingMs, ...facts(node), ...result });
  if (options.kill) process.kill(process.pid, "SIGKILL");
  await node.stop();
}
process.disconnect?.();
