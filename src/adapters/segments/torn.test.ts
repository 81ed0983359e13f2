/**
 * A crash in the middle of a write: whatever part of it is there, the log opens with everything before, nothing of it,
 * and goes on.
 */
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { assertHolds, collect, frameOf, ofShard, write } from "../../ports/log.contract.kit.ts";
import type { LogFrame } from "../../ports/log.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import {
  copyFiles,
  type Files,
  openFiles,
  openOver,
  PlainDisk,
  type Sample,
  sampleLog,
  segmentBytes,
  shardCount,
} from "./log.harness.ts";
import { openSegmentLog, type SegmentLog } from "./open.ts";

const everything = { 0: 1, 1: 1, 2: 1, 3: 1 };

/** Frames of the blocks that end at or before this byte of the last segment. */
function framesBefore(sample: Sample, byte: number): LogFrame[] {
  return sample.blocks.filter(({ end }) => end <= byte).flatMap(({ frames }) => frames);
}

async function assertPrefix(log: SegmentLog, expected: readonly LogFrame[]): Promise<void> {
  const found = await collect(log, everything);
  for (const shard of [0, 1, 2, 3]) assert.deepEqual(ofShard(found, shard), ofShard(expected, shard));
  assert.equal(found.length, expected.length);
}

/** Opens, checks, writes on, and opens again. */
async function assertGoesOn(files: Files, expected: readonly LogFrame[]): Promise<void> {
  const disk = new PlainDisk(files);
  const log = await openOver(disk);
  await assertPrefix(log, expected);
  const [position] = await log.tail([1]);
  const more = write(1, (position?.epoch ?? 0) + 1, position?.tail ?? 1, { bytes: 700 });
  assert.deepEqual(await log.claim([more]), [{ ok: true, tail: more.at + 1 }]);
  const again = await openOver(new PlainDisk(copyFiles(disk.files))); // without a close
  await assertPrefix(again, [...expected, frameOf(more)]);
  await again.close();
  await log.close();
}

describe("the last three blocks", () => {
  const frameBytes = [100, 700, 10, 200, 300];

  test("cut at any byte leave the blocks before, and all that was answered of a whole one", async () => {
    const sample = await sampleLog({ frameBytes, closed: false });
    const [from, until] = [sample.blocks.at(-3)?.at ?? 0, (sample.blocks.at(-1)?.end ?? 0) + 40];
    for (let cut = from; cut < until; cut++) {
      const files = copyFiles(sample.files);
      files.set(sample.segment, (files.get(sample.segment) as Uint8Array).slice(0, cut));
      await assertGoesOn(files, framesBefore(sample, cut));
    }
  });

  test("zero from any byte leave the blocks before", async () => {
    const sample = await sampleLog({ frameBytes, closed: false });
    const [from, until] = [sample.blocks.at(-3)?.at ?? 0, (sample.blocks.at(-1)?.end ?? 0) + 40];
    for (let cut = from; cut < until; cut++) {
      const files = copyFiles(sample.files);
      (files.get(sample.segment) as Uint8Array).fill(0, cut);
      const before = sample.files.get(sample.segment) as Uint8Array;
      // A byte that was zero anyway is not lost.
      const whole = sample.blocks.filter(
        ({ at, end }) => cut >= end || (cut > at && before.subarray(cut, end).every((byte) => byte === 0)),
      );
      await assertGoesOn(
        files,
        whole.flatMap(({ frames }) => frames),
      );
    }
  });

  test("any set of sectors of the last block leaves all before it and the block whole or not at all", async () => {
    const sample = await sampleLog({ frameBytes: [100, 700, 5000], closed: false });
    const last = sample.blocks.at(-1);
    assert.ok(last !== undefined);
    const sectors = Math.ceil((last.end - last.at) / 512);
    for (let set = 0; set < 2 ** sectors; set += sectors > 9 ? 3 : 1) {
      const files = copyFiles(sample.files);
      const bytes = files.get(sample.segment) as Uint8Array;
      for (let sector = 0; sector < sectors; sector++) {
        if ((set & (1 << sector)) === 0) bytes.fill(0, last.at + sector * 512, last.at + (sector + 1) * 512);
      }
      await assertGoesOn(files, framesBefore(sample, set === 2 ** sectors - 1 ? last.end : last.at));
    }
  });

  test("cut on real files at any eighth byte leave the blocks before", async () => {
    // Real calls, without waiting 20 ms per opening for a real device.
    const base = existsSync("/dev/shm") ? mkdtempSync("/dev/shm/holdfast-") : temporaryDirectory().path;
    try {
      const sample = await sampleLog({ frameBytes, closed: false });
      const original = join(base, "original");
      const directory = join(base, "copy");
      await (await openSegmentLog({ directory: original, shardCount, segmentBytes })).close();
      for (const [name, bytes] of sample.files) writeFileSync(join(original, name), bytes);
      const [from, until] = [sample.blocks.at(-3)?.at ?? 0, (sample.blocks.at(-1)?.end ?? 0) + 20];
      for (let cut = from; cut < until; cut += 8) {
        rmSync(directory, { recursive: true, force: true });
        cpSync(original, directory, { recursive: true });
        truncateSync(join(directory, sample.segment), cut);
        const log = await openSegmentLog({ directory, shardCount, segmentBytes });
        await assertPrefix(log, framesBefore(sample, cut));
        await log.close();
      }
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  });
});

test("what a crash tore is zeros before the first new write", async () => {
  const sample = await sampleLog({ frameBytes: [100, 9000, 9000], closed: false });
  const last = sample.blocks.at(-1);
  assert.ok(last !== undefined);
  const files = copyFiles(sample.files);
  (files.get(sample.segment) as Uint8Array).fill(0, last.at, last.at + 512); // the header did not make it
  const log = await openFiles(files);
  const bytes = files.get(sample.segment) as Uint8Array;
  assert.ok(
    bytes.subarray(last.at + 512).every((byte) => byte === 0),
    "only the mark stands behind the last block",
  );
  await log.close();
});

test("a segment whose first block was torn is begun again", async () => {
  const disk = new PlainDisk();
  const log = await openOver(disk);
  await log.claim([write(0, 1, 1)]);
  const kept = [frameOf(write(0, 1, 1))];
  for (let at = 2; log.stats().segments === 1; at++) {
    const one = write(0, 1, at, { bytes: 20_000 });
    await log.append([one]);
    if (log.stats().segments === 1) kept.push(frameOf(one));
  }
  const files = copyFiles(disk.files);
  await log.close();
  for (const lost of [[0], [1, 2], [39]]) {
    const torn = copyFiles(files);
    torn.delete("0000000003.segment"); // is made only once the second has begun
    const bytes = torn.get("0000000002.segment") as Uint8Array;
    for (const sector of lost) bytes.fill(0, sector * 512, (sector + 1) * 512);
    await assertGoesOn(torn, kept);
  }
});

test("leftovers of preparing a segment are removed and a spare is used", async () => {
  const sample = await sampleLog({ frameBytes: [100], closed: true });
  const files = copyFiles(sample.files);
  files.set("preparing", new Uint8Array(1000));
  files.set("format.new", new Uint8Array(10));
  files.set("spare", new Uint8Array(segmentBytes).fill(255));
  files.delete("0000000002.segment");
  const log = await openFiles(files);
  await assertHolds(log, sample.frames);
  await log.close();
  const names = [...files.keys()].toSorted();
  assert.deepEqual(names, ["0000000001.segment", "0000000002.segment", "format"]);
});

test("a segment that is used again never shows its old blocks", async () => {
  const disk = new PlainDisk();
  const log = await openOver(disk);
  await log.claim([write(0, 1, 1)]);
  let at = 2;
  const append = async () => {
    await log.append([write(0, 1, at, { bytes: 3000 })]);
    at += 1;
  };
  while (log.stats().segments < 3) await append();
  await log.trim(0, at);
  assert.deepEqual([log.stats().segments, log.stats().oldestSegment], [1, 3]);
  while (log.stats().segments < 2) await append();
  assert.ok(
    disk.files.get("0000000005.segment")?.some((byte) => byte !== 0),
    "the next segment was used before",
  );
  for (let index = 0; index < 40; index++) {
    const copy = copyFiles(disk.files); // no mark: all that stands behind the end is looked at
    const again = await openFiles(copy);
    assert.equal((await again.tail([0]))[0]?.tail, at);
    await again.scrub();
    await again.close();
    await append();
  }
  await log.close();
});

test("the format file of a log without records is written again if a crash prevented it", async () => {
  const disk = new PlainDisk();
  await (await openOver(disk)).close();
  disk.files.delete("format");
  disk.files.delete("0000000002.segment");
  const log = await openOver(disk);
  assert.deepEqual(await log.tail([0]), [{ epoch: 0, tail: 1, trimmed: 1 }]);
  await log.close();
});

test("a real file keeps its size through a log's life", async () => {
  using directory = temporaryDirectory();
  const log = await openSegmentLog({ directory: directory.path, shardCount, segmentBytes });
  await log.claim([write(0, 1, 1)]);
  for (let at = 2; at < 30; at++) await log.append([write(0, 1, at, { bytes: 9000 })]);
  await log.close();
  assert.equal(readFileSync(join(directory.path, "0000000001.segment")).length, segmentBytes);
});
