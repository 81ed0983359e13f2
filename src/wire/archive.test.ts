/** Archived ranges as objects: what is read is what the log had, and no bit can turn unnoticed. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import type { LogRecord } from "../model/records.ts";
import { type ArchivedFrame, type ArchivedRange, ArchiveWriter, archiveEnds, rangeOf, readArchive } from "./archive.ts";
import { beginOf, expired, rangeAt } from "./archived-ranges.ts";
import { type Chain, encodeFrame } from "./frame.ts";

const shard = 3;

function claim(time: number): LogRecord {
  return { kind: "claim", epoch: 1, node: "a-node-with-a-name", time };
}

/** Frames of 1 to 3 records, as a log would have them from offset 1 on. */
function framesOf(count: number): ArchivedFrame[] {
  const frames: ArchivedFrame[] = [];
  let [at, chain] = [1, 0 as Chain];
  for (let index = 0; index < count; index++) {
    const records = Array.from({ length: 1 + (index % 3) }, (_, more) => claim(at * 10 + more * 10));
    const encoded = encodeFrame({ shard, epoch: 1, at }, records, chain);
    frames.push({ shard, epoch: 1, at, count: records.length, bytes: encoded.bytes });
    at += records.length;
    chain = encoded.chain;
  }
  return frames;
}

function archive(frames: readonly ArchivedFrame[]) {
  const writer = new ArchiveWriter(shard, frames[0]?.at ?? 1, undefined);
  for (const frame of frames) writer.add(frame);
  return writer.finish();
}

test("an archived range gives its frames back byte for byte, and its name says what it holds", () => {
  const frames = framesOf(400);
  const { range, bytes } = archive(frames.slice(100, 300));
  const read = [...readArchive(range, bytes)].flat();
  assert.deepEqual(
    read.map(({ at, count, epoch }) => [at, count, epoch]),
    frames.slice(100, 300).map(({ at, count, epoch }) => [at, count, epoch]),
  );
  for (const [index, { bytes: one }] of read.entries())
    assert.ok(Buffer.from(one).equals((frames[100 + index] as ArchivedFrame).bytes));
  assert.deepEqual(rangeOf(range.name), range);
  assert.deepEqual([range.from, range.to], [frames[100]?.at, frames[300]?.at]);
  assert.equal(range.lastMs, (range.to - 1) * 10);
  assert.ok(bytes.length < 200 * 60, "small frames compress");
});

test("the same frames make the same object, and neighbours name each other's chain", () => {
  const frames = framesOf(60);
  const [one, other] = [archive(frames.slice(0, 30)), archive(frames.slice(30))];
  assert.equal(archive(frames.slice(0, 30)).range.name, one.range.name);
  assert.equal(archiveEnds(one.range, one.bytes).after, archiveEnds(other.range, other.bytes).before);
  assert.equal(archiveEnds(one.range, one.bytes).before, 0);
});

test("a frame that is not the next, or not whole, is not archived", () => {
  const frames = framesOf(4);
  const writer = new ArchiveWriter(shard, 1, 0);
  writer.add(frames[0] as ArchivedFrame);
  assert.throws(() => writer.add(frames[2] as ArchivedFrame), isHoldfastError);
  const bytes = Uint8Array.from((frames[1] as ArchivedFrame).bytes);
  bytes[50] = (bytes[50] as number) ^ 1;
  assert.throws(() => writer.add({ ...(frames[1] as ArchivedFrame), bytes }), isHoldfastError);
});

test("every turned bit and every cut of an archived range is detected by its digest, and never read out of bounds", () => {
  const { range, bytes } = archive(framesOf(12));
  const digest = (some: Uint8Array) => createHash("sha256").update(some).digest("hex");
  assert.equal(digest(bytes), range.sha256);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const turned = Uint8Array.from(bytes);
    turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.notEqual(digest(turned), range.sha256);
    try {
      for (const block of readArchive(range, turned)) assert.ok(block.length >= 0);
    } catch (error) {
      assert.ok(isHoldfastError(error), String(error));
    }
  }
  for (let length = 0; length < bytes.length; length++)
    assert.throws(() => [...readArchive(range, bytes.subarray(0, length))], isHoldfastError);
});

test("an object under the name of another range is refused", () => {
  const { range, bytes } = archive(framesOf(12));
  assert.throws(() => archiveEnds({ ...range, from: 2 }, bytes), isHoldfastError);
  assert.throws(() => archiveEnds({ ...range, shard: 4 }, bytes), isHoldfastError);
  for (const name of [
    "archive/3/head",
    "shards/3/head",
    `${range.name}0`,
    range.name.replace("archive/3", "archive/x"),
  ])
    assert.equal(rangeOf(name), undefined);
});

const span = (from: number, to: number, lastMs = to): ArchivedRange => ({
  name: `${from}-${to}`,
  shard,
  from,
  to,
  lastMs,
  sha256: "",
});

test("ranges that overlap lead on by the one that reaches furthest, and a gap ends them", () => {
  const ranges = [span(1, 10), span(5, 30), span(10, 20), span(40, 50), span(50, 60), span(45, 55)];
  assert.equal(rangeAt(ranges, 7)?.to, 30);
  assert.equal(rangeAt(ranges, 30), undefined);
  assert.equal(beginOf(ranges, 30), 1);
  assert.equal(beginOf(ranges, 15), 1);
  assert.equal(beginOf(ranges, 60), 40);
  assert.equal(beginOf(ranges, 52), 40);
  assert.equal(beginOf(ranges, 35), 35);
  assert.equal(beginOf([], 9), 9);
});

test("what is too old goes whole and from the beginning, never from above where the log begins", () => {
  const ranges = [span(20, 30, 300), span(1, 10, 100), span(10, 20, 200), span(5, 25, 250)];
  const names = (beforeMs: number, below: number) => expired(ranges, beforeMs, below).map(({ name }) => name);
  assert.deepEqual(names(201, 100), ["1-10", "10-20"]);
  assert.deepEqual(names(1_000, 20), ["1-10", "10-20"]);
  assert.deepEqual(names(1_000, 100), ["1-10", "10-20", "5-25", "20-30"]);
  assert.deepEqual(names(50, 100), []);
});
