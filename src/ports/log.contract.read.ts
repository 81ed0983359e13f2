/**
 * Cases of the log's contract: reading.
 */
import assert from "node:assert/strict";
import { assertHolds, type Case, collect, fill, frameOf, ofShard, write } from "./log.contract.kit.ts";
import type { LogFrame } from "./log.ts";

export const readCases: readonly Case[] = [
  {
    name: "reading nothing yields nothing",
    async run({ open }) {
      const { log } = await open();
      await fill(log, 0, 2);
      assert.deepEqual(await collect(log, {}), []);
    },
  },
  {
    name: "a shard that was never written yields nothing",
    async run({ open }) {
      const { log } = await open();
      await fill(log, 0, 2);
      assert.deepEqual(await collect(log, { 1: 1 }), []);
    },
  },
  ...[0, 1, 1000].map(
    (beyond) =>
      ({
        name: `reading from ${beyond} beyond the tail yields nothing`,
        async run({ open }) {
          const { log } = await open();
          await fill(log, 0, 2);
          assert.deepEqual(await collect(log, { 0: 4 + beyond }), []);
        },
      }) satisfies Case,
  ),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map(
    (from) =>
      ({
        name: `reading frames of three records from offset ${from} begins with the frame that holds it`,
        async run({ open }) {
          const { log } = await open();
          const frames = await fill(log, 0, 3, { count: 3 });
          assert.deepEqual(
            await collect(log, { 0: from }),
            frames.filter(({ at, count }) => at + count > from),
          );
        },
      }) satisfies Case,
  ),
  {
    name: "only the shards asked for are read",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 1, 3);
      await fill(log, 0, 3);
      await fill(log, 2, 3);
      assert.deepEqual(await collect(log, { 1: 1 }), kept);
    },
  },
  {
    name: "each shard is read from its own offset",
    async run({ open }) {
      const { log } = await open();
      const zero = await fill(log, 0, 5);
      const one = await fill(log, 1, 5);
      const found = await collect(log, { 0: 3, 1: 6, 2: 1 });
      assert.deepEqual(ofShard(found, 0), zero.slice(2));
      assert.deepEqual(ofShard(found, 1), one.slice(5));
    },
  },
  {
    name: "claims are read among the appends, each with its epoch",
    async run({ open }) {
      const { log } = await open();
      const writes = [write(0, 1, 1), write(0, 1, 2), write(0, 4, 3), write(0, 4, 4)];
      for (const one of writes) await log[one.at % 2 === 1 ? "claim" : "append"]([one]);
      assert.deepEqual(await collect(log, { 0: 1 }), writes.map(frameOf));
    },
  },
  {
    name: "refused appends are not read",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 0, 1);
      await log.append([write(0, 2, 3, { bytes: 40 })]);
      await log.append([write(0, 1, 7, { bytes: 40 })]);
      assert.deepEqual(await collect(log, { 0: 1 }), kept);
    },
  },
  {
    name: "thousands of frames of many shards are read in one pass, each shard in order and without a gap",
    async run({ open }) {
      const { log } = await open(16);
      const shards = Array.from({ length: 16 }, (_, shard) => shard);
      const expected: LogFrame[] = [];
      for (let round = 0; round < 130; round++) {
        const at = 1 + round * 2;
        const writes = shards.map((shard) =>
          write(shard, 1, at, { count: 2, bytes: 1 + ((round * 37 + shard) % 400) }),
        );
        const results = round === 0 ? await log.claim(writes) : await log.append(writes);
        assert.ok(results.every(({ ok }) => ok));
        expected.push(...writes.map(frameOf));
      }
      await assertHolds(log, expected);
    },
  },
  {
    name: "a read ends at the tails at the time of its call",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 0, 2);
      const reading = log.read(new Map([[0, 1]]));
      await log.append([write(0, 1, 4), write(1, 1, 1)]);
      const found: LogFrame[] = [];
      for await (const frames of reading)
        found.push(...frames.map((frame) => ({ ...frame, bytes: frame.bytes.slice() })));
      assert.deepEqual(found, kept);
    },
  },
  {
    name: "a read goes on while more is appended",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 0, 60, { bytes: 3000 });
      const found: LogFrame[] = [];
      let at = 62;
      for await (const frames of log.read(new Map([[0, 1]]))) {
        found.push(...frames.map((frame) => ({ ...frame, bytes: frame.bytes.slice() })));
        for (let index = 0; index < 10; index++) {
          assert.deepEqual(await log.append([write(0, 1, at, { bytes: 3000 })]), [{ ok: true, tail: at + 1 }]);
          at += 1;
        }
      }
      assert.deepEqual(found, kept);
      assert.equal((await collect(log, { 0: 1 })).length, at - 1);
    },
  },
  {
    name: "appends and reads overlap and every read is whole up to its tail",
    async run({ open }) {
      const { log } = await open();
      await log.claim([write(0, 1, 1)]);
      let at = 2;
      const writing = (async () => {
        for (let index = 0; index < 100; index++) {
          await log.append([write(0, 1, at, { bytes: 700 })]);
          at += 1;
        }
      })();
      for (let index = 0; index < 10; index++) {
        const [position] = await log.tail([0]);
        const found = await collect(log, { 0: 1 });
        assert.ok(found.length >= (position?.tail ?? 0) - 1);
        for (const [place, frame] of found.entries()) {
          assert.deepEqual(frame, frameOf(write(0, 1, place + 1, place === 0 ? {} : { bytes: 700 })));
        }
      }
      await writing;
    },
  },
  {
    name: "two reads at once do not disturb each other",
    async run({ open }) {
      const { log } = await open();
      const zero = await fill(log, 0, 40, { bytes: 2500 });
      const one = await fill(log, 1, 40, { bytes: 2500 });
      const [first, second] = await Promise.all([collect(log, { 0: 1 }), collect(log, { 1: 5 })]);
      assert.deepEqual([first, second], [zero, one.slice(4)]);
    },
  },
  {
    name: "a read that is abandoned leaves the log usable",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 0, 60, { bytes: 3000 });
      for await (const frames of log.read(new Map([[0, 1]]))) {
        assert.ok(frames.length > 0);
        break;
      }
      assert.deepEqual(await log.append([write(0, 1, 62)]), [{ ok: true, tail: 63 }]);
      await assertHolds(log, [...kept, frameOf(write(0, 1, 62))]);
    },
  },
  {
    name: "a read that is never begun leaves the log usable",
    async run({ open }) {
      const { log } = await open();
      const kept = await fill(log, 0, 3);
      log.read(new Map([[0, 1]]));
      await assertHolds(log, kept);
    },
  },
];
