/**
 * Snapshots of a shard: what is saved comes back, costs what changed, and is refused where it must be.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects, type MemorySnapshotHooks } from "../adapters/memory/snapshot-store.ts";
import { HoldfastError } from "../model/errors.ts";
import { idsPerChunk } from "../wire/snapshot-requests.ts";
import { assertSame, openShard, requestsOf, ShardModel } from "./snapshots.harness.ts";
import type { ShardSnapshots } from "./snapshots.ts";

async function mergeAll(snapshots: ShardSnapshots): Promise<number> {
  let merges = 0;
  while (await snapshots.merge()) merges++;
  return merges;
}

test("a shard without snapshots loads as none", async () => {
  assert.deepEqual(await openShard(new MemoryObjects()).load(), { snapshot: undefined, problems: [], told: 1 });
});

test("what was saved is what another owner loads, through layers and merges", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 1 });
  for (let number = 0; number < 400; number++) model.touch(number);
  for (let round = 0; round < 30; round++) {
    model.touchSome(20, 450);
    model.requests = [requestsOf(100, 50 + round), requestsOf(200_000, round)].filter((one) => one.offsets.length > 0);
    const saved = await model.save(snapshots);
    assert.equal(saved.at, model.at);
    assert.equal(saved.whole, round === 0);
    assert.ok(saved.layers <= 12);
    if (round % 2 === 0) await mergeAll(snapshots);
    await assertSame((await openShard(objects).load()).snapshot, model.copy());
  }
});

test("an empty shard has a snapshot too", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 1 });
  await model.save(openShard(objects));
  await assertSame((await openShard(objects).load()).snapshot, model.copy());
});

test("images that come unsorted, twice or large are saved as what was touched last", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 5, bytesEach: 700_000 });
  for (let number = 0; number < 12; number++) model.touch(number);
  const old = [...model.images.values()].slice(0, 3);
  for (let number = 0; number < 12; number += 3) model.touch(number);
  const images = () => [...old, ...[...model.images.values()].reverse(), ...old];
  await openShard(objects).save({ image: model.shardImage, images, codes: {} });
  const { snapshot } = await openShard(objects).load();
  await assertSame(snapshot, model.copy());
  assert.equal((await snapshot?.find("thing/3"))?.touched, model.images.get("thing/3")?.touched);
  assert.equal(await snapshot?.find("thing/33"), undefined);
});

test("a save asks only for what was touched since the one before, and uploads about that", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const count = 20_000;
  const model = new ShardModel({ seed: 2, bytesEach: 200 });
  for (let number = 0; number < count; number++) model.touch(number);
  const whole = await model.save(snapshots);
  const before = model.at;
  model.touchSome(count / 100, count);
  const one = await model.save(snapshots);
  assert.equal(model.since, before);
  assert.ok(one.uploadedBytes <= whole.uploadedBytes * 0.013, `${one.uploadedBytes} of ${whole.uploadedBytes}`);
});

test("a save after nothing happened writes nothing", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 3 });
  model.touch(1);
  const first = await model.save(snapshots);
  const second = await model.save(snapshots);
  assert.deepEqual([second.generation, second.uploadedObjects], [first.generation, 0]);
});

test("full chunks of request ids are uploaded once", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 4 });
  model.requests = [requestsOf(1, 3 * idsPerChunk + 5)];
  const first = await model.save(snapshots);
  assert.equal(first.uploadedObjects, 4 + 1);
  for (const more of [10, 20]) {
    model.touch(1);
    model.requests = [requestsOf(1, 3 * idsPerChunk + 5 + more)];
    const next = await model.save(more === 10 ? snapshots : openShard(objects));
    assert.equal(next.uploadedObjects, 1 + 1 + 1, "a layer, the last chunk, the manifest");
    await assertSame((await openShard(objects).load()).snapshot, model.copy());
  }
});

test("the log may be trimmed below the second-newest generation, never the newest", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 6 });
  const saved: (number | undefined)[] = [];
  const at: number[] = [];
  for (let round = 0; round < 4; round++) {
    model.touchSome(10, 50);
    at.push(model.at);
    saved.push((await model.save(snapshots)).trimBelow);
  }
  assert.deepEqual(saved, [undefined, at[0], at[1], at[2]]);
  model.touch(1);
  assert.equal((await model.save(openShard(objects))).trimBelow, at[3], "another owner verifies before it says so");
});

test("a deposed owner is refused, and nothing of the newer one is touched", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 7 });
  const [old, later] = [openShard(objects), openShard(objects)];
  model.touchSome(30, 50);
  await model.save(old);
  model.epoch = 2;
  model.touchSome(5, 50);
  await model.save(later);
  const copy = model.copy();
  const names = [...objects.objects.keys()];
  model.epoch = 1;
  model.touchSome(5, 50);
  await assert.rejects(model.save(old), { code: "fenced" });
  assert.deepEqual([...objects.objects.keys()], names);
  await assertSame((await openShard(objects).load()).snapshot, copy);
});

test("an owner that is deposed while it saves is refused at the end", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 8 });
  model.touchSome(30, 50);
  await model.save(openShard(objects));
  model.touchSome(5, 50);
  let deposed = false;
  const between = openShard(objects, {
    async before({ verb, name }) {
      if (verb !== "put" || !name.includes("manifests") || deposed) return;
      deposed = true;
      model.epoch = 2;
      await model.save(openShard(objects));
      model.epoch = 1;
    },
  });
  await assert.rejects(model.save(between), { code: "fenced" });
  model.epoch = 2;
  await assertSame((await openShard(objects).load()).snapshot, model.copy());
});

test("other code makes the save whole", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 9 });
  model.touchSome(30, 50);
  await model.save(snapshots);
  model.codes = { thing: "code-2" };
  model.touch(1);
  assert.deepEqual([(await model.save(snapshots)).whole, model.since], [true, 1]);
  const { snapshot } = await openShard(objects).load();
  assert.deepEqual(snapshot?.manifest.codes, model.codes);
  await assertSame(snapshot, model.copy());
});

test("a log that ends before its snapshots is refused", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 10 });
  model.touchSome(30, 50);
  await model.save(openShard(objects));
  const other = new ShardModel({ seed: 11 });
  other.epoch = 5;
  await assert.rejects(other.save(openShard(objects)), { code: "invalid-configuration" });
});

test("a state of the past is loaded from the generation before it", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 12 });
  model.touchSome(30, 50);
  await model.save(snapshots);
  const copy = model.copy();
  model.touchSome(30, 50);
  await model.save(snapshots);
  await assertSame((await snapshots.load({ atMost: model.at - 1 })).snapshot, copy);
  assert.equal((await snapshots.load({ atMost: 1 })).snapshot, undefined);
});

test("what no listed generation needs is deleted", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 13, bytesEach: 2_000 });
  for (let round = 0; round < 40; round++) {
    model.touchSome(20, 100);
    await model.save(snapshots);
    await mergeAll(snapshots);
  }
  const stored = [...objects.objects.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
  assert.ok(objects.objects.size < 60, `${objects.objects.size} objects`);
  assert.ok(stored < 100 * 2_000 * 6, `${stored} bytes`);
});

test("a merge that waits for the next save outlives one that had nothing to publish", async () => {
  const objects = new MemoryObjects();
  const snapshots = openShard(objects);
  const model = new ShardModel({ seed: 14 });
  do {
    model.touchSome(5, 50);
    await model.save(snapshots);
  } while (!(await snapshots.merge()));
  await model.save(snapshots);
  model.touch(1);
  const saved = await model.save(snapshots);
  assert.deepEqual([saved.layers, saved.problems], [2, []]);
  await assertSame((await openShard(objects).load()).snapshot, model.copy());
});

test("another owner builds on what it has read back, and a whole generation leaves the list for nothing else", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 11 });
  const first = openShard(objects);
  model.touchSome(30, 50);
  await model.save(first);
  const before = new Set(objects.objects.keys());
  model.touchSome(5, 50);
  await model.save(first);
  const layer = [...objects.objects.keys()].find((name) => name.includes("/objects/") && !before.has(name));
  objects.objects.delete(layer as string);
  // Each process ends before it has looked at what it published.
  for (let round = 0; round < 4; round++) {
    let published = false;
    const hooks: MemorySnapshotHooks = {
      before: async () => {
        if (published) throw new HoldfastError("unavailable", "The process has ended.");
      },
      after: async ({ verb }) => {
        if (verb === "replace") published = true;
      },
    };
    model.touchSome(5, 50);
    await model.save(openShard(objects, hooks));
    await assertSame((await openShard(objects).load()).snapshot, model.copy());
  }
});
