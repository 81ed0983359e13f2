/**
 * Cases of the log's contract: positions, claims and appends, and the fence between them.
 */
import assert from "node:assert/strict";
import {
  assertHolds,
  assertRejects,
  bytesFor,
  type Case,
  collect,
  fencedResult,
  fill,
  frameOf,
  write,
} from "./log.contract.kit.ts";
import type { Append } from "./log.ts";

const fresh = { epoch: 0, tail: 1, trimmed: 1 };

export const claimCases: readonly Case[] = [
  {
    name: "a new log has epoch 0, tail 1 and nothing trimmed in every shard",
    async run({ open }) {
      const { log } = await open(4);
      assert.deepEqual(await log.tail([0, 1, 2, 3]), [fresh, fresh, fresh, fresh]);
    },
  },
  {
    name: "tail answers in the order asked, repeats included",
    async run({ open }) {
      const { log } = await open(4);
      await fill(log, 2, 1);
      const moved = { epoch: 1, tail: 3, trimmed: 1 };
      assert.deepEqual(await log.tail([2, 0, 2]), [moved, fresh, moved]);
    },
  },
  {
    name: "tail of no shards is empty",
    async run({ open }) {
      const { log } = await open();
      assert.deepEqual(await log.tail([]), []);
    },
  },
  {
    name: "no claims and no appends are answered by no results",
    async run({ open }) {
      const { log } = await open();
      assert.deepEqual([await log.claim([]), await log.append([])], [[], []]);
    },
  },
  {
    name: "the first claim stands at offset 1 and moves the tail by its count",
    async run({ open }) {
      const { log } = await open();
      assert.deepEqual(await log.claim([write(3, 1, 1, { count: 2 })]), [{ ok: true, tail: 3 }]);
      assert.deepEqual(await log.tail([3]), [{ epoch: 1, tail: 3, trimmed: 1 }]);
    },
  },
  ...[2, 7, 2 ** 32, 2 ** 52].map(
    (epoch) =>
      ({
        name: `a claim may skip to epoch ${epoch}`,
        async run({ open }) {
          const { log } = await open();
          assert.deepEqual(await log.claim([write(0, epoch, 1)]), [{ ok: true, tail: 2 }]);
          assert.deepEqual(await log.append([write(0, epoch, 2)]), [{ ok: true, tail: 3 }]);
          assert.deepEqual(await log.tail([0]), [{ epoch, tail: 3, trimmed: 1 }]);
        },
      }) satisfies Case,
  ),
  ...[
    { what: "of the epoch that runs", epoch: 5, at: 3 },
    { what: "of an older epoch", epoch: 4, at: 3 },
    { what: "below the tail", epoch: 6, at: 2 },
    { what: "at offset 1 of a written shard", epoch: 6, at: 1 },
    { what: "above the tail", epoch: 6, at: 4 },
    { what: "far above the tail", epoch: 6, at: 2 ** 40 },
  ].map(
    ({ what, epoch, at }) =>
      ({
        name: `a claim ${what} is fenced and changes nothing`,
        async run({ open }) {
          const { log } = await open();
          const kept = [write(1, 5, 1), write(1, 5, 2)];
          await log.claim(kept.slice(0, 1));
          await log.append(kept.slice(1));
          assert.deepEqual(await log.claim([write(1, epoch, at)]), [fencedResult]);
          assert.deepEqual(await log.tail([1]), [{ epoch: 5, tail: 3, trimmed: 1 }]);
          await assertHolds(log, kept.map(frameOf));
        },
      }) satisfies Case,
  ),
  {
    name: "claims of several shards succeed or fail each by itself, in order",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(1, 3, 1)]);
      const results = await log.claim([write(0, 1, 1), write(1, 3, 2), write(2, 1, 1), write(3, 1, 9)]);
      assert.deepEqual(results, [{ ok: true, tail: 2 }, fencedResult, { ok: true, tail: 2 }, fencedResult]);
    },
  },
  {
    name: "a claim leaves other shards alone",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 9, 1)]);
      assert.deepEqual(await log.tail([1]), [fresh]);
      assert.deepEqual(await log.claim([write(1, 1, 1)]), [{ ok: true, tail: 2 }]);
    },
  },
  {
    name: "a later claim fences the appends of the epoch before",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      await log.claim([write(0, 2, 2)]);
      assert.deepEqual(await log.append([write(0, 1, 2)]), [fencedResult]);
      assert.deepEqual(await log.append([write(0, 1, 3)]), [fencedResult]);
      assert.deepEqual(await log.append([write(0, 2, 3)]), [{ ok: true, tail: 4 }]);
    },
  },
  {
    name: "of two claims for the same tail one succeeds",
    async run({ open }) {
      const { log } = await open();
      const results = await Promise.all([log.claim([write(0, 1, 1)]), log.claim([write(0, 2, 1)])]);
      assert.equal(results.flat().filter(({ ok }) => ok).length, 1);
      const [position] = await log.tail([0]);
      assert.equal(position?.tail, 2);
    },
  },
];

export const appendCases: readonly Case[] = [
  ...[1, 2, 10, 1000].map(
    (count) =>
      ({
        name: `an append of ${count} records moves the tail by ${count}`,
        async run({ open }) {
          const { log } = await open();
          await log.claim([write(0, 1, 1)]);
          assert.deepEqual(await log.append([write(0, 1, 2, { count })]), [{ ok: true, tail: 2 + count }]);
          assert.deepEqual(await log.tail([0]), [{ epoch: 1, tail: 2 + count, trimmed: 1 }]);
          assert.deepEqual(
            (await collect(log, { 0: 2 })).map((frame) => frame.count),
            [count],
          );
        },
      }) satisfies Case,
  ),
  {
    name: "an append to a shard that was never claimed is fenced",
    async run({ open }) {
      const { log } = await open();
      assert.deepEqual(await log.append([write(0, 1, 1)]), [fencedResult]);
      assert.deepEqual(await log.tail([0]), [fresh]);
    },
  },
  ...[
    { what: "of an older epoch", epoch: 4, at: 3 },
    { what: "of an epoch nobody claimed", epoch: 6, at: 3 },
    { what: "below the tail", epoch: 5, at: 2 },
    { what: "at offset 1 of a written shard", epoch: 5, at: 1 },
    { what: "above the tail", epoch: 5, at: 4 },
    { what: "far above the tail", epoch: 5, at: 2 ** 45 },
  ].map(
    ({ what, epoch, at }) =>
      ({
        name: `an append ${what} is fenced, changes nothing, and the right one still succeeds`,
        async run({ open }) {
          const { log } = await open();
          const kept = [write(1, 5, 1), write(1, 5, 2), write(1, 5, 3)];
          await log.claim(kept.slice(0, 1));
          await log.append(kept.slice(1, 2));
          assert.deepEqual(await log.append([write(1, epoch, at)]), [fencedResult]);
          assert.deepEqual(await log.tail([1]), [{ epoch: 5, tail: 3, trimmed: 1 }]);
          assert.deepEqual(await log.append(kept.slice(2)), [{ ok: true, tail: 4 }]);
          await assertHolds(log, kept.map(frameOf));
        },
      }) satisfies Case,
  ),
  {
    name: "the same append twice is fenced the second time",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      assert.deepEqual(await log.append([write(0, 1, 2)]), [{ ok: true, tail: 3 }]);
      assert.deepEqual(await log.append([write(0, 1, 2)]), [fencedResult]);
    },
  },
  {
    name: "appends of one call succeed or fail each by itself, in order",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1), write(1, 1, 1), write(2, 1, 1)]);
      const results = await log.append([write(2, 1, 2), write(0, 2, 2), write(7, 1, 1), write(1, 1, 2)]);
      assert.deepEqual(results, [{ ok: true, tail: 3 }, fencedResult, fencedResult, { ok: true, tail: 3 }]);
      await assertHolds(
        log,
        [write(0, 1, 1), write(1, 1, 1), write(1, 1, 2), write(2, 1, 1), write(2, 1, 2)].map(frameOf),
      );
    },
  },
  {
    name: "a call whose appends are all fenced writes nothing",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      assert.deepEqual(await log.append([write(0, 1, 9), write(1, 1, 1)]), [fencedResult, fencedResult]);
      await assertHolds(log, [frameOf(write(0, 1, 1))]);
    },
  },
  {
    name: "256 shards are appended to in one call",
    async run({ open }) {
      const { log } = await open(256);
      const shards = Array.from({ length: 256 }, (_, shard) => shard);
      const claims = shards.map((shard) => write(shard, 1, 1));
      const appends = shards.map((shard) => write(shard, 1, 2, { count: 3 }));
      assert.ok((await log.claim(claims)).every(({ ok }) => ok));
      assert.deepEqual(
        await log.append(appends),
        shards.map(() => ({ ok: true, tail: 5 })),
      );
      await assertHolds(
        log,
        shards.flatMap((shard) => [frameOf(claims[shard] as Append), frameOf(appends[shard] as Append)]),
      );
    },
  },
  {
    name: "a caller may use a frame's bytes again once it is answered",
    async run({ open }) {
      const { log } = await open();
      const frame = bytesFor(0, 1, 100);
      const expected = [frameOf(write(0, 1, 1, { frame }))];
      await log.claim([write(0, 1, 1, { frame })]);
      frame.fill(7);
      expected.push(frameOf(write(0, 1, 2, { frame })));
      await log.append([write(0, 1, 2, { frame })]);
      frame.fill(9);
      await assertHolds(log, expected);
    },
  },
  {
    name: "a frame may be a view into larger bytes",
    async run({ open }) {
      const { log } = await open();
      const large = bytesFor(0, 1, 1000);
      await log.claim([write(0, 1, 1, { frame: large.subarray(333, 444) })]);
      assert.deepEqual((await collect(log, { 0: 1 }))[0]?.bytes, large.slice(333, 444));
    },
  },
  ...[1, 2, 3, 255, 256, 475, 476, 477, 511, 512, 513, 1023, 4095, 4096, 4097, 16_384].map(
    (bytes) =>
      ({
        name: `a frame of ${bytes} bytes is read as it was written, and so is the one behind it`,
        async run({ open }) {
          const { log } = await open();
          await assertHolds(log, await fill(log, 5, 2, { bytes }));
        },
      }) satisfies Case,
  ),
  ...[0, 255].map(
    (value) =>
      ({
        name: `frames of nothing but bytes ${value} are kept`,
        async run({ open }) {
          const { log } = await open();
          await assertHolds(log, await fill(log, 0, 3, { frame: new Uint8Array(2000).fill(value) }));
        },
      }) satisfies Case,
  ),
  {
    name: "a frame of the largest size is taken, again and again",
    async run({ open }) {
      const { log, frameBytesMax } = await open();
      await assertHolds(log, await fill(log, 0, 3, { bytes: Math.min(frameBytesMax, 2 ** 22) }));
    },
  },
  {
    name: "a frame over the largest size is refused and nothing of the call is written",
    async run({ open }) {
      const { log, frameBytesMax } = await open();
      await log.claim([write(0, 1, 1), write(1, 1, 1)]);
      const large = write(1, 1, 2, { frame: new Uint8Array(frameBytesMax + 1) });
      await assertRejects(() => log.append([write(0, 1, 2), large]), "too-large");
      assert.deepEqual(
        await log.tail([0, 1]),
        [0, 1].map(() => ({ epoch: 1, tail: 2, trimmed: 1 })),
      );
      assert.deepEqual(await log.append([write(0, 1, 2)]), [{ ok: true, tail: 3 }]);
    },
  },
  {
    name: "large frames of many shards are taken in one call",
    async run({ open }) {
      const { log, frameBytesMax } = await open();
      const bytes = Math.min(Math.floor(frameBytesMax * 0.7), 200_000);
      const shards = [0, 1, 2, 3, 4];
      const claims = shards.map((shard) => write(shard, 1, 1, { bytes }));
      assert.ok((await log.claim(claims)).every(({ ok }) => ok));
      await assertHolds(log, claims.map(frameOf));
    },
  },
  {
    name: "a claim of one shard may overlap with an append to another",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      const answers = await Promise.all([log.append([write(0, 1, 2)]), log.claim([write(1, 1, 1)])]);
      assert.deepEqual(answers, [[{ ok: true, tail: 3 }], [{ ok: true, tail: 2 }]]);
    },
  },
  {
    name: "of an append and a claim for the same tail one succeeds",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      const answers = await Promise.all([log.append([write(0, 1, 2)]), log.claim([write(0, 2, 2)])]);
      assert.equal(answers.flat().filter(({ ok }) => ok).length, 1);
      assert.equal((await collect(log, { 0: 1 })).length, 2);
    },
  },
];
