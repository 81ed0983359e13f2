/**
 * What both readers share: their limits and the way they refuse.
 *
 * Invariant: no refusal repeats bytes of the frame, so nothing of a payload reaches an error or a log.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";

export interface GuardLimits {
  readonly bytesMax: number;
  /** Levels of arrays and objects, from the outermost. */
  readonly depthMax: number;
  /** Array items and object members in all. */
  readonly valuesMax: number;
  /** Characters of one number literal (JSON only). */
  readonly numberCharsMax: number;
}

/**
 * Values that an object counts for, beside its members: one whose keys no other object has costs the engine a hidden
 * class or a dictionary, about 2 us, which is far more than its bytes.
 */
export const objectCost = 2;

/** Levels that a message adds around the data in it: the frame's array, the message, a patch's array, an operation. */
const frameDepth = 4;

/** For frames from clients. */
export function frameLimits(limits: Limits): GuardLimits {
  return {
    bytesMax: limits.frameBytesMax,
    depthMax: limits.depthMax + frameDepth,
    valuesMax: limits.frameValuesMax,
    numberCharsMax: limits.numberCharsMax,
  };
}

/** For one plain value, such as an HTTP body. */
export function bodyLimits(limits: Limits): GuardLimits {
  return { ...frameLimits(limits), depthMax: limits.depthMax };
}

/** For frames from a server: larger, because it sends views and many replies at once, and it is trusted more. */
export const serverFrameLimits: GuardLimits = {
  bytesMax: 8 * 1024 * 1024,
  depthMax: 64 + frameDepth,
  valuesMax: 1024 * 1024,
  numberCharsMax: 40,
};

export function refuseFrame(problem: string): never {
  throw new HoldfastError("invalid-frame", `The frame ${problem}.`);
}

export function refuseLarge(problem: string): never {
  throw new HoldfastError("too-large", `The frame ${problem}.`);
}
