/**
 * Snapshots under crashes and damage: ended after any call of the store, or with any object spoilt, what loads is a state that
 * was saved, and the next owner goes on from it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryObjects, type MemorySnapshotHooks } from "../adapters/memory/snapshot-store.ts";
import { assertSame, type ModelCopy, openShard, requestsOf, ShardModel } from "./snapshots.harness.ts";
import type { ShardSnapshots } from "./snapshots.ts";

/** Lets `calls` calls of the store happen; after that nothing happens any more, as in a process that ended. */
function cutAfter(calls: number, losesAnswer: boolean): { hooks: MemorySnapshotHooks; seen: () => number } {
  let seen = 0;
  const ended = () => {
    throw new Error("the process ended");
  };
  const hooks = {
    before: () => {
      if (seen++ >= calls) ended();
    },
    after: () => {
      if (losesAnswer && seen >= calls) ended();
    },
  };
  return { hooks, seen: () => seen };
}

interface Progress {
  /** What a save was answered for last. */
  acknowledged: ModelCopy | undefined;
  /** What was given to a save that was not answered. */
  attempted: ModelCopy | undefined;
}

/** An owner's life: saves and merges. */
async function live(model: ShardModel, snapshots: ShardSnapshots, rounds: number, progress: Progress): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    model.touchSome(6, 40);
    model.requests = [requestsOf(model.epoch * 1_000, model.at)];
    progress.attempted = model.copy();
    await model.save(snapshots);
    progress.acknowledged = progress.attempted;
    progress.attempted = undefined;
    while (await snapshots.merge());
  }
}

/** Asserts that one of the two is what loads. @returns which */
async function assertEither(objects: MemoryObjects, progress: Progress): Promise<void> {
  const { snapshot, problems } = await openShard(objects).load();
  assert.deepEqual(problems, []);
  const { acknowledged, attempted } = progress;
  if (snapshot === undefined) return assert.equal(acknowledged, undefined, "what was answered is there");
  const copy = snapshot.image.at === attempted?.image.at ? attempted : acknowledged;
  assert.ok(copy !== undefined);
  await assertSame(snapshot, copy);
}

for (const losesAnswer of [false, true]) {
  test(`an owner that ends ${losesAnswer ? "before the answer to" : "before"} any call leaves what loads, and the next one goes on`, async () => {
    for (let calls = 0; ; calls++) {
      const objects = new MemoryObjects();
      const model = new ShardModel({ seed: 21 });
      const progress: Progress = { acknowledged: undefined, attempted: undefined };
      await live(model, openShard(objects), 3, progress);
      model.epoch = 2;
      const cut = cutAfter(calls, losesAnswer);
      let done = false;
      try {
        await live(model, openShard(objects, cut.hooks), 5, progress);
        done = true;
      } catch (error) {
        assert.match(String(error), /the process ended/);
      }
      await assertEither(objects, progress);
      model.epoch = 3;
      await live(model, openShard(objects), 2, progress);
      await assertEither(objects, progress);
      if (done) break;
      assert.ok(calls < 500, "it comes to an end");
    }
  });
}

/** Three generations, and what each of them holds. */
async function threeGenerations(): Promise<{ objects: MemoryObjects; copies: ModelCopy[] }> {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 22, bytesEach: 30 });
  const snapshots = openShard(objects);
  const copies: ModelCopy[] = [];
  for (let round = 0; round < 3; round++) {
    model.touchSome(6, 12);
    model.requests = [requestsOf(1_000, round + 1)];
    await model.save(snapshots);
    copies.unshift(model.copy());
  }
  return { objects, copies };
}

test("whichever object is missing or spoilt, what loads is an older generation, and it is said what was bad", async () => {
  const { objects } = await threeGenerations();
  const loadedAt = new Map<number | undefined, number>();
  for (const name of objects.objects.keys()) {
    for (const spoil of ["delete", "shorten", "flip"] as const) {
      const { objects: spoilt, copies } = await threeGenerations();
      const stored = spoilt.objects.get(name);
      assert.ok(stored !== undefined);
      if (spoil === "delete") spoilt.objects.delete(name);
      else if (spoil === "flip") spoilt.flip(name, stored.bytes.length * 4);
      else spoilt.objects.set(name, { bytes: stored.bytes.slice(0, -1), tag: stored.tag });
      const { snapshot, problems } = await openShard(spoilt).load();
      const copy = copies.find(({ image }) => image.at === snapshot?.image.at);
      if (snapshot !== undefined) await assertSame(snapshot, copy as ModelCopy);
      const isNewest = copy === copies[0];
      if (!isNewest)
        assert.ok(
          problems.some((problem) => problem.name === name),
          `${name} is named`,
        );
      loadedAt.set(snapshot?.image.at, 1 + (loadedAt.get(snapshot?.image.at) ?? 0));
    }
  }
  assert.equal(loadedAt.size, 4, "each generation was fallen back to, and none at all");
});

test("after damage the next save is whole, and what was bad is not listed any more", async () => {
  const { objects } = await threeGenerations();
  for (const name of [...objects.objects.keys()].filter((one) => one.includes("objects/"))) objects.flip(name, 80);
  const model = new ShardModel({ seed: 22 });
  model.touchSome(100, 30);
  model.epoch = 2;
  const snapshots = openShard(objects);
  const { snapshot, problems } = await snapshots.load();
  assert.equal(snapshot, undefined);
  assert.ok(problems.length > 0);
  const saved = await model.save(snapshots);
  assert.deepEqual([saved.whole, saved.trimBelow], [true, undefined]);
  const after = await openShard(objects).load();
  await assertSame(after.snapshot, model.copy());
  assert.deepEqual(after.problems, []);
});

test("damage that came after the check is found by scrubbing, and the next save is whole", async () => {
  const objects = new MemoryObjects();
  const model = new ShardModel({ seed: 23 });
  const snapshots = openShard(objects);
  model.touchSome(30, 40);
  await model.save(snapshots);
  assert.equal(await snapshots.scrub(), undefined);
  objects.flip([...objects.objects.keys()].find((name) => name.includes("objects/")) ?? "", 100);
  assert.equal((await snapshots.scrub())?.error.code, "snapshot-damaged");
  assert.equal(await snapshots.merge(), false);
  model.touch(1);
  assert.equal((await model.save(snapshots)).whole, true);
  await assertSame((await openShard(objects).load()).snapshot, model.copy());
});

test("a head that is damaged or gone is made again from the manifests", async () => {
  for (const spoil of ["flip", "delete"] as const) {
    const { objects, copies } = await threeGenerations();
    if (spoil === "flip") objects.flip("shards/3/head", 60);
    else objects.objects.delete("shards/3/head");
    const snapshots = openShard(objects);
    await assertSame((await snapshots.load()).snapshot, copies[0] as ModelCopy);
    const model = new ShardModel({ seed: 22, bytesEach: 30 });
    for (let round = 0; round < 4; round++) model.touchSome(6, 12);
    model.epoch = 2;
    assert.equal((await model.save(snapshots)).whole, false);
    await assertSame((await openShard(objects).load()).snapshot, model.copy());
  }
});
