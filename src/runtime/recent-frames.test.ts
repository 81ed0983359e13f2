/** Frames that became durable of late: what they give, what they forget, whom they wake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../adapters/system/clock.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import { encodeFrame } from "../wire/frame.ts";
import { RecentFrames } from "./recent-frames.ts";

const claim = (epoch: number): LogRecord => ({ kind: "claim", time: 1, epoch, node: "n" });

function frameOf(shard: ShardId, at: Offset, count: number) {
  const records = Array.from({ length: count }, (_, index) => claim(at + index));
  return { shard, epoch: 1, at, count, frame: encodeFrame({ shard, epoch: 1, at }, records, 7).bytes };
}

/** With what a frame costs beside its bytes. */
const size = frameOf(0, 200, 1).frame.length + 256;

test("the frame with a record is found by the record's offset, as long as it is recent", () => {
  const recent = new RecentFrames(1_000_000, systemClock);
  recent.add(frameOf(0, 1, 3));
  recent.add(frameOf(0, 4, 2));
  recent.add(frameOf(1, 1, 1));
  for (const [offset, at] of [
    [1, 1],
    [3, 1],
    [4, 4],
    [5, 4],
  ] as const)
    assert.equal(recent.find(0, offset)?.at, at);
  assert.equal(recent.find(0, 6), undefined);
  assert.deepEqual([recent.tail(0), recent.tail(1), recent.tail(2)], [6, 2, 0]);
  const frame = recent.find(0, 4);
  assert.ok(frame !== undefined);
  assert.deepEqual(recent.decode(frame).records, [claim(4), claim(5)]);
  assert.equal(recent.decode(frame).previous, 7);
});

test("over its bytes the oldest frames leave, of whatever shard, and the tails stay", () => {
  const recent = new RecentFrames(3 * size, systemClock);
  for (let at = 1; at <= 200; at++) for (const shard of [0, 1]) recent.add(frameOf(shard, at, 1));
  assert.ok(recent.bytes <= 3 * size);
  assert.equal(recent.find(0, 198), undefined);
  assert.equal(recent.find(1, 199)?.at, 199);
  assert.equal(recent.find(1, 200)?.at, 200);
  assert.deepEqual([recent.tail(0), recent.tail(1)], [201, 201]);
});

test("a gap, where another way led to the log, makes a shard begin anew behind it", () => {
  const recent = new RecentFrames(1_000_000, systemClock);
  recent.add(frameOf(0, 1, 2));
  recent.add(frameOf(0, 5, 1));
  assert.equal(recent.find(0, 1), undefined, "what is before the gap is in the log");
  assert.equal(recent.find(0, 5)?.at, 5);
  recent.begin(0, 9);
  assert.equal(recent.find(0, 5), undefined);
  assert.equal(recent.tail(0), 9);
  recent.begin(0, 4);
  assert.equal(recent.tail(0), 9, "a tail never goes back");
  recent.add(frameOf(0, 5, 1));
  assert.equal(recent.find(0, 5), undefined, "what is below the tail is not added again");
});

test("frames that left with their shard count until they are let go of", () => {
  const recent = new RecentFrames(3 * size, systemClock);
  for (let at = 1; at <= 400; at += 2) {
    recent.add(frameOf(0, at, 1));
    assert.ok(recent.bytes <= 3 * size);
  }
  assert.ok(recent.bytes > 2 * frameOf(0, 1, 1).frame.length, "all but the last few were let go of, and no more");
  assert.equal(recent.find(0, 399)?.at, 399);
});

test("who waits is woken once, together with others, and not when it took that back", async () => {
  const recent = new RecentFrames(1_000_000, systemClock);
  const woken: string[] = [];
  recent.onNext(() => woken.push("one"));
  const forget = recent.onNext(() => woken.push("other"));
  recent.onNext(() => woken.push("third"));
  forget();
  recent.add(frameOf(0, 1, 1));
  recent.add(frameOf(0, 2, 1));
  assert.deepEqual(woken, [], "not within the step that made it durable");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(woken, ["one", "third"]);
  recent.add(frameOf(0, 3, 1));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(woken, ["one", "third"]);
});
