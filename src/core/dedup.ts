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

import type { EntityRef, Offset } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { Outcome } from "../model/records.ts";
import { IdTable } from "../std/id-table.ts";
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
  readonly outcomes: Map<Offset, Remembered>;
  readonly order: Queue<{ at: Offset; bytes: number }>;
  outcomesBytes: number;
}

export function makeDedup(limits: Limits, seed: number): Dedup {
  return { limits, seed, generations: [], outcomes: new Map(), order: new Queue(), outcomesBytes: 0 };
}

const words = new Uint32Array(4);

/** @returns offset of the record with this id, or 0 */
export function findRequest(dedup: Dedup, id: Uint8Array): Offset {
  readWords(id);
  for (let index = dedup.generations.length - 1; index >= 0; index--) {
    const at = (dedup.generations[index] as Generation).ids.get(words);
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

/** Notes an id whose record stands at `at` with time `timeMs`; times never go back. */
export function rememberRequest(dedup: Dedup, id: Uint8Array, at: Offset, timeMs: number): void {
  const { generations, limits } = dedup;
  const spanMs = generationMs(limits);
  forgetBefore(dedup, timeMs - spanMs * generationsKept);
  let newest = generations.at(-1);
  if (newest === undefined || timeMs >= newest.startMs + spanMs) {
    newest = { startMs: timeMs, ids: new IdTable(dedup.seed) };
    generations.push(newest);
  }
  readWords(id);
  newest.ids.set(words, at);
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

export function rememberOutcome(dedup: Dedup, at: Offset, remembered: Remembered, bytes: number): void {
  dedup.outcomes.set(at, remembered);
  dedup.order.push({ at, bytes });
  dedup.outcomesBytes += bytes;
  const { outcomesPerShardMax, outcomesBytesPerShardMax } = dedup.limits;
  while (
    dedup.order.size > outcomesPerShardMax ||
    (dedup.outcomesBytes > outcomesBytesPerShardMax && dedup.order.size > 1)
  ) {
    const oldest = dedup.order.shift();
    if (oldest === undefined) break;
    dedup.outcomes.delete(oldest.at);
    dedup.outcomesBytes -= oldest.bytes;
  }
}

/** `too-old` and `too-new` by the limits, else `fits`. */
export function requestAge(id: Uint8Array, nowMs: number, limits: Limits): "fits" | "too-old" | "too-new" {
  const ageMs = nowMs - uuidBytesTime(id);
  if (ageMs > limits.dedupWindowMs) return "too-old";
  return ageMs < -limits.requestIdFutureMs ? "too-new" : "fits";
}

/** The 16 bytes of an id as the four words of a lookup. */
function readWords(id: Uint8Array): void {
  for (let word = 0; word < 4; word++) {
    const at = word * 4;
    words[word] =
      ((id[at] as number) << 24) |
      ((id[at + 1] as number) << 16) |
      ((id[at + 2] as number) << 8) |
      (id[at + 3] as number);
  }
}
