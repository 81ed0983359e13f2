/**
 * Which request ids were used, and where their outcome stands in the log.
 *
 * Invariants:
 * 1. An id is found for at least `window` after its record's time (kept for window + future, since an id may claim to be
 *    from the future by that much); ids older than the window are refused before anybody looks here.
 * 2. Memory is bounded: ids sit in typed arrays of a few generations, each dropped whole; a full table refuses new
 *    commands (`overloaded`) rather than forget early.
 * 3. Outcomes are a bounded memory of the log: one that was dropped is read from the log at its offset.
 */

import { assert } from "../model/errors.ts";
import type { EntityRef, Offset } from "../model/ids.ts";
import type { RequestsImage } from "../model/images.ts";
import type { Limits } from "../model/limits.ts";
import type { Outcome } from "../model/records.ts";
import { IdTable } from "../std/id-table.ts";
import { LiveTable } from "../std/live-table.ts";
import { Queue } from "../std/queue.ts";
import { uuidBytesTime } from "../std/uuid-bytes.ts";

const generationsKept = 4;

/** What was answered, enough to answer the same again. */
export interface Remembered {
  readonly entity: EntityRef;
  readonly command: string;
  readonly outcome: Outcome;
  /** Version of the entity in that answer. */
  readonly version: Offset;
  /** What it counts of the bytes that outcomes may take. */
  readonly bytes: number;
  /** It was answered before it was durable. */
  readonly early?: boolean;
}

interface Generation {
  readonly startMs: number;
  readonly ids: IdTable;
}

export interface Dedup {
  readonly limits: Limits;
  readonly seed: number;
  readonly generations: Generation[];
  readonly outcomes: LiveTable<Remembered>;
  /** Offsets of the outcomes, oldest first. */
  readonly order: Queue<Offset>;
  outcomesBytes: number;
}

export function makeDedup(limits: Limits, seed: number, requests: readonly RequestsImage[] = []): Dedup {
  const dedup = {
    limits,
    seed,
    generations: [],
    outcomes: new LiveTable<Remembered>(),
    order: new Queue<Offset>(),
    outcomesBytes: 0,
  };
  restoreRequests(dedup, requests);
  return dedup;
}

/** @returns offset of the record with this id, or 0 */
export function findRequest(dedup: Dedup, id: Uint8Array): Offset {
  for (let index = dedup.generations.length - 1; index >= 0; index--) {
    const at = (dedup.generations[index] as Generation).ids.get(id);
    if (at !== 0) return at;
  }
  return 0;
}

/** True if one more id fits. */
export function hasRoom(dedup: Dedup): boolean {
  let size = 0;
  for (const generation of dedup.generations) size += generation.ids.size;
  return size < dedup.limits.dedupIdsPerShardMax;
}

/**
 * Notes an id whose record stands at `at` with time `timeMs`; times never go back. Noting the same again, with its offset
 * and time, changes nothing.
 * @param from where the 16 bytes begin in `id`
 */
export function rememberRequest(dedup: Dedup, id: Uint8Array, at: Offset, timeMs: number, from = 0): void {
  const { generations, limits } = dedup;
  const spanMs = generationMs(limits);
  forgetBefore(dedup, timeMs - spanMs * generationsKept);
  const newest = generations.at(-1);
  if (newest === undefined || timeMs >= newest.startMs + spanMs) {
    generations.push({ startMs: timeMs, ids: new IdTable(dedup.seed) });
  }
  // an id that is noted again goes where it is: a replay may begin before the end of what was restored
  let index = generations.length - 1;
  while (index > 0 && timeMs < (generations[index] as Generation).startMs) index--;
  (generations[index] as Generation).ids.add(id, at, from);
}

/** Time that one generation covers: those kept before the newest cover the window and the future an id may claim. */
function generationMs(limits: Limits): number {
  return Math.ceil((limits.dedupWindowMs + limits.requestIdFutureMs) / (generationsKept - 1));
}

/** Drops generations whose every id is past its window. */
function forgetBefore(dedup: Dedup, startMs: number): void {
  while (dedup.generations.length > 0 && (dedup.generations[0] as Generation).startMs < startMs)
    dedup.generations.shift();
}

/** Drops what is past its window by the clock; for shards that are idle. */
export function forgetExpired(dedup: Dedup, nowMs: number): void {
  const { limits } = dedup;
  const spanMs = generationMs(limits);
  forgetBefore(dedup, nowMs - spanMs * generationsKept);
}

/** Makes what was noted ready to be found, which a first `findRequest` would do as well: about 0.1 µs an id. */
export function settleRequests(dedup: Dedup): void {
  for (const { ids } of dedup.generations) ids.index();
}

/** What is remembered, oldest first, to be kept outside: views of the tables, which never change. */
export function requestsOf(dedup: Dedup): RequestsImage[] {
  return dedup.generations.map(({ startMs, ids }) => ({ startMs, ids: ids.ids(), offsets: ids.values() }));
}

/** The same, without the ids of records at or above `at`. Offsets of a generation only grow. */
export function requestsBelow(dedup: Dedup, at: Offset): RequestsImage[] {
  return requestsOf(dedup).map(({ startMs, ids, offsets }) => {
    let count = offsets.length;
    while (count > 0 && (offsets[count - 1] as number) >= at) count--;
    return { startMs, ids: ids.subarray(0, count * 16), offsets: offsets.subarray(0, count) };
  });
}

/** Remembers what `requestsOf` gave, in a table that remembers nothing yet. */
export function restoreRequests(dedup: Dedup, images: readonly RequestsImage[]): void {
  assert(dedup.generations.length === 0, "request ids are restored into a fresh table");
  for (const { startMs, ids: bytes, offsets } of images) {
    assert(bytes.length === offsets.length * 16, "every id has an offset");
    const ids = new IdTable(dedup.seed);
    ids.addAll(bytes, offsets);
    dedup.generations.push({ startMs, ids });
  }
}

export function rememberOutcome(dedup: Dedup, at: Offset, remembered: Remembered): void {
  dedup.outcomes.set(at, remembered);
  dedup.order.push(at);
  dedup.outcomesBytes += remembered.bytes;
  const { outcomesPerShardMax, outcomesBytesPerShardMax } = dedup.limits;
  while (
    dedup.order.size > outcomesPerShardMax ||
    (dedup.outcomesBytes > outcomesBytesPerShardMax && dedup.order.size > 1)
  ) {
    const oldest = dedup.order.shift();
    if (oldest === undefined) break;
    dedup.outcomesBytes -= dedup.outcomes.get(oldest)?.bytes ?? 0;
    dedup.outcomes.delete(oldest);
  }
}

/** `too-old` and `too-new` by the limits, else `fits`. */
export function requestAge(id: Uint8Array, nowMs: number, limits: Limits): "fits" | "too-old" | "too-new" {
  const ageMs = nowMs - uuidBytesTime(id);
  if (ageMs > limits.dedupWindowMs) return "too-old";
  return ageMs < -limits.requestIdFutureMs ? "too-new" : "fits";
}
