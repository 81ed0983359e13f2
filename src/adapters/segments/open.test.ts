/**
 * Opening, settings, and how much space a log takes.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { assertHolds, assertRejects, collect, fill, frameOf, write } from "../../ports/log.contract.kit.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { blockVersion } from "./block.ts";
import { copyFiles, openFiles, openOver, PlainDisk, sampleLog, segmentBytes, shardCount } from "./log.harness.ts";
import { openSegmentLog, type SegmentLogOptions } from "./open.ts";

describe("settings", () => {
  const wrong: readonly (Partial<SegmentLogOptions> & { why: string })[] = [
    { why: "no shards", shardCount: 0 },
    { why: "half a shard", shardCount: 1.5 },
    { why: "too many shards", shardCount: 65_537 },
    { why: "a shard count that is no number", shardCount: Number.NaN },
    { why: "tiny segments", segmentBytes: 32 * 1024 },
    { why: "huge segments", segmentBytes: 2 ** 31 },
    { why: "segments of no whole number of pages", segmentBytes: 64 * 1024 + 512 },
    { why: "segments too small for their shards", shardCount: 4096, segmentBytes: 64 * 1024 },
  ];
  for (const { why, ...options } of wrong) {
    test(`with ${why} are refused`, async () => {
      const disk = new PlainDisk();
      await assertRejects(
        () => openSegmentLog({ disk, shardCount, segmentBytes, ...options }),
        "invalid-configuration",
      );
      assert.equal(disk.files.size, 0);
    });
  }

  test("without a place are refused", async () => {
    await assertRejects(() => openSegmentLog({ shardCount }), "invalid-configuration");
  });

  test("of 16 MiB segments are the default", async () => {
    using directory = temporaryDirectory();
    const log = await openSegmentLog({ directory: directory.path, shardCount });
    assert.equal(log.stats().bytes, 16 * 1024 * 1024);
    assert.ok(log.frameBytesMax > 16_000_000);
    await log.close();
  });
});

describe("what a log was made with", () => {
  test("another number of shards is refused with what to do, and nothing is changed", async () => {
    const { files } = await sampleLog({ frameBytes: [10], closed: true });
    const before = copyFiles(files);
    await assert.rejects(openSegmentLog({ disk: new PlainDisk(files), shardCount: 8, segmentBytes }), {
      code: "invalid-configuration",
      message: /made with 4 shards, but 8 are configured.*set it back, or use a new directory/,
    });
    assert.deepEqual(files, before);
  });

  test("a newer format is refused with what to do", async () => {
    const { files } = await sampleLog({ frameBytes: [10], closed: true });
    const line = JSON.stringify({ format: "holdfast-segment-log", version: 2, layout: "unheard of" });
    files.set("format", Buffer.from(`${line}\n${crc32(line).toString(16).padStart(8, "0")}\n`));
    await assert.rejects(openFiles(files), { code: "invalid-configuration", message: /newer version: use that one/ });
  });

  test("a block of a newer version is refused, not cut off", async () => {
    const { files, blocks, segment } = await sampleLog({ frameBytes: [10, 20], closed: false });
    const format = Buffer.from(files.get("format") as Uint8Array).toString();
    const salt = (JSON.parse(format.split("\n")[0] as string) as { salt: number }).salt;
    const last = blocks.at(-1);
    assert.ok(last !== undefined);
    const bytes = Buffer.from((files.get(segment) as Uint8Array).buffer);
    bytes.writeUInt32LE(blockVersion + 1, last.at + 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(last.at + 4, last.end), salt), last.at);
    await assertRejects(() => openFiles(files), "invalid-configuration");
  });

  for (const other of [128 * 1024, 68 * 1024]) {
    test(`segments of another size (${other}) may follow those of the old one, and back`, async () => {
      const disk = new PlainDisk();
      let at = 1;
      for (const size of [segmentBytes, other, segmentBytes, other]) {
        const log = await openSegmentLog({ disk, shardCount, segmentBytes: size });
        for (let index = 0; index < 20; index++, at++) {
          const one = write(0, 1, at, { bytes: 9000 });
          assert.deepEqual(await log[at === 1 ? "claim" : "append"]([one]), [{ ok: true, tail: at + 1 }]);
        }
        const expected = Array.from({ length: at - 1 }, (_, index) => frameOf(write(0, 1, index + 1, { bytes: 9000 })));
        await assertHolds(log, expected);
        await log.close();
      }
    });
  }
});

describe("space", () => {
  test("taken stays bounded while a log is trimmed behind its owner", async () => {
    const disk = new PlainDisk();
    const log = await openOver(disk);
    await log.claim([write(0, 1, 1)]);
    for (let at = 2; at < 1500; at++) {
      await log.append([write(0, 1, at, { bytes: 3000 })]);
      await log.trim(0, Math.max(1, at - 10));
      const bytes = [...disk.files.values()].reduce((sum, { length }) => sum + length, 0);
      assert.ok(bytes <= 5 * segmentBytes, `${bytes} bytes at ${at}`);
    }
    await log.close();
  });

  test("of a segment stays while one shard in it is not trimmed", async () => {
    const log = await openOver(new PlainDisk());
    await fill(log, 1, 1);
    const frames = await fill(log, 0, 30, { bytes: 9000 });
    await log.trim(0, frames.length + 1);
    assert.equal(log.stats().oldestSegment, 1);
    await log.trim(1, 3);
    assert.equal(log.stats().segments, 1);
    await log.close();
  });

  test("of a trimmed segment is freed when the read that needs it ends", async () => {
    const log = await openOver(new PlainDisk());
    const frames = await fill(log, 0, 30, { bytes: 9000 });
    for await (const batch of log.read(new Map([[0, 1]]))) {
      assert.ok(batch.length > 0);
      await log.trim(0, frames.length + 1);
      assert.equal(log.stats().oldestSegment, 1);
      break;
    }
    await log.trim(0, 1);
    assert.equal(log.stats().segments, 1);
    await log.close();
  });
});

describe("reading", () => {
  test("opens only the segments that hold what is asked for", async () => {
    const disk = new PlainDisk();
    const log = await openOver(disk);
    await fill(log, 1, 1);
    const frames = await fill(log, 0, 40, { bytes: 9000 });
    assert.ok(log.stats().segments > 5);
    const touched = new Set<string>();
    disk.interfere = (verb, name) => {
      if (verb === "read") touched.add(name);
    };
    await collect(log, { 1: 2 });
    assert.deepEqual([...touched], ["0000000001.segment"]);
    touched.clear();
    await collect(log, { 0: frames.length });
    assert.equal(touched.size, 1);
    touched.clear();
    await collect(log, { 0: frames.length + 1, 1: 3 });
    assert.equal(touched.size, 0);
    await log.close();
  });

  test("that begins after its records were trimmed says so", async () => {
    const log = await openOver(new PlainDisk());
    await fill(log, 0, 40, { bytes: 9000 });
    const reading = log.read(new Map([[0, 1]]));
    await log.trim(0, 42);
    await assertRejects(async () => {
      for await (const frames of reading) void frames;
    }, "log-damaged");
    await log.close();
  });

  test("a scrub of a whole log finds nothing, and one of a damaged log finds it", async () => {
    const disk = new PlainDisk();
    const log = await openOver(disk);
    await fill(log, 0, 30, { bytes: 9000 });
    await log.scrub();
    const bytes = disk.files.get("0000000002.segment") as Uint8Array;
    bytes[30_000] = (bytes[30_000] as number) ^ 4;
    await assertRejects(() => log.scrub(), "log-damaged");
    await log.close();
  });
});

describe("calls", () => {
  test("a second append in flight is refused and the first succeeds", async () => {
    const log = await openOver(new PlainDisk());
    await log.claim([write(0, 1, 1), write(1, 1, 1)]);
    const first = log.append([write(0, 1, 2)]);
    await assertRejects(() => log.append([write(1, 1, 2)]), "internal");
    assert.deepEqual(await first, [{ ok: true, tail: 3 }]);
    await log.close();
  });

  test("after close are refused", async () => {
    const log = await openOver(new PlainDisk());
    await log.close();
    await assertRejects(() => log.append([write(0, 1, 1)]), "internal");
    await assertRejects(() => log.tail([0]), "internal");
    await assertRejects(() => log.trim(0, 1), "internal");
    await assertRejects(async () => log.read(new Map()), "internal");
  });

  test("that stand in no order keep each shard's order", async () => {
    const log = await openOver(new PlainDisk());
    await log.claim([write(0, 1, 1)]);
    const claims = [1, 2, 3].map((shard) => log.claim([write(shard, 1, 1)]));
    const append = log.append([write(0, 1, 2)]);
    assert.deepEqual(
      (await Promise.all([...claims, append])).flat().map(({ ok }) => ok),
      [true, true, true, true],
    );
    await log.close();
  });

  test("a log is disposed of by `await using`", async () => {
    const disk = new PlainDisk();
    {
      await using log = await openOver(disk);
      await log.claim([write(0, 1, 1)]);
    }
    await using again = await openOver(disk);
    await assertHolds(again, [frameOf(write(0, 1, 1))]);
  });
});

describe("a log that begins later", () => {
  const begin = (tail: number, epoch: number) => Array.from({ length: 300 }, () => ({ tail, epoch }));
  const large = { shardCount: 300, segmentBytes };

  test("stands as if it had been trimmed, goes on under the fence, and is found so again", async () => {
    const disk = new PlainDisk();
    const log = await openSegmentLog({ disk, ...large, begin: begin(1_000, 7) });
    assert.deepEqual(await log.tail([0, 299]), [
      { epoch: 7, tail: 1_000, trimmed: 1_000 },
      { epoch: 7, tail: 1_000, trimmed: 1_000 },
    ]);
    const at = { shard: 299, at: 1_000, count: 3, frame: new Uint8Array(100).fill(1) };
    assert.equal((await log.claim([{ ...at, epoch: 7 }]))[0]?.ok, false);
    assert.equal((await log.append([{ ...at, epoch: 7 }]))[0]?.ok, true);
    assert.equal((await log.claim([{ ...at, at: 1_003, epoch: 8 }]))[0]?.ok, true);
    await assertRejects(async () => log.read(new Map([[299, 999]])), "log-damaged");
    await log.close();
    const again = await openSegmentLog({ disk, ...large });
    assert.deepEqual(await again.tail([299]), [{ epoch: 8, tail: 1_006, trimmed: 1_000 }]);
    assert.equal((await collect(again, { 299: 1_000 })).length, 2);
    await again.scrub();
    await again.close();
  });

  test("is made only where no log is, and only with a place for every shard", async () => {
    const { files } = await sampleLog({ frameBytes: [10], closed: true });
    const before = copyFiles(files);
    const four = begin(5, 1).slice(0, shardCount);
    const onto = openSegmentLog({ disk: new PlainDisk(files), shardCount, segmentBytes, begin: four });
    await assert.rejects(onto, { code: "invalid-configuration" });
    assert.deepEqual(copyFiles(files), before);
    for (const wrong of [
      four.slice(1),
      [...four.slice(1), { tail: 0, epoch: 1 }],
      [...four.slice(1), { tail: 1.5, epoch: 1 }],
    ]) {
      const opened = openSegmentLog({ disk: new PlainDisk(), shardCount, segmentBytes, begin: wrong });
      await assert.rejects(opened, { code: "invalid-configuration" });
    }
  });
});
