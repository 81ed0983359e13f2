/**
 * The checks that every shard log makes before it writes: arguments, then the fence.
 *
 * Invariant: nothing is written for a number that is not a safe integer. A fence that compares with `undefined`, `NaN`,
 * a BigInt or a string would silently turn a conditional write into an unconditional one.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { Append } from "./log.ts";

/** What a write is: the first record of an epoch, or more records of the epoch that runs. */
export type WriteKind = "claim" | "append";

/**
 * Checks a whole call before any of it is written.
 * @throws `internal` a number out of range, a shard named twice, a frame that is not bytes
 * @throws `too-large` a frame over `frameBytesMax`
 */
export function checkWrites(appends: readonly Append[], shardCount: number, frameBytesMax: number): void {
  if (!Array.isArray(appends)) throw broken("writes come as an array", appends);
  const seen = new Set<ShardId>();
  for (const append of appends) {
    if (typeof append !== "object" || append === null) throw broken("a write is an object", append);
    checkShard(append.shard, shardCount);
    checkNumber("epoch", append.epoch);
    checkNumber("at", append.at);
    checkNumber("count", append.count);
    checkNumber("the tail after a write", append.at + append.count);
    if (!(append.frame instanceof Uint8Array) || append.frame.length === 0) {
      throw broken("a frame is a Uint8Array of at least one byte", append.frame);
    }
    if (append.frame.length > frameBytesMax) throw frameTooLarge(append.shard, append.frame.length, frameBytesMax);
    if (seen.has(append.shard)) throw broken("a shard stands once in a call", append.shard);
    seen.add(append.shard);
  }
}

/** The fence itself. Callers make this check and the write one atomic step. */
export function fenceAdmits(kind: WriteKind, append: Append, epoch: Epoch, tail: Offset): boolean {
  if (append.at !== tail) return false;
  return kind === "claim" ? append.epoch > epoch : append.epoch === epoch;
}

/** @throws `internal` the shard is not 0 .. shardCount - 1 */
export function checkShard(shard: unknown, shardCount: number): void {
  if (!Number.isSafeInteger(shard) || (shard as number) < 0 || (shard as number) >= shardCount) {
    throw broken(`a shard is an integer from 0 to ${shardCount - 1}`, shard);
  }
}

/** @throws `internal` the offset is not a safe integer of at least 1 */
export function checkOffset(offset: unknown): void {
  checkNumber("offset", offset);
}

function checkNumber(what: string, value: unknown): void {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw broken(`${what} is a safe integer of at least 1`, value);
  }
}

function frameTooLarge(shard: ShardId, frameBytes: number, frameBytesMax: number): HoldfastError {
  return new HoldfastError(
    "too-large",
    `A frame of ${frameBytes} bytes for shard ${shard}; this log takes at most ${frameBytesMax}.`,
    { details: { shard, frameBytes, frameBytesMax } },
  );
}

function broken(invariant: string, value: unknown): HoldfastError {
  const shown = typeof value === "object" && value !== null ? Object.prototype.toString.call(value) : String(value);
  return new HoldfastError("internal", `Broken invariant: ${invariant}, not ${typeof value} ${shown.slice(0, 40)}`);
}
