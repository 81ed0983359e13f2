/**
 * One value as it changes: the latest version of it, and what led there lately, for those who hold an older one.
 *
 * Invariant: each delta's `from` is the version of the one before it, and the last one leads to the latest value: so whoever holds
 * a version that `since` knows has the latest value after applying what it gives. A delta that would be larger than the value is
 * not made, and nothing leads over that place: the absolute is sent instead. Deltas and values are shared and never changed.
 */
import type { Offset } from "../../model/ids.ts";
import { compactDiff, isWhole, type PatchOperation } from "../../std/patch.ts";
import type { Plain } from "../../std/plain.ts";
import { roughBytes } from "../../std/rough-bytes.ts";

/** What leads from the value at version `from` to the one at `version`. */
export interface Delta {
  readonly from: Offset;
  readonly version: Offset;
  readonly patch: readonly PatchOperation[];
}

/** A whole value at a version. */
export interface Absolute {
  readonly version: Offset;
  readonly value: Plain;
}

/** The operations that lead from one value to the next, none if they are equal; undefined if the next value is no larger. */
export function patchBetween(before: Plain, after: Plain): readonly PatchOperation[] | undefined {
  const patch = compactDiff(before, after);
  if (patch.length === 0) return patch;
  if (isWhole(patch)) return undefined;
  const bytes = roughBytes(patch as Plain, Number.POSITIVE_INFINITY);
  return roughBytes(after, bytes + 1) > bytes ? patch : undefined;
}

export class DeltaLine {
  readonly #deltasMax: number;
  readonly #between: typeof patchBetween;
  #latest: Absolute | undefined;
  /** Oldest first. */
  #deltas: Delta[] = [];

  /**
   * @param deltasMax how many are kept for those who come back
   * @param between   `patchBetween`, or what knows its answers
   */
  constructor(deltasMax: number, between = patchBetween) {
    this.#deltasMax = deltasMax;
    this.#between = between;
  }

  /** Undefined before the first value. */
  get latest(): Absolute | undefined {
    return this.#latest;
  }

  /**
   * The next value. Its version is not below the latest. The same version once more is a value of which something was erased: the
   * deltas of before may hold it, so nobody gets one of them any more. Who held that version before is not told apart from who holds
   * it since: the caller sends the absolute to all of them, and gives what is resumed another name (`run`).
   * @returns what leads there from the value before; undefined if nothing does that is smaller than the value
   */
  advance(version: Offset, value: Plain): Delta | undefined {
    const before = this.#latest;
    this.#latest = { version, value };
    const patch = before === undefined || before.version === version ? undefined : this.#between(before.value, value);
    if (before === undefined || patch === undefined) {
      this.#deltas = [];
      return undefined;
    }
    const delta: Delta = { from: before.version, version, patch };
    this.#deltas.push(delta);
    if (this.#deltas.length > this.#deltasMax) this.#deltas.shift();
    return delta;
  }

  /** What leads from this version to the latest, in order, nothing if it is the latest; undefined if it is not known any more. */
  since(from: Offset): readonly Delta[] | undefined {
    if (from === this.#latest?.version) return [];
    const first = this.#deltas.findLastIndex((delta) => delta.from === from);
    return first === -1 ? undefined : this.#deltas.slice(first);
  }
}
