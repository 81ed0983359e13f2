/**
 * Which archived ranges lead from where to where. Two owners may have cut the same records differently, so ranges overlap;
 * wherever they do they say the same.
 *
 * Invariant: what is said to be covered is covered record by record; a gap ends it.
 */
import type { Offset } from "../model/ids.ts";
import type { ArchivedRange } from "./archive.ts";

/** Of the ranges with the record at `at` the one that reaches furthest. */
export function rangeAt(ranges: readonly ArchivedRange[], at: Offset): ArchivedRange | undefined {
  let found: ArchivedRange | undefined;
  for (const range of ranges) {
    if (range.from > at || range.to <= at) continue;
    if (found === undefined || range.to > found.to) found = range;
  }
  return found;
}

/** The lowest offset from which the ranges lead up to `to` without a gap; `to` if none does. */
export function beginOf(ranges: readonly ArchivedRange[], to: Offset): Offset {
  let begin = to;
  for (const range of [...ranges].sort((one, other) => other.to - one.to)) {
    if (range.to < begin) break;
    begin = Math.min(begin, range.from);
  }
  return begin;
}

/**
 * The ranges that may go when everything recorded before `beforeMs` may: the oldest first, none that reaches above
 * `below`. Taken away in this order they never leave a gap.
 */
export function expired(ranges: readonly ArchivedRange[], beforeMs: number, below: Offset): readonly ArchivedRange[] {
  const byEnd = [...ranges].sort((one, other) => one.to - other.to || one.from - other.from);
  const kept = byEnd.findIndex(({ lastMs, to }) => lastMs >= beforeMs || to > below);
  return kept < 0 ? byEnd : byEnd.slice(0, kept);
}
