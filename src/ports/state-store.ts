/**
 * The state store: encoded entities of a node outside its heap, on the local disk. Disposable: whatever it holds can be
 * had from snapshots and the log again, so losing it costs time and nothing else.
 *
 * Reads are synchronous, since the core asks for an entity in the middle of a command; a memory-mapped store answers in
 * microseconds. What was written is seen by reads once `write` has resolved.
 *
 * Durability: what `write` has resolved survives the end of the process (`kill -9`) and need not survive a power cut. A
 * store that may have lost or mixed anything (power cut, copied from another machine, damaged) comes up empty.
 */

import { assert, HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { StoredImage } from "../model/images.ts";

export interface StateWrite {
  readonly shard: ShardId;
  readonly images: readonly StoredImage[];
  /** Replaces the shard's stamp; left out it stays. Opaque bytes of any size up to 512 MiB. */
  readonly stamp?: Uint8Array;
}

const namePattern = /^[A-Za-z0-9_/-]{1,200}$/;

/** Names are 1 to 200 of letters, digits, `_`, `-` and `/`. @throws `internal` another one */
export function checkImageName(name: string): void {
  assert(namePattern.test(name), "a name has 1 to 200 characters of letters, digits, `_`, `-` and `/`");
}

/** @returns what a store throws for an image whose bytes are not what was written */
export function stateDamaged(shard: ShardId, name: string): HoldfastError {
  const detail = `The image of ${name} in the state store is not what was written; the shard is recovered without it.`;
  return new HoldfastError("state-damaged", detail, { details: { shard, name } });
}

export function isStateDamaged(error: unknown): boolean {
  return isHoldfastError(error) && error.code === "state-damaged";
}

export interface StateStore {
  /**
   * The image of `name`, or undefined if there is none. The bytes are the caller's.
   * @throws `state-damaged` there is one, and it is not what was written
   */
  get(shard: ShardId, name: string): Uint8Array | undefined;
  /** Writes all of it or nothing, visible at once when resolved. Calls may overlap; they take effect in order. */
  write(writes: readonly StateWrite[]): Promise<void>;
  /** What was last written as the shard's stamp; undefined also if it is damaged. */
  stamp(shard: ShardId): Uint8Array | undefined;
  /** Names of the shard's images that were written with `busy`. */
  busy(shard: ShardId): Iterable<string>;
  /**
   * All images of the shard in the order of their names, as of some moment during the iteration.
   * @throws `state-damaged`
   */
  images(shard: ShardId): Iterable<readonly [name: string, bytes: Uint8Array]>;
  /** Images of the shard; an estimate is allowed while writes are under way. */
  count(shard: ShardId): number;
  /** Bytes the store takes on its disk. */
  bytes(): number;
  /** Forgets the shard: images and stamp. */
  clear(shard: ShardId): Promise<void>;
  /** Everything written is on stable storage, and the store knows that it was closed in order. Idempotent. */
  close(): Promise<void>;
}
