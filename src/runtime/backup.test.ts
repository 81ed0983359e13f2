/**
 * Backups: what was copied is verified, what is restored is what was copied, and nobody is overwritten.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { backUp, restoreBackup, verifyBackup } from "./backup.ts";
import { assertSame, openShard, requestsOf, ShardModel } from "./snapshots.harness.ts";

const shardCount = 5; // of which shard 3 has snapshots

async function service() {
  const live = new MemoryObjects();
  const model = new ShardModel({ seed: 31 });
  const snapshots = openShard(live);
  for (let round = 0; round < 4; round++) {
    model.touchSome(10, 30);
    model.requests = [requestsOf(1_000, model.at)];
    await model.save(snapshots);
  }
  const copy = new MemoryObjects();
  const stores = { from: openMemorySnapshots({ objects: live }), to: openMemorySnapshots({ objects: copy }) };
  const tails = async () => new Map([[3, model.at]]);
  return { live, copy, model, snapshots, stores: { ...stores, tails } };
}

test("a service is restored from its backup as it was", async () => {
  const { copy, model, snapshots, stores } = await service();
  const wanted = model.copy();
  const report = await backUp({ name: "monday", ...stores, shardCount, clock });
  assert.deepEqual(report.shards, [{ shard: 3, at: model.at }]);
  model.touchSome(10, 30);
  await model.save(snapshots);
  assert.deepEqual(await verifyBackup({ name: "monday", to: stores.to, clock }), report);
  const fresh = new MemoryObjects();
  const to = openMemorySnapshots({ objects: fresh });
  const from = openMemorySnapshots({ objects: copy });
  assert.deepEqual(await restoreBackup({ name: "monday", from, to, shardCount, clock }), report);
  await assertSame((await openShard(fresh).load()).snapshot, wanted);
});

test("two backups in one store are both there", async () => {
  const { copy, model, snapshots, stores } = await service();
  const first = model.copy();
  await backUp({ name: "1", ...stores, shardCount, clock });
  model.touchSome(10, 30);
  await model.save(snapshots);
  await backUp({ name: "2", ...stores, shardCount, clock });
  for (const [name, wanted] of [
    ["1", first],
    ["2", model.copy()],
  ] as const) {
    const fresh = new MemoryObjects();
    const to = openMemorySnapshots({ objects: fresh });
    await restoreBackup({ name, from: openMemorySnapshots({ objects: copy }), to, shardCount, clock });
    await assertSame((await openShard(fresh).load()).snapshot, wanted);
  }
});

test("a backup that is spoilt in any object is found by verifying, and is not restored", async () => {
  const { copy, stores } = await service();
  await backUp({ name: "monday", ...stores, shardCount, clock });
  for (const name of [...copy.objects.keys()]) {
    copy.flip(name, 70);
    await assert.rejects(verifyBackup({ name: "monday", to: stores.to, clock }), { code: "snapshot-damaged" }, name);
    const fresh = new MemoryObjects();
    const to = openMemorySnapshots({ objects: fresh });
    const restore = restoreBackup({ name: "monday", from: stores.to, to, shardCount, clock });
    await assert.rejects(restore, { code: "snapshot-damaged" }, name);
    assert.equal(fresh.objects.has("shards/3/head"), false);
    copy.flip(name, 70);
  }
});

test("a backup is not made twice under one name, nor restored over snapshots or into other shards", async () => {
  const { stores } = await service();
  const refused = { code: "invalid-configuration" };
  await backUp({ name: "monday", ...stores, shardCount, clock });
  await assert.rejects(backUp({ name: "monday", ...stores, shardCount, clock }), refused);
  const back = { name: "monday", from: stores.to, clock };
  await assert.rejects(restoreBackup({ ...back, to: stores.from, shardCount }), refused);
  await assert.rejects(restoreBackup({ ...back, to: openMemorySnapshots(), shardCount: 6 }), refused);
  await assert.rejects(restoreBackup({ ...back, name: "tuesday", to: openMemorySnapshots(), shardCount }), refused);
});

test("a backup is refused while a shard has records that its snapshot does not contain, or gets some", async () => {
  const { model, snapshots, stores, copy } = await service();
  const options = { name: "monday", ...stores, shardCount, clock };
  model.touch(1);
  await assert.rejects(backUp(options), { code: "unavailable" });
  await model.save(snapshots);
  let asked = 0;
  const moving = async () => new Map([[3, model.at + asked++]]);
  await assert.rejects(backUp({ ...options, tails: moving }), { code: "unavailable" });
  const more = async () => new Map([...(await stores.tails()), [4, 2]]);
  await assert.rejects(backUp({ ...options, tails: more }), { code: "unavailable" });
  assert.equal(copy.objects.has("backups/monday/catalogue"), false);
  await backUp(options);
});
