/**
 * Hours of churn in minutes: a node with the segment log, the LMDB state store and snapshots in a directory, real files all
 * of them, on a virtual clock. Entities are brought into being, changed, forgotten, brought back; timers fire, sends arrive,
 * request ids expire, checkpoints, snapshots, merges and trims come; one shard falls silent early.
 *
 *     npm run churn                      twelve simulated hours
 *     npm run churn -- --hours 2         fewer
 *     npm run churn -- --directory DIR   on another disk than the temporary one
 *
 * Prints a table, the least-squares slopes of the second half, and whether memory and files stay where they are. Exits with 1
 * if they do not.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { defineEntity, startNode } from "holdfast";
import { z } from "zod";
import { openFileSnapshots } from "../src/adapters/files/snapshot-store.ts";
import { openLmdbStateStore } from "../src/adapters/lmdb/open.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { openDirectory } from "../src/adapters/system/disk.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { temporaryDirectory } from "../src/adapters/system/temporary.ts";
import { VirtualClock } from "../src/adapters/virtual/clock.ts";
import { passUntil, settle } from "../src/adapters/virtual/drive.ts";
import { Timeline } from "../src/adapters/virtual/timeline.ts";
import { shardOf } from "../src/model/ids.ts";
import { Prng } from "../src/std/prng.ts";
import { makeUuidV7 } from "../src/std/uuid.ts";
import { judge, type Sample, slopePerHour } from "./churn-check.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { hours: text, every: text, rate: text, directory: text } });
const hours = Number(values.hours ?? 12);
/** Simulated minutes between samples. */
const everyMinutes = Number(values.every ?? 10);
/** Commands at once, every so many simulated ms. */
const rate = Number(values.rate ?? 30);
const stepMs = 5_000;

const shardCount = 4;
const population = 4_000;
/** The shard that is silent after the first half hour. */
const silentShard = shardCount - 1;
const silentAfterMs = 30 * 60_000;
// The log waits for the archive no longer than a checkpoint or two.
const limits = { residentEntitiesMax: 500, checkpointMs: 60_000, archiveRecordsMin: 256 };

const player = defineEntity("player", {
  state: () => ({ score: 0, woken: 0, got: 0, note: "" }),
  events: {
    scored: (state, event: { by: number; note: string }) => {
      state.score += event.by;
      state.note = event.note;
    },
    woken: (state) => {
      state.woken++;
    },
    got: (state, event: { by: number }) => {
      state.got += event.by;
    },
  },
  commands: (command) => ({
    score: command(z.object({ by: z.int(), note: z.string() }), (_state, { by, note }, ctx) => {
      ctx.emit("scored", { by, note });
      return (next) => ({ score: next.score });
    }),
    rest: command(z.object({ ms: z.int() }), (_state, { ms }, ctx) => {
      ctx.schedule("wake", { afterMs: ms }, "wake");
    }),
    wake: command((_state, _input, ctx) => {
      ctx.emit("woken", {});
    }),
    give: command(z.object({ to: z.string(), by: z.int() }), (_state, { to, by }, ctx) => {
      ctx.send({ type: "player", key: to }, "take", { by });
    }),
    take: command(z.object({ by: z.int() }), (_state, { by }, ctx) => {
      ctx.emit("got", { by });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access: () => true,
});

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void;

function bytesBelow(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** Memory of the process alone, without pages of files that are mapped; undefined where the system does not tell. */
function anonymousBytes(): number | undefined {
  try {
    const kilobytes = /^RssAnon:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

using temporary = temporaryDirectory();
const root = values.directory ?? temporary.path;
const places = {
  log: join(root, "log"),
  state: join(root, "state"),
  snapshots: join(root, "snapshots"),
  archive: join(root, "archive"),
};
for (const place of Object.values(places)) mkdirSync(place, { recursive: true });

const timeline = new Timeline();
const clock = new VirtualClock({ timeline });
const faults = new Map<string, number>();
// a start waits for real files, so virtual time must go on by itself meanwhile
let started = false;
const starting = (async () => {
  const log = await openSegmentLog({ directory: places.log, shardCount, segmentBytes: 256 * 1024 });
  const node = await startNode({
    entities: [player],
    log,
    state: await openLmdbStateStore({ directory: places.state }),
    snapshots: await openFileSnapshots({ disk: openDirectory(places.snapshots), clock, random: systemRandom }),
    // As a service has it, in a place of its own. What is kept for ever grows for ever; an hour of it does not.
    archive: await openFileSnapshots({ disk: openDirectory(places.archive), clock, random: systemRandom }),
    retention: { archive: { keepMs: 3_600_000 } },
    clock,
    random: systemRandom,
    shardCount,
    limits,
    onFault: (where) => faults.set(where, (faults.get(where) ?? 0) + 1),
    onCrash: (error) => {
      throw error;
    },
  });
  started = true;
  return node;
})();
while (!started) await passUntil(timeline, timeline.nowMs + 1);
const node = await starting;

const prng = new Prng(1);
const principal = { kind: "user", id: "churn" } as const;
const silent = Array.from(
  { length: population },
  (_, index) => shardOf("player", `p${index}`, shardCount) === silentShard,
);
let answered = 0;
let refused = 0;

function draw(): { readonly key: string; readonly command: string; readonly input: unknown } | undefined {
  // a window of players that moves on: most come for a while, leave, and come back after hours
  const window = Math.floor(timeline.nowMs / 60_000) * 20;
  const index = prng.chance(0.9) ? (window + prng.integer(300)) % population : prng.integer(population);
  const quiet = timeline.nowMs > silentAfterMs;
  if (quiet && silent[index] === true) return undefined;
  const key = `p${index}`;
  const what = prng.integer(10);
  if (what < 6) return { key, command: "score", input: { by: prng.integer(9), note: "x".repeat(prng.integer(200)) } };
  if (what < 8) return { key, command: "rest", input: { ms: prng.between(1_000, 600_000) } };
  // always to the same few: of each pair both ends remember how far they are
  const to = (index + 1 + prng.integer(3)) % population;
  if (quiet && silent[to] === true) return undefined;
  return { key, command: "give", input: { to: `p${to}`, by: 1 } };
}

async function step(): Promise<void> {
  let open = 0;
  for (let count = 0; count < rate; count++) {
    const drawn = draw();
    if (drawn === undefined) continue;
    open++;
    const { key, command, input } = drawn;
    const requestId = makeUuidV7(clock.now(), systemRandom.bytes(16));
    node.execute({ entity: { type: "player", key }, command, input, requestId, principal }, (result) => {
      open--;
      if (result.ok) answered++;
      else refused++;
    });
  }
  // the disk is as fast as it is: time stands still until it has answered
  while (open > 0) await passUntil(timeline, timeline.nowMs);
  await passUntil(timeline, timeline.nowMs + stepMs);
}

const samples: Sample[] = [];

async function sample(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await settle();
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  const health = node.health();
  samples.push({
    hour: timeline.nowMs / 3_600_000,
    rss,
    own: anonymousBytes() ?? rss,
    heap: heapUsed,
    external,
    log: bytesBelow(places.log),
    state: bytesBelow(places.state),
    snapshots: bytesBelow(places.snapshots),
    archive: bytesBelow(places.archive),
    hot: health.hot,
    stored: health.stored,
  });
  const last = samples.at(-1) as Sample;
  const mb = (bytes: number) => (bytes / 1_048_576).toFixed(1);
  const { own, heap, log, state, snapshots, archive, hot, stored } = last;
  const row = [
    last.hour.toFixed(1),
    ...[rss, own, heap, external, log, state, snapshots, archive].map(mb),
    hot,
    stored,
    answered,
  ];
  console.log(`| ${row.join(" | ")} |`);
}

const startedMs = systemClock.monotonic();
console.log("| hour | RSS | own | heap | external | log | state | snapshots | archive | hot | stored | commands |");
console.log("|---|---|---|---|---|---|---|---|---|---|---|---|");
for (let minute = 0; minute < hours * 60; minute += everyMinutes) {
  const untilMs = (minute + everyMinutes) * 60_000;
  while (timeline.nowMs < untilMs) await step();
  await sample();
}
let stopped = false;
const stopping = node.stop().then(() => {
  stopped = true;
});
while (!stopped) await passUntil(timeline, timeline.nowMs + 1);
await stopping;

const tookMs = systemClock.monotonic() - startedMs;
console.log(
  `\nMB; ${hours} simulated hours in ${(tookMs / 60_000).toFixed(1)} min, ${answered} commands answered, ${refused} refused.`,
);
for (const [where, count] of faults) console.log(`told ${count} times: ${where}`);
for (const name of ["rss", "own", "heap", "external", "log", "state", "snapshots", "archive"] as const)
  console.log(`slope of ${name} in the second half: ${(slopePerHour(samples, name) / 1_048_576).toFixed(3)} MB/h`);
const problems = judge(samples);
for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? "nothing grows" : "FAILED");
process.exitCode = problems.length === 0 ? 0 : 1;
