/** The archive of one shard: what is written, when the log may be trimmed, what is read, what damage and faults do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryObjects } from "../adapters/memory/snapshot-store.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { checkRetention } from "../model/retention.ts";
import { rangeOf } from "../wire/archive.ts";
import { advance, assertFrames, openArchive, pastOf, readPast, shard, WrittenLog } from "./archive.harness.ts";

const code = (wanted: string) => (error: unknown) => isHoldfastError(error) && error.code === wanted;

function rangesIn(objects: MemoryObjects) {
  return [...objects.objects.keys()].map((name) => rangeOf(name)).filter((range) => range !== undefined);
}

test("however a log is written, archived, trimmed and read, its past is every record it ever had", async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("write" as const),
      counts: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 6 }),
    }),
    fc.record({ kind: fc.constant("trim" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant("read" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant("restart" as const), recordsMin: fc.integer({ min: 1, max: 9 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const [written, objects] = [new WrittenLog(), new MemoryObjects()];
      await written.write(1);
      // Two owners, one of them deposed without knowing: both archive.
      const owners = [openArchive(written.log, objects), openArchive(written.log, objects)];
      let turn = 0;
      for (const one of steps) {
        if (one.kind === "write") for (const count of one.counts) await written.write(count);
        else if (one.kind === "restart")
          owners[turn++ % 2] = openArchive(written.log, objects, { recordsMin: one.recordsMin });
        else if (one.kind === "trim") {
          const below = 1 + Math.floor(one.share * (written.tail - 1));
          const owner = owners[turn++ % 2];
          assert.ok(owner !== undefined);
          const archived = await advance(owner, below);
          assert.ok(archived <= below);
          await written.log.trim(shard, archived);
        } else {
          const from = 1 + Math.floor(one.share * (written.tail - 1));
          const past = pastOf(written.log, objects);
          assert.equal((await past.tail([shard]))[0]?.trimmed, 1);
          assertFrames(
            await readPast(past, from),
            written.frames.filter(({ at, count }) => at + count > from),
          );
        }
      }
      assertFrames(await readPast(pastOf(written.log, objects), 1), written.frames);
    }),
    { numRuns: 150 },
  );
});

/** A log of 60 frames, archived in six ranges and trimmed below the last of them. */
async function archived() {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  const archive = openArchive(written.log, objects);
  for (let round = 0; round < 6; round++) {
    for (let index = 0; index < 10; index++) await written.write(2);
    await written.log.trim(shard, await advance(archive, written.tail));
  }
  await written.write(3);
  return { written, objects };
}

test("the archive is cut where the log's frames are, whatever offset is asked for", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  for (let index = 0; index < 10; index++) await written.write(3);
  const archive = openArchive(written.log, objects);
  assert.equal(await advance(archive, 12), 10, "the frame from 10 to 13 is not below 12");
  assert.equal(await advance(archive, 13), 13);
  assert.deepEqual(
    rangesIn(objects).map(({ from, to }) => [from, to]),
    [
      [1, 10],
      [10, 13],
    ],
  );
});

test("few records wait in the log until there are enough for an object", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  const archive = openArchive(written.log, objects, { recordsMin: 8 });
  for (let index = 0; index < 7; index++) await written.write(1);
  assert.equal(await advance(archive, 8), 1);
  assert.equal(objects.objects.size, 0);
  await written.write(1);
  assert.equal(await advance(archive, 9), 9);
});

test("an object that is damaged or gone is named, and all others are still read", async () => {
  const { objects: all } = await archived();
  assert.equal(all.objects.size, 6);
  for (const name of all.objects.keys()) {
    for (const how of ["flip", "cut", "delete"]) {
      const { written, objects } = await archived();
      const stored = objects.objects.get(name);
      assert.ok(stored !== undefined);
      if (how === "flip") objects.flip(name, stored.bytes.length * 4);
      else if (how === "cut") objects.objects.set(name, { ...stored, bytes: stored.bytes.slice(0, -1) });
      else objects.objects.delete(name);
      const range = rangeOf(name);
      assert.ok(range !== undefined);
      const past = pastOf(written.log, objects);
      if (how !== "delete") await assert.rejects(() => readPast(past, range.from), code("snapshot-damaged"));
      else if (range.from > 1) await assert.rejects(() => readPast(past, 1), code("log-damaged"));
      assertFrames(
        await readPast(past, range.to),
        written.frames.filter(({ at }) => at >= range.to),
      );
      // What comes before the damage is shown before it is met.
      const seen: number[] = [];
      const reading = async () => {
        for await (const frames of past.read(new Map([[shard, 1]]))) seen.push(...frames.map(({ at }) => at));
      };
      await reading().catch(() => undefined);
      if (how !== "delete" || range.from > 1)
        assert.deepEqual(
          seen,
          written.frames.map(({ at }) => at).filter((at) => at < range.from),
        );
    }
  }
});

test("of ranges that overlap another one serves when one is damaged", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  for (let index = 0; index < 30; index++) await written.write(1);
  assert.equal(await advance(openArchive(written.log, objects), 20), 20);
  const other = new MemoryObjects();
  await advance(openArchive(written.log, other), 11);
  await advance(openArchive(written.log, other), 25);
  for (const [name, { bytes }] of other.objects) objects.write(name, bytes);
  await written.log.trim(shard, 25);
  for (const range of rangesIn(objects)) {
    if (range.to === 25) continue;
    const copy = new MemoryObjects();
    for (const [name, { bytes }] of objects.objects) copy.write(name, bytes);
    copy.flip(range.name, 99);
    assertFrames(await readPast(pastOf(written.log, copy), 1), written.frames);
  }
});

test("a damaged object whose records the log still has is written anew", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  for (let index = 0; index < 20; index++) await written.write(1);
  await advance(openArchive(written.log, objects), 15);
  const [name] = [...objects.objects.keys()];
  objects.flip(name as string, 70);
  const told: unknown[] = [];
  const next = openArchive(written.log, objects, { report: (_where, error) => told.push(error) });
  assert.equal(await advance(next, 15), 15);
  assert.ok(told.length === 1 && code("snapshot-damaged")(told[0]));
  await written.log.trim(shard, 15);
  assertFrames(await readPast(pastOf(written.log, objects), 1), written.frames);
});

test("an object that is not what was written when it is read back holds the trim up", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  for (let index = 0; index < 20; index++) await written.write(1);
  let bad = true;
  const after = (call: { verb: string; name: string }) => {
    if (call.verb === "put" && bad) objects.flip(call.name, 333);
  };
  const archive = openArchive(written.log, objects, { hooks: { after } });
  await assert.rejects(() => advance(archive, 15), code("snapshot-damaged"));
  assert.equal(objects.objects.size, 0, "its name is free again");
  bad = false;
  assert.equal(await advance(archive, 15), 15);
});

test("a store that does not answer holds the trim up and loses nothing", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  for (let index = 0; index < 20; index++) await written.write(1);
  let down = true;
  const before = () => {
    if (down) throw new HoldfastError("unavailable", "no answer");
  };
  const archive = openArchive(written.log, objects, { hooks: { before } });
  await assert.rejects(() => advance(archive, 15), code("unavailable"));
  down = false;
  assert.equal(await advance(archive, 15), 15);
});

test("an archive of another log is refused, and nothing is trimmed", async () => {
  const { objects } = await archived();
  const other = new WrittenLog();
  await other.write(4);
  for (let index = 0; index < 80; index++) await other.write(2);
  await assert.rejects(() => advance(openArchive(other.log, objects), 100), code("invalid-configuration"));
  const shorter = new WrittenLog();
  await shorter.write(1);
  await assert.rejects(() => advance(openArchive(shorter.log, objects), 1), code("invalid-configuration"));
});

test("with a time to keep, the oldest ranges go whole, and what is left has no gap", async () => {
  const [written, objects] = [new WrittenLog(), new MemoryObjects()];
  const archive = openArchive(written.log, objects, { retention: { archive: { keepMs: 2_000 } } });
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 5; index++) await written.write(1);
    const nowMs = written.tail * 100;
    await written.log.trim(shard, await advance(archive, written.tail, nowMs));
    const past = pastOf(written.log, objects);
    const begin = (await past.tail([shard]))[0]?.trimmed ?? 0;
    assert.ok(begin <= Math.max(1, written.tail - 20), "what is younger is there");
    assert.ok(begin >= written.tail - 31, "what is older is gone, an object at a time");
    assertFrames(
      await readPast(past, begin),
      written.frames.filter(({ at }) => at >= begin),
    );
    if (begin > 1) await assert.rejects(() => readPast(past, begin - 1), code("log-damaged"));
  }
});

test("without an archive the log is trimmed as before, and what was archived stays", async () => {
  const { written, objects } = await archived();
  const archive = openArchive(written.log, objects, { retention: { archive: "none" } });
  assert.equal(await advance(archive, written.tail), written.tail);
  assert.equal(objects.objects.size, 6);
});

test("a log that is trimmed while its past is read is read on through the archive", async () => {
  const { written, objects } = await archived();
  for (let index = 0; index < 20; index++) await written.write(1);
  const archive = openArchive(written.log, objects);
  const past = pastOf(written.log, objects);
  const seen: number[] = [];
  for await (const frames of past.read(new Map([[shard, 1]]))) {
    seen.push(...frames.map(({ at }) => at));
    if (seen.length === 20) await written.log.trim(shard, await advance(archive, written.tail - 3));
  }
  assert.deepEqual(
    seen,
    written.frames.map(({ at }) => at),
  );
});

test("a retention that cannot be is refused", () => {
  assert.deepEqual(checkRetention({}), { archive: "all" });
  for (const archive of ["some", { keepMs: 0 }, { keepMs: Number.NaN }, null])
    assert.throws(() => checkRetention({ archive } as never), code("invalid-configuration"));
});

test("ended before or after any call of the store, a record is in the log or in the archive, and the next owner goes on", async () => {
  for (const losesAnswer of [false, true]) {
    for (let calls = 0; ; calls++) {
      const [written, objects] = [new WrittenLog(), new MemoryObjects()];
      let seen = 0;
      const ended = () => {
        throw new Error("the process ended");
      };
      const hooks = {
        before: () => (seen++ >= calls ? ended() : undefined),
        after: () => (losesAnswer && seen >= calls ? ended() : undefined),
      };
      const retention = { archive: "all" as const };
      let done = false;
      const life = openArchive(written.log, objects, { hooks, retention });
      try {
        for (let round = 0; round < 4; round++) {
          for (let index = 0; index < 5; index++) await written.write(2);
          await written.log.trim(shard, await advance(life, written.tail - 3));
        }
        done = true;
      } catch (error) {
        assert.match(String(error), /the process ended/);
      }
      assertFrames(await readPast(pastOf(written.log, objects), 1), written.frames);
      await written.write(1);
      await written.log.trim(shard, await advance(openArchive(written.log, objects), written.tail));
      assertFrames(await readPast(pastOf(written.log, objects), 1), written.frames);
      if (done) break;
      assert.ok(calls < 200, "it comes to an end");
    }
  }
});
