/**
 * The shard log: the truth. One append-only sequence of records per shard, written by one owner at a time.
 *
 *   1 .. gone .. trimmed .. readable .. tail (first unwritten offset)
 *
 * The engine stores *frames*: opaque bytes that hold `count` consecutive records of one shard. It checks nothing inside
 * them (the reader does: checksum and chain), and never shows a frame that is not durable.
 *
 * The fence, for every engine: an append is accepted only if `epoch` equals the shard's current epoch and `at` equals
 * its tail; a claim only if `epoch` is higher and `at` equals its tail. Both checks and the write are one atomic step.
 * An argument that is not a safe integer is refused with `internal`; it must never turn into an unconditional write.
 */
import type { Epoch, Offset, ShardId } from "../model/ids.ts";

export interface LogPosition {
  /** Epoch of the last claim; 0 if the shard was never claimed. */
  readonly epoch: Epoch;
  /** First unwritten offset; 1 in a new log. */
  readonly tail: Offset;
  /** First readable offset; 1 in a log that was never trimmed. */
  readonly trimmed: Offset;
}

export interface Append {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  /** The tail as the caller knows it. */
  readonly at: Offset;
  /** Records in the frame, at least 1. */
  readonly count: number;
  /** The caller must not change these bytes until the append is answered. */
  readonly frame: Uint8Array;
}

/**
 * - `fenced`  epoch or tail do not fit: a later claim was made. Final; nothing was written.
 * - `full`    no space; nothing was written. The same append may be tried again later.
 * - `unknown` no answer; the frame may be in the log. Read at `at` before anything else.
 */
export type AppendResult =
  | { readonly ok: true; readonly tail: Offset }
  | { readonly ok: false; readonly reason: "fenced" | "full" | "unknown" };

export interface LogFrame {
  readonly shard: ShardId;
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly count: number;
  /** Valid until the iterator is advanced; copy what must live longer. */
  readonly bytes: Uint8Array;
}

/** The part of a log that changes nothing: what a reader of the past needs of any engine. */
export type LogReader = Pick<ShardLog, "tail" | "read" | "close">;

export interface ShardLog {
  /** Positions of the given shards, in their order. */
  tail(shards: readonly ShardId[]): Promise<readonly LogPosition[]>;
  /**
   * Appends the claim record that starts an epoch, for each shard by itself.
   * Resolved means durable. Results stand in the order of the claims.
   */
  claim(claims: readonly Append[]): Promise<readonly AppendResult[]>;
  /**
   * Appends one frame to each of the given shards; each succeeds or fails by itself, a frame is written whole or not at
   * all. A shard stands at most once in `appends`. Resolved means durable: it survives this process and a power cut.
   * Calls must not overlap: one append in flight per log (group commit is the caller's). A claim may overlap with it.
   * @throws `log-failed` the device refused a write or a sync. Final: the process must stop, nothing is retried.
   */
  append(appends: readonly Append[]): Promise<readonly AppendResult[]>;
  /**
   * Reads frames of many shards in one pass, up to their tails at the time of the call: of each shard the frames that
   * hold offsets >= the given one, in order and without a gap; shards may interleave. The first frame of a shard may
   * begin below the offset asked for. May overlap with appends.
   * @throws `log-damaged` bytes that were once durable fail their checks, or a cursor stands below `trimmed`.
   */
  read(from: ReadonlyMap<ShardId, Offset>): AsyncIterable<readonly LogFrame[]>;
  /**
   * Allows the engine to drop records below `before`. It may keep more: `trimmed` tells how far it got, always at a
   * frame's first offset, never above `before`, never above the tail. The tail and the epoch stay.
   */
  trim(shard: ShardId, before: Offset): Promise<void>;
  /** Releases files and locks. Idempotent. No other call may follow or be in flight. */
  close(): Promise<void>;
}
