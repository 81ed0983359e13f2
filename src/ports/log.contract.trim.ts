/**
 * Cases of the log's contract: trimming, and what is still known after the log is opened again.
 *
 * An engine may keep more than it must, so these cases ask it how far it trimmed before they expect anything.
 */
import assert from "node:assert/strict";
import type { Offset, ShardId } from "../model/ids.ts";
import {
  assertHolds,
  assertRejects,
  type Case,
  collect,
  fencedResult,
  fill,
  frameOf,
  write,
} from "./log.contract.kit.ts";
import type { LogFrame, LogPosition, ShardLog } from "./log.ts";

async function positionOf(log: ShardLog, shard: ShardId): Promise<LogPosition> {
  const [position] = await log.tail([shard]);
  assert.ok(position !== undefined);
  return position;
}

/** Trims, then checks that what is left is a suffix at a frame's start and everything asked to stay is there. */
async function trimAndCheck(log: ShardLog, frames: readonly LogFrame[], before: Offset): Promise<Offset> {
  const shard = frames[0]?.shard ?? 0;
  const old = await positionOf(log, shard);
  await log.trim(shard, before);
  const { epoch, tail, trimmed } = await positionOf(log, shard);
  assert.deepEqual({ epoch, tail }, { epoch: old.epoch, tail: old.tail });
  assert.ok(trimmed >= old.trimmed && trimmed <= Math.max(old.trimmed, before) && trimmed <= tail);
  assert.ok(trimmed === tail || frames.some(({ at }) => at === trimmed), "at a frame's first offset");
  const left = frames.filter(({ at }) => at >= trimmed);
  assert.deepEqual(await collect(log, { [shard]: trimmed }), left);
  if (trimmed > 1) await assertRejects(() => collect(log, { [shard]: trimmed - 1 }), "log-damaged");
  return trimmed;
}

export const trimCases: readonly Case[] = [
  ...[1, 2, 3, 5, 100, 101].map(
    (before) =>
      ({
        name: `a trim before ${before} of 201 keeps everything from there, tail and epoch`,
        async run({ open }) {
          const { log } = await open();
          await trimAndCheck(log, await fill(log, 0, 100, { count: 2, bytes: 2000 }), before);
        },
      }) satisfies Case,
  ),
  {
    name: "a trim before 1 drops nothing",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 10);
      assert.equal(await trimAndCheck(log, frames, 1), 1);
    },
  },
  {
    name: "a trim of a shard that was never written does nothing",
    async run({ open }) {
      const { log } = await open();
      await log.trim(3, 50);
      assert.deepEqual(await log.tail([3]), [{ epoch: 0, tail: 1, trimmed: 1 }]);
      assert.deepEqual(await log.claim([write(3, 1, 1)]), [{ ok: true, tail: 2 }]);
    },
  },
  {
    name: "a trim of everything keeps tail and epoch, and appends go on",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 90, { bytes: 3000 });
      await trimAndCheck(log, frames, 92);
      assert.deepEqual(await log.append([write(0, 2, 92)]), [fencedResult]);
      assert.deepEqual(await log.append([write(0, 1, 91)]), [fencedResult]);
      assert.deepEqual(await log.append([write(0, 1, 92)]), [{ ok: true, tail: 93 }]);
      assert.deepEqual(await collect(log, { 0: 92 }), [frameOf(write(0, 1, 92))]);
    },
  },
  {
    name: "a trim beyond the tail goes no further than the tail",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 60, { bytes: 3000 });
      await trimAndCheck(log, frames, 1_000_000);
      await log.append([write(0, 1, 62)]);
      const { trimmed } = await positionOf(log, 0);
      assert.ok(trimmed <= 62);
      assert.deepEqual((await collect(log, { 0: 62 })).length, 1);
    },
  },
  {
    name: "a trim never goes back",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 90, { bytes: 3000 });
      const trimmed = await trimAndCheck(log, frames, 60);
      assert.equal(await trimAndCheck(log, frames, 10), trimmed);
    },
  },
  {
    name: "a trim of one shard drops nothing of another",
    async run({ open }) {
      const { log } = await open();
      const zero = await fill(log, 0, 60, { bytes: 2000 });
      const one = await fill(log, 1, 60, { bytes: 2000 });
      await trimAndCheck(log, zero, 62);
      await assertHolds(log, one);
      assert.equal((await positionOf(log, 1)).trimmed, 1);
    },
  },
  {
    name: "trims and appends alternate for a long time",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 1);
      let at = 3;
      for (let round = 0; round < 20; round++) {
        for (let index = 0; index < 10; index++) {
          const one = write(0, 1, at, { bytes: 2500 });
          assert.deepEqual(await log.append([one]), [{ ok: true, tail: at + 1 }]);
          frames.push(frameOf(one));
          at += 1;
        }
        await trimAndCheck(log, frames, at - 5);
      }
    },
  },
  {
    name: "trims overlap with appends",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 40, { bytes: 3000 });
      const trims: Promise<void>[] = [];
      for (let at = 42; at < 92; at++) {
        trims.push(log.trim(0, at - 20));
        const one = write(0, 1, at, { bytes: 3000 });
        assert.deepEqual(await log.append([one]), [{ ok: true, tail: at + 1 }]);
        frames.push(frameOf(one));
      }
      await Promise.all(trims);
      await trimAndCheck(log, frames, 75);
    },
  },
  {
    name: "a read that has begun goes on whole when its records are trimmed",
    async run({ open }) {
      const { log } = await open();
      const frames = await fill(log, 0, 90, { bytes: 3000 });
      const found: LogFrame[] = [];
      let trimmed = false;
      for await (const batch of log.read(new Map([[0, 1]]))) {
        found.push(...batch.map((frame) => ({ ...frame, bytes: frame.bytes.slice() })));
        if (!trimmed) await log.trim(0, 92);
        trimmed = true;
      }
      assert.deepEqual(found, frames);
      await trimAndCheck(log, frames, 92);
    },
  },
];

export const reopenCases: readonly Case[] = [
  {
    name: "close may be called twice",
    async run({ open }) {
      const { log } = await open();
      await fill(log, 0, 2);
      await log.close();
      await log.close();
    },
  },
  ...[0, 1, 5, 200].map((count) =>
    durable(`a log of ${count} frames is the same when it is opened again`, async (under) => {
      const frames = count === 0 ? [] : await fill(under.log, 2, count, { bytes: 900 });
      const before = await under.log.tail([0, 2]);
      const log = await under.reopen();
      assert.deepEqual(await log.tail([0, 2]), before);
      await assertHolds(log, frames);
    }),
  ),
  durable("appends go on under the same epoch after opening again", async (under) => {
    const frames = await fill(under.log, 0, 3);
    const log = await under.reopen();
    assert.deepEqual(await log.append([write(0, 1, 5)]), [{ ok: true, tail: 6 }]);
    await assertHolds(log, [...frames, frameOf(write(0, 1, 5))]);
  }),
  durable("the fence stands after opening again", async (under) => {
    await fill(under.log, 0, 1);
    await under.log.claim([write(0, 6, 3)]);
    const log = await under.reopen();
    assert.deepEqual(await log.append([write(0, 1, 4)]), [fencedResult]);
    assert.deepEqual(await log.claim([write(0, 6, 4)]), [fencedResult]);
    assert.deepEqual(await log.append([write(0, 6, 4)]), [{ ok: true, tail: 5 }]);
  }),
  durable("frames survive many openings with a write in each", async (under) => {
    const frames = await fill(under.log, 0, 1);
    let log = under.log;
    for (let at = 3; at < 15; at++) {
      log = await under.reopen();
      const one = write(0, 1, at, { bytes: 5000 });
      assert.deepEqual(await log.append([one]), [{ ok: true, tail: at + 1 }]);
      frames.push(frameOf(one));
    }
    await assertHolds(await under.reopen(), frames);
  }),
  durable("many openings without a write do not make the log grow", async (under) => {
    const frames = await fill(under.log, 0, 3);
    let log = under.log;
    for (let index = 0; index < 20; index++) log = await under.reopen();
    await assertHolds(log, frames);
    assert.deepEqual(await log.append([write(0, 1, 5)]), [{ ok: true, tail: 6 }]);
  }),
  durable("what was trimmed stays trimmed after opening again", async (under) => {
    const frames = await fill(under.log, 0, 90, { bytes: 3000 });
    const trimmed = await trimAndCheck(under.log, frames, 70);
    const log = await under.reopen();
    assert.ok((await positionOf(log, 0)).trimmed >= trimmed);
    await trimAndCheck(log, frames, 80);
  }),
  durable("tail and epoch of a shard that was trimmed whole are known after opening again", async (under) => {
    const old = await fill(under.log, 0, 20, { bytes: 3000 });
    const other = await fill(under.log, 1, 60, { bytes: 3000 });
    await under.log.trim(0, 22);
    await under.log.trim(1, 50);
    const log = await under.reopen();
    const position = await positionOf(log, 0);
    assert.deepEqual({ epoch: position.epoch, tail: position.tail }, { epoch: 1, tail: 22 });
    await trimAndCheck(log, old, 22);
    await trimAndCheck(log, other, 50);
    assert.deepEqual(await log.append([write(0, 1, 22)]), [{ ok: true, tail: 23 }]);
  }),
];

function durable(
  name: string,
  run: (under: { log: ShardLog; reopen: () => Promise<ShardLog> }) => Promise<void>,
): Case {
  return {
    name,
    async run({ open, skip }) {
      const { log, reopen } = await open();
      if (reopen === undefined) skip("this engine forgets when it is closed");
      else await run({ log, reopen });
    },
  };
}
