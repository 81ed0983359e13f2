/**
 * Patches between values that several viewers have in common: compared once.
 *
 * Invariant: what is known of a value leads on from it, never back: who holds the latest value holds none of before.
 */
import { patchBetween } from "../core/changefeed/delta-line.ts";
import type { PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";

type Patch = readonly PatchOperation[] | undefined;

export class SharedPatches {
  readonly #known = new WeakMap<object, { readonly after: Plain; readonly patch: Patch }>();

  /** Like `patchBetween`. */
  readonly between = (before: Plain, after: Plain): Patch => {
    if (typeof before !== "object" || before === null) return patchBetween(before, after);
    const known = this.#known.get(before);
    if (known !== undefined && known.after === after) return known.patch;
    const patch = patchBetween(before, after);
    this.#known.set(before, { after, patch });
    return patch;
  };
}
