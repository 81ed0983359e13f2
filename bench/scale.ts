/**
 * State at scale: many entities on one node, most of them outside memory.
 *
 *     scale.ts fill <directory> <entities> <events>   brings them into being, then goes on until <events> are recorded
 *     scale.ts load <directory> <entities> <ms>       random commands over the first <entities>, latency and heap
 *     scale.ts rate <directory> <entities> <ms> <per second>   the same at a rate of arrivals that does not depend on
 *                                                     answers; latency counts from when a command was due
 *     scale.ts open <directory>                       how long a start takes, and the first answer
 *
 * `fill` with a fourth argument `kill` ends itself with SIGKILL instead of stopping.
 */
import { createHistogram, PerformanceObserver } from "node:perf_hooks";
import { type HoldfastNode, startNode } from "holdfast";
import { openLmdbStateStore } from "../src/adapters/lmdb/open.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { uuidV7 } from "./uuid.ts";
import { account } from "./wallet.ts";

const [mode, directory, entitiesText = "0", amountText = "0", end = "stop"] = process.argv.slice(2) as [
  string,
  string,
  string?,
  string?,
  string?,
];
const entities = Number(entitiesText);
const amount = Number(amountText);
const shardCount = shardCountEmbedded;

/** Pauses of the collector in ms. */
const pauses: number[] = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) pauses.push(entry.duration);
}).observe({ entryTypes: ["gc"] });

const startedAt = performance.now();
const log = await openSegmentLog({ directory, shardCount });
const state = await openLmdbStateStore({
  directory: `${directory}/state`,
  emptied: (reason) => console.error(`state store: ${reason}`),
});
const onFault = (where: string, error: unknown) => console.error(where, error);
const node = await startNode({
  onFault,
  entities: [account],
  log,
  state,
  clock: systemClock,
  random: systemRandom,
  shardCount,
});
const servingMs = performance.now() - startedAt;

/** Runs `next` with `inFlight` calls at a time until it gives no more. */
function drive(inFlight: number, next: () => number | undefined, note?: (micros: number) => void): Promise<void> {
  let open = 0;
  return new Promise((resolve) => {
    const go = (): void => {
      const entity = next();
      if (entity === undefined) {
        if (open === 0) resolve();
        return;
      }
      open++;
      const at = performance.now();
      credit(node, entity, () => {
        open--;
        note?.((performance.now() - at) * 1_000);
        go();
      });
    };
    for (let index = 0; index < inFlight; index++) go();
  });
}

/** Sends at a rate, whatever the answers do. @returns how many it were */
function arrive(perSecond: number, forMs: number, note: (micros: number) => void): Promise<number> {
  const from = performance.now();
  let [sent, open] = [0, 0];
  return new Promise((resolve) => {
    const go = (): void => {
      const now = performance.now();
      for (let dueAt = from + (sent / perSecond) * 1_000; dueAt <= now && dueAt < from + forMs; ) {
        sent++;
        open++;
        const at = dueAt;
        credit(node, Math.floor(Math.random() * entities), () => {
          open--;
          note((performance.now() - at) * 1_000);
        });
        dueAt = from + (sent / perSecond) * 1_000;
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
    else if (result.code === "overloaded") setTimeout(() => credit(to, entity, done), 5);
    else throw new Error(`${result.code}: ${result.detail}`);
  });
}

function facts() {
  const { heapUsed, rss, external } = process.memoryUsage();
  const { hot, stored, lookups, activations, recovered } = node.health();
  const long = pauses.filter((ms) => ms > 20);
  return {
    servingMs,
    recovered,
    hot,
    stored,
    lookups,
    activations,
    heapMb: heapUsed / 1e6,
    externalMb: external / 1e6,
    rssMb: rss / 1e6,
    pausesOver20Ms: long.length,
    longestPauseMs: Math.max(0, ...pauses),
  };
}

/** To whoever started this as a part of a benchmark, else to the terminal. */
function tell(what: object): void {
  if (process.send === undefined) console.log(JSON.stringify(what));
  else process.send(what);
}

if (mode === "fill") {
  let sent = 0;
  const from = performance.now();
  await drive(2_048, () => (sent < amount ? (sent++ * 7_919) % entities : undefined));
  tell({ ...facts(), perSecond: amount / ((performance.now() - from) / 1_000) });
  if (end === "kill") process.kill(process.pid, "SIGKILL");
} else if (mode === "load") {
  const histogram = createHistogram();
  const until = performance.now() + amount;
  pauses.length = 0;
  let done = 0;
  await drive(
    32,
    () => (performance.now() < until ? Math.floor(Math.random() * entities) : undefined),
    (micros) => {
      done++;
      histogram.record(Math.max(1, Math.round(micros)));
    },
  );
  const [p50Ms, p99Ms, p999Ms] = [50, 99, 99.9].map((share) => histogram.percentile(share) / 1_000);
  tell({ ...facts(), perSecond: (done / amount) * 1_000, p50Ms, p99Ms, p999Ms });
} else if (mode === "rate") {
  const perSecond = Number(end);
  await arrive(perSecond, 3_000, () => {});
  const before = facts();
  pauses.length = 0;
  const histogram = createHistogram();
  const sent = await arrive(perSecond, amount, (micros) => histogram.record(Math.max(1, Math.round(micros))));
  const [p50Ms, p99Ms, p999Ms] = [50, 99, 99.9].map((share) => histogram.percentile(share) / 1_000);
  const after = facts();
  tell({ ...after, activations: after.activations - before.activations, sent, p50Ms, p99Ms, p999Ms });
} else {
  await drive(
    1,
    (() => {
      let left = 1;
      return () => (left-- > 0 ? 0 : undefined);
    })(),
  );
  tell({ ...facts(), firstAnswerMs: performance.now() - startedAt });
}
await node.stop();
