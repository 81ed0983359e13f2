/**
 * How large a state is: an account kept by the bytes of events, and a measure taken now and then.
 *
 * Invariant: the hot path adds and compares, nothing more. Between two measures a state grows by at most half of what it
 * had left (or by the least step), if its evolve stores what its events bring; one that makes much of little is seen
 * at the next measure.
 */
import type { Limits } from "../model/limits.ts";
import { copyPlain, type Plain, PlainError } from "../std/plain.ts";
import type { Slot } from "./slot.ts";

/** The first measure after a recovery, and the closest that two may be. */
const firstBytes = 16 * 1024;
const leastBytes = 64 * 1024;

/** Notes the bytes of events. @returns true if the state is over its limit */
export function growsTooLarge(slot: Slot, bytes: number, limits: Limits): boolean {
  slot.grownBytes += bytes;
  const due = slot.stateBytes < 0 ? firstBytes : Math.max(leastBytes, (limits.stateBytesMax - slot.stateBytes) / 2);
  return slot.grownBytes > Math.min(due, limits.stateBytesMax / 2) && isTooLarge(slot, limits);
}

/** Measures. */
export function isTooLarge(slot: Slot, limits: Limits): boolean {
  slot.grownBytes = 0;
  try {
    slot.stateBytes = copyPlain(slot.state as Plain, {
      depthMax: limits.depthMax,
      bytesMax: limits.stateBytesMax,
    }).bytes;
    return false;
  } catch (fault) {
    if (fault instanceof PlainError && fault.reason === "too-large") return true;
    // not plain data: that is found where states are written down; nobody can say how large it is
    slot.stateBytes = 0;
    return false;
  }
}
