/**
 * What the cases of the log's contract are made of: writes with telling bytes, reading to the end, and assertions.
 */
import assert from "node:assert/strict";
import { isHoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { Append, AppendResult, LogFrame, ShardLog } from "./log.ts";

/** An empty log, and what a case may do to it. */
export interface LogUnderTest {
  readonly log: ShardLog;
  /** The largest frame it takes. */
  readonly frameBytesMax: number;
  /** Closes the log and opens it again over the same storage. Engines that forget leave it out. */
  readonly reopen?: () => Promise<ShardLog>;
  /** Closes the log and removes all it left. */
  readonly dispose: () => Promise<void>;
}

/** What a case gets. */
export interface Kit {
  /** A new, empty log; it is disposed of behind the case. */
  readonly open: (shardCount?: number) => Promise<LogUnderTest>;
  /** The log that all cases of the group use, 8 shards. */
  readonly shared: () => Promise<ShardLog>;
  readonly skip: (reason: string) => void;
  readonly generatedRuns: number;
}

export interface Case {
  readonly name: string;
  readonly run: (kit: Kit) => Promise<void>;
}

/** One write of `count` records with bytes that tell shard and offset. */
export function write(shard: ShardId, epoch: number, at: Offset, options: WriteOptions = {}): Append {
  const { count = 1, frame = bytesFor(shard, at, options.bytes ?? 24) } = options;
  return { shard, epoch, at, count, frame };
}

export interface WriteOptions {
  readonly count?: number;
  readonly bytes?: number;
  readonly frame?: Uint8Array;
}

/** Bytes that no other place in a log would have. */
export function bytesFor(shard: ShardId, at: Offset, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (shard * 2_654_435_761 + at * 40_503 + length) >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Appends frames one after the other under epoch 1, claiming first. Returns all frames as they must be read. */
export async function fill(
  log: ShardLog,
  shard: ShardId,
  frames: number,
  options: WriteOptions = {},
): Promise<LogFrame[]> {
  const expected: LogFrame[] = [];
  const put = async (one: Append, verb: "claim" | "append") => {
    assert.deepEqual(await log[verb]([one]), [{ ok: true, tail: one.at + one.count }]);
    expected.push(frameOf(one));
    return one.at + one.count;
  };
  let at = await put(write(shard, 1, 1), "claim");
  for (let index = 0; index < frames; index++) at = await put(write(shard, 1, at, options), "append");
  return expected;
}

export function frameOf({ shard, epoch, at, count, frame }: Append): LogFrame {
  return { shard, epoch, at, count, bytes: Uint8Array.from(frame) };
}

/** Reads to the end, copying frames as the contract demands. */
export async function collect(log: ShardLog, from: Readonly<Record<number, Offset>>): Promise<LogFrame[]> {
  const frames: LogFrame[] = [];
  const cursors = new Map(Object.entries(from).map(([shard, offset]) => [Number(shard), offset]));
  for await (const batch of log.read(cursors)) {
    for (const frame of batch) frames.push({ ...frame, bytes: Uint8Array.from(frame.bytes) });
  }
  return frames;
}

/** Frames of one shard, whatever else was read between them. */
export function ofShard(frames: readonly LogFrame[], shard: ShardId): LogFrame[] {
  return frames.filter((frame) => frame.shard === shard);
}

/** Asserts that reading gives exactly these frames, per shard. */
export async function assertHolds(log: ShardLog, expected: readonly LogFrame[]): Promise<void> {
  const from: Record<number, Offset> = {};
  for (const { shard, at } of expected) from[shard] = Math.min(at, from[shard] ?? at);
  const found = await collect(log, from);
  for (const shard of Object.keys(from).map(Number)) {
    assert.deepEqual(ofShard(found, shard), ofShard(expected, shard));
  }
  assert.equal(found.length, expected.length);
}

export const fencedResult: AppendResult = { ok: false, reason: "fenced" };

/** Asserts that a call throws an error of the catalogue. */
export async function assertRejects(call: () => unknown, code: string): Promise<void> {
  await assert.rejects(
    async () => await call(),
    (error: unknown) => {
      assert.ok(isHoldfastError(error), `an error of the catalogue, not ${String(error)}`);
      assert.equal(error.code, code, error.message);
      return true;
    },
  );
}
