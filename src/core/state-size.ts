/**
 * How large a state is: an account kept by the bytes of events, and a measure taken now and then.
 *
 * Invariant: the hot path adds and compares, nothing more. Between two measures a state grows by at most half of what it
 * had left (or by the least step), if its evolve stores what its events bring; one that makes much of little is seen
 * at the next measure.
 */
import type { Limits } from "../model/limits.ts";
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

/** Measures: counts as `copyPlain` does, without the copy. */
export function isTooLarge(slot: Slot, limits: Limits): boolean {
  slot.grownBytes = 0;
  const left = spend(slot.state, limits.stateBytesMax, limits.depthMax);
  slot.stateBytes = limits.stateBytesMax - Math.max(0, left);
  return left < 0;
}

/** @returns what is left of the bytes; below 0 as soon as that is known. What is not plain data counts nothing here. */
function spend(value: unknown, bytes: number, depthLeft: number): number {
  if (typeof value === "string") return bytes - value.length - 1;
  if (typeof value === "number") return bytes - 9;
  if (typeof value !== "object" || value === null) return bytes - 1;
  // deeper than data may be, or a cycle: found where states are written down
  if (depthLeft === 0) return bytes;
  let left = bytes - 3;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length && left >= 0; index++) left = spend(value[index], left, depthLeft - 1);
    return left;
  }
  for (const key in value) {
    left = spend((value as Record<string, unknown>)[key], left - key.length - 1, depthLeft - 1);
    if (left < 0) return left;
  }
  return left;
}
