/**
 * Backups of a service under load, in process and from beside it: each is one moment of the whole service, and what is
 * restored from it carries on as after a crash at that moment.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openMemorySnapshots } from "../../src/adapters/memory/snapshot-store.ts";
import { openSegmentLog } from "../../src/adapters/segments/open.ts";
import { openSegmentLogToRead } from "../../src/adapters/segments/reader.ts";
import { systemClock as clock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { temporaryDirectory } from "../../src/adapters/system/temporary.ts";
import type { LogPosition, LogReader } from "../../src/ports/log.ts";
import { backUpDirectory, restoreDirectory } from "../../src/presets/backup.ts";
import { drill } from "../../src/presets/drill.ts";
import { createBackup } from "../../src/runtime/backup.ts";
import { readBackup, verifyBackup } from "../../src/runtime/backup-verify.ts";
import { Prng } from "../../src/std/prng.ts";
import { account, outside } from "./accounts.ts";
import {
  accounts,
  chips,
  countChips,
  execute,
  Load,
  names,
  openAccounts,
  openBackups,
  segmentBytes,
  settleChips,
  shardCount,
  startAccounts,
} from "./service.harness.ts";

/** More of them, where a campaign is wanted. */
const rounds = Number(process.env["BACKUP_ROUNDS"] ?? 6);

/** Restores, counts, starts, waits, counts again. */
async function prove(backup: string, store: string, expected: { acknowledged: ReadonlyMap<string, string> }) {
  using place = temporaryDirectory();
  const directory = join(place.path, "restored");
  const from = await openBackups(store);
  await verifyBackup({ name: backup, from, clock });
  await restoreDirectory({ name: backup, from, directory, segmentBytes });
  const { held, underway, timers, ids } = await countChips(directory);
  assert.equal(held + underway, chips, `${backup}: chips at the cut`);
  assert.equal(timers, accounts, `${backup}: timers that wait`);
  for (const [id, key] of expected.acknowledged)
    assert.ok(ids.get(key)?.includes(id), `${backup}: ${id} was acknowledged before the backup began`);
  const service = await startAccounts(directory);
  try {
    const settled = await settleChips(service);
    assert.equal(settled.held, chips, `${backup}: chips when all sends have arrived`);
    for (const own of settled.ids) assert.equal(new Set(own).size, own.length, `${backup}: each command once`);
    const load = new Load(service, 7, 4);
    await sleep(100);
    await load.stop();
    assert.ok(load.acknowledged.length > 0);
    assert.equal((await settleChips(service)).held, chips);
  } finally {
    await service.stop();
  }
  assert.equal((await countChips(directory)).held, chips);
  return underway;
}

function idsOf(load: Load): Map<string, string> {
  return new Map(load.acknowledged.map(({ input, entity }) => [input.id, entity.key]));
}

test("a backup taken at any moment of heavy traffic, in process or beside it, conserves every chip", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const service = await startAccounts(directory);
  await openAccounts(service);
  const load = new Load(service, 1);
  const prng = new Prng(11);
  const to = await openBackups(store);
  const made: { name: string; acknowledged: Map<string, string> }[] = [];
  let snapshots = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      await sleep(prng.integer(400));
      const name = `round-${round}`;
      const acknowledged = idsOf(load);
      const request = { name, to };
      const report = await (round % 2 === 0 ? service.backup(request) : backUpDirectory({ ...request, directory }));
      snapshots += report.shards.filter(({ at }) => at !== undefined).length;
      made.push({ name, acknowledged });
    }
  } finally {
    await load.stop();
    await service.stop();
  }
  assert.ok(snapshots > 0, "some shards had snapshots");
  let underway = 0;
  for (const { name, acknowledged } of made) underway += await prove(name, store, { acknowledged });
  assert.ok(underway > 0, "some cuts fell between a send and its receipt");
});

test("a cut of two moments, which a backup must not have, is found by the count", async () => {
  using place = temporaryDirectory();
  const [directory, restored] = [join(place.path, "data"), join(place.path, "restored")];
  const service = await startAccounts(directory, {});
  await openAccounts(service);
  const load = new Load(service, 9);
  await sleep(100);
  const look = async (): Promise<LogReader> => {
    const early = await openSegmentLogToRead({ directory });
    await sleep(100);
    const late = await openSegmentLogToRead({ directory });
    const tail = async (shards: readonly number[]) => {
      const [before, after] = [await early.tail(shards), await late.tail(shards)];
      return shards.map((shard, index) => (shard < 2 ? before : after)[index] as LogPosition);
    };
    return { tail, read: (from) => late.read(from), close: () => late.close() };
  };
  const to = openMemorySnapshots();
  await createBackup({ name: "b", from: { shardCount, snapshots: undefined, look }, to, clock, random: systemRandom });
  await load.stop();
  await service.stop();
  await restoreDirectory({ name: "b", from: to, directory: restored, segmentBytes });
  const { held, underway } = await countChips(restored);
  assert.notEqual(held + underway, chips);
});

test("a stopped service is backed up whole, and one without any snapshot from its first record", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const service = await startAccounts(directory);
  await openAccounts(service);
  const load = new Load(service, 2, 4);
  await sleep(100);
  await load.stop();
  await service.stop();
  const to = await openBackups(store);
  const whole = await backUpDirectory({ name: "stopped", to, directory });
  assert.ok(whole.shards.every(({ at, tail }) => at === tail));
  rmSync(join(directory, "snapshots"), { recursive: true });
  const bare = await backUpDirectory({ name: "bare", to, directory });
  assert.ok(bare.shards.every(({ at }) => at === undefined));
  for (const name of ["stopped", "bare"]) await prove(name, store, { acknowledged: idsOf(load) });
});

test("a request that was answered before the cut is answered the same by the restored service, and not carried out again", async () => {
  using place = temporaryDirectory();
  const [directory, store, restored] = ["data", "backups", "restored"].map((name) => join(place.path, name)) as [
    string,
    string,
    string,
  ];
  const service = await startAccounts(directory, { replayBudgetMs: 4 });
  await openAccounts(service);
  const load = new Load(service, 3);
  await sleep(600);
  await load.stop();
  const gift = load.acknowledged.at(-1);
  assert.ok(gift !== undefined);
  const before = await execute(service, gift, gift.requestId);
  const to = await openBackups(store);
  await service.stop(); // the last snapshots contain the request
  await backUpDirectory({ name: "b", to, directory });
  await restoreDirectory({ name: "b", from: to, directory: restored, segmentBytes });
  const again = await startAccounts(restored, { replayBudgetMs: 4 });
  const after = await execute(again, gift, gift.requestId);
  await again.stop();
  assert.deepEqual(after, before);
});

test("the restored log is fenced as the service's own was: a higher epoch claims it, a lower one and another tail do not", async () => {
  using place = temporaryDirectory();
  const [directory, store, restored] = ["data", "backups", "restored"].map((name) => join(place.path, name)) as [
    string,
    string,
    string,
  ];
  const service = await startAccounts(directory);
  await openAccounts(service);
  const load = new Load(service, 4);
  await sleep(700);
  const to = await openBackups(store);
  const report = await service.backup({ name: "b", to });
  await load.stop();
  await service.stop();
  await restoreDirectory({ name: "b", from: to, directory: restored, segmentBytes });
  const frame = new Uint8Array(100).fill(7);
  for (let opening = 0; opening < 2; opening++) {
    await using log = await openSegmentLog({ directory: restored, shardCount, segmentBytes });
    for (const { shard, epoch, tail } of report.shards) {
      const [position] = await log.tail([shard]);
      assert.equal(position?.tail, tail + opening * 2);
      assert.equal(position.epoch, epoch + opening);
      const write = { shard, at: position.tail, count: 1, frame };
      assert.equal((await log.claim([{ ...write, epoch: position.epoch }]))[0]?.ok, false);
      assert.equal((await log.claim([{ ...write, epoch: position.epoch + 1, at: position.tail - 1 }]))[0]?.ok, false);
      assert.equal((await log.claim([{ ...write, epoch: position.epoch + 1 }]))[0]?.ok, true);
      const append = { ...write, epoch: position.epoch + 1, at: position.tail + 1 };
      assert.equal((await log.append([append]))[0]?.ok, true);
    }
    await log.scrub();
  }
});

test("a restore goes into an empty directory only, and changes nothing in another", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const service = await startAccounts(directory);
  const to = await openBackups(store);
  await service.backup({ name: "b", to });
  await service.stop();
  const before = names(directory);
  await assert.rejects(restoreDirectory({ name: "b", from: to, directory }), { code: "invalid-configuration" });
  assert.deepEqual(names(directory), before);
  const fresh = join(place.path, "fresh");
  await assert.rejects(restoreDirectory({ name: "none", from: to, directory: fresh }), {
    code: "invalid-configuration",
  });
  assert.equal(existsSync(fresh), false);
  mkdirSync(join(fresh, "lost+found"), { recursive: true });
  await restoreDirectory({ name: "b", from: to, directory: fresh });
  assert.ok(names(fresh).includes("format"));
});

test("a restore that was ended in the middle is refused by every start, and said to be one", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const service = await startAccounts(directory);
  const to = await openBackups(store);
  await service.backup({ name: "b", to });
  await service.stop();
  const restored = join(place.path, "restored");
  await restoreDirectory({ name: "b", from: to, directory: restored, segmentBytes });
  writeFileSync(join(restored, "restoring"), "as a restore leaves it that is killed");
  await assert.rejects(startAccounts(restored), { code: "restore-unfinished" });
  await assert.rejects(backUpDirectory({ name: "c", to, directory: restored }), { code: "restore-unfinished" });
  await assert.rejects(restoreDirectory({ name: "b", from: to, directory: restored }), { code: "restore-unfinished" });
});

test("a restore that fails leaves the directory empty", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const service = await startAccounts(directory);
  await openAccounts(service);
  const to = await openBackups(store);
  await service.backup({ name: "b", to });
  await service.stop();
  const objects = names(store).filter((name) => name.includes("_objects_"));
  const restored = join(place.path, "restored");
  for (const object of objects) {
    using spoilt = temporaryDirectory();
    for (const name of names(store).filter((one) => one !== object && one.endsWith(".object")))
      copyFileSync(join(store, name), join(spoilt.path, name));
    const from = await openBackups(spoilt.path);
    await assert.rejects(restoreDirectory({ name: "b", from, directory: restored }), { code: "snapshot-damaged" });
    assert.deepEqual(names(restored), []);
  }
  assert.ok(objects.length > 0);
});

test("a drill finds every state in which the live log's past is another than the backup's, and a live log that is too short", async () => {
  using place = temporaryDirectory();
  const at = (name: string) => join(place.path, name);
  const to = await openBackups(at("backups"));
  const definitions = new Map([[account.name, account]]);
  const transfer = async (directory: string, backups: readonly string[], seed: number) => {
    const service = await startAccounts(directory, {});
    if (backups[0] === "monday") await openAccounts(service);
    for (const name of backups) {
      const load = new Load(service, seed, 4);
      await sleep(150);
      await load.stop();
      await service.backup({ name, to });
    }
    await service.stop();
  };
  await transfer(at("data"), ["monday", "tuesday"], 5);
  const same = await drill({ name: "tuesday", from: to, definitions, live: at("data") });
  assert.deepEqual([same.differences, same.comparedLive], [[], accounts]);
  await restoreDirectory({ name: "monday", from: to, directory: at("other"), segmentBytes });
  const short = await drill({ name: "tuesday", from: to, definitions, live: at("other") });
  assert.match(short.differences[0]?.detail ?? "", /another service's, or it lost records/);
  const { shards: wanted } = await readBackup({ name: "tuesday", from: to, clock });
  for (let day = 1, reached = false; !reached; day++) {
    await transfer(at("other"), [`other-${day}`], 5 + day);
    const { shards } = await readBackup({ name: `other-${day}`, from: to, clock });
    reached = shards.every(({ tail }, index) => tail >= (wanted[index]?.tail ?? 0));
  }
  const other = await drill({ name: "tuesday", from: to, definitions, live: at("other") });
  assert.ok(other.differences.some(({ where, entity }) => where === "live" && entity.startsWith("account/")));
});

test("a drill makes no outside call, though calls stand at the cut", async () => {
  using place = temporaryDirectory();
  const [directory, store] = [join(place.path, "data"), join(place.path, "backups")];
  const told = new Set<string>();
  let answer = () => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  outside.told = (key) => {
    told.add(key);
    return answered;
  };
  const service = await startAccounts(directory);
  await openAccounts(service);
  const load = new Load(service, 8, 8);
  while (told.size < 3) await sleep(5);
  const to = await openBackups(store);
  await service.backup({ name: "b", to });
  await load.stop();
  const before = told.size;
  const report = await drill({ name: "b", from: to, definitions: new Map([[account.name, account]]) });
  assert.equal(report.entities, accounts);
  assert.equal(told.size, before);
  answer();
  await service.stop();
  // A service that is restored makes them again, with the same keys.
  const again = new Set<string>();
  outside.told = async (key) => void again.add(key);
  const restored = join(place.path, "restored");
  await restoreDirectory({ name: "b", from: to, directory: restored, segmentBytes });
  const other = await startAccounts(restored);
  while (again.size < 3) await sleep(5);
  await other.stop();
  outside.told = async () => {};
  for (const key of again) assert.ok(told.has(key), "a call of then has the key of then");
});
