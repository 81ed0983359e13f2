/**
 * What an archive costs: bytes a record, and what commands feel of it.
 *
 *     archive.ts <directory> [seconds]   the same load in turns, on a node that archives nothing and on one that archives all
 *
 * Request ids are forgotten after 2 s here and snapshots come twenty times as often, so that the log is trimmed all the time; by
 * default that is 10 minutes behind.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createHistogram } from "node:perf_hooks";
import { type HoldfastNode, type Retention, startNode } from "holdfast";
import { openFileSnapshots } from "../src/adapters/files/snapshot-store.ts";
import { openLmdbStateStore } from "../src/adapters/lmdb/open.ts";
import { openSegmentLog } from "../src/adapters/segments/open.ts";
import { systemClock } from "../src/adapters/system/clock.ts";
import { openDirectory } from "../src/adapters/system/disk.ts";
import { systemRandom } from "../src/adapters/system/random.ts";
import { shardCountEmbedded } from "../src/model/ids.ts";
import { ShardArchive } from "../src/runtime/archive.ts";
import { ArchivedLog, ShardArchiveReader } from "../src/runtime/archive-reader.ts";
import { makeUuidV7 } from "../src/std/uuid.ts";
import { account } from "./wallet.ts";

const [place = "", secondsText = "30"] = process.argv.slice(2);
const shardCount = shardCountEmbedded;
const inFlight = 64;
const entities = 10_000;
const principal = { kind: "user", id: "bench" } as const;

/** Some of what was answered instead of done. */
const failures = new Set<string>();

function filesIn(directory: string) {
  return openFileSnapshots({ disk: openDirectory(directory), clock: systemClock, random: systemRandom });
}

async function open(directory: string, retention: Retention): Promise<HoldfastNode> {
  mkdirSync(directory, { recursive: true });
  return startNode({
    entities: [account],
    log: await openSegmentLog({ directory, shardCount }),
    state: await openLmdbStateStore({ directory: join(directory, "state") }),
    snapshots: await filesIn(join(directory, "snapshots")),
    archive: await filesIn(join(directory, "archive")),
    retention,
    clock: systemClock,
    random: systemRandom,
    shardCount,
    limits: { dedupWindowMs: 2_000, requestIdFutureMs: 1_000, replayBudgetMs: 50, archiveRecordsMin: 1_000 },
    onFault: (where, error) => console.error(where, error),
  });
}

function credit(node: HoldfastNode, key: string): Promise<boolean> {
  const call = {
    entity: { type: "account", key },
    command: "credit",
    input: { amount: 1 },
    requestId: makeUuidV7(Date.now(), systemRandom.bytes(16)),
    principal,
  };
  return new Promise((resolve) =>
    node.execute(call, (result) => {
      if (!result.ok && failures.size < 5) failures.add(`${result.code}: ${result.detail}`);
      resolve(result.ok);
    }),
  );
}

async function load(node: HoldfastNode, ms: number) {
  const histogram = createHistogram();
  const endMs = performance.now() + ms;
  let failed = 0;
  const loop = async () => {
    while (performance.now() < endMs) {
      const startedAt = performance.now();
      if (!(await credit(node, `w${Math.floor(Math.random() * entities)}`))) failed++;
      histogram.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return { histogram, failed };
}

/** What there is in the archive, by reading all of it. */
async function weigh(directory: string) {
  const log = await openSegmentLog({ directory, shardCount });
  const store = await filesIn(join(directory, "archive"));
  const past = new ArchivedLog(log, { store, clock: systemClock });
  let [objects, stored, records, raw] = [0, 0, 0, 0];
  const startedAt = performance.now();
  for (let shard = 0; shard < shardCount; shard++) {
    const reader = past.shard(shard);
    const ranges = await reader.ranges();
    for (const range of ranges) {
      objects++;
      stored += (await reader.fetch(range)).length;
    }
    const end = Math.max(1, ...ranges.map(({ to }) => to));
    for await (const frames of reader.read(1, end)) {
      for (const { bytes, count } of frames) {
        records += count;
        raw += bytes.length;
      }
    }
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await log.close();
  return { objects, stored, records, raw, seconds };
}

/** Archives what the log of a node that archived nothing still has, alone: what it costs, and the longest work between two turns. */
async function archiveAlone(directory: string) {
  const log = await openSegmentLog({ directory, shardCount });
  const store = await filesIn(join(directory, "alone"));
  const before = process.cpuUsage();
  const slices: number[] = [];
  let records = 0;
  for (const [shard, { tail, trimmed }] of (
    await log.tail(Array.from({ length: shardCount }, (_, one) => one))
  ).entries()) {
    const reader = new ShardArchiveReader(shard, { store, clock: systemClock });
    const report = (where: string, error: unknown) => console.error(where, error);
    const facts = {
      reader,
      store,
      log,
      clock: systemClock,
      retention: { archive: "all" },
      recordsMin: 1,
      waitMs: 3_600_000,
      report,
    } as const;
    const rest = async (busyMs: number) => {
      slices.push(busyMs);
      await new Promise((resolve) => setImmediate(resolve));
    };
    await new ShardArchive(facts).advance({ below: tail, silent: false, nowMs: 0, check: () => {}, rest });
    records += tail - trimmed;
  }
  await log.close();
  const { user, system } = process.cpuUsage(before);
  slices.sort((one, other) => one - other);
  return { records, micros: (user + system) / records, slice: slices[Math.floor(slices.length / 2)] ?? 0 };
}

console.log("| archive | commands/s | p50 ms | p99 ms | p99.9 ms | failed |\n|---|---|---|---|---|---|");
for (const [turn, archive] of (["none", "all", "none", "all"] as const).entries()) {
  const directory = join(place, `${turn}-${archive}`);
  const node = await open(directory, { archive });
  await load(node, 3_000);
  const ms = Number(secondsText) * 1_000;
  const { histogram, failed } = await load(node, ms);
  const [p50, p99, p999] = [50, 99, 99.9].map((of) => (histogram.percentile(of) / 1_000).toFixed(2));
  const rate = Math.round(histogram.count / (ms / 1_000)).toLocaleString("en");
  console.log(`| ${archive} | ${rate} | ${p50} | ${p99} | ${p999} | ${failed} |`);
  await node.stop();
}
const { objects, stored, records, raw, seconds } = await weigh(join(place, "3-all"));
const each = (bytes: number) => (bytes / Math.max(1, records)).toFixed(1);
console.log(
  `${records.toLocaleString("en")} records archived in ${objects} objects: ${each(raw)} bytes a record in the log, ` +
    `${each(stored)} in the archive; checked and read back at ${Math.round(records / seconds).toLocaleString("en")} records/s`,
);
const alone = await archiveAlone(join(place, "2-none"));
console.log(
  `${alone.records.toLocaleString("en")} records archived alone: ${alone.micros.toFixed(2)} µs of CPU a record, a block takes ${alone.slice.toFixed(2)} ms`,
);
for (const failure of failures) console.log(failure);
