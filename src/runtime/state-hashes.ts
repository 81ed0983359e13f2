/**
 * Hashes of the states of some entities of a shard, to compare an owner with a copy at one offset.
 *
 * Invariant: two owners that evolved the same records by the same code have the same hashes at the same offset, or an `evolve` is not
 * deterministic. What cannot be compared (other code, parked, ahead of the offset) counts as the same.
 */
import { createHash } from "node:crypto";
import { copyState } from "../core/image.ts";
import type { Owner } from "../core/owner-state.ts";
import type { EntityRef, Epoch, Offset } from "../model/ids.ts";
import { type StateVersion, stateVersionOf } from "../model/state-version.ts";
import { canonicalJson } from "../std/canonical.ts";

export interface HashedState {
  readonly type: string;
  readonly key: string;
  /** Of the code that evolved it. */
  readonly code: StateVersion;
  /** SHA-256 over the canonical JSON, 24 hexadecimal digits of it: against chance. */
  readonly hash: string;
}

/** Before this offset, of the incarnation with this epoch, the states were these. */
export interface HashedStates {
  readonly epoch: Epoch;
  readonly at: Offset;
  readonly states: readonly HashedState[];
}

/** Of one message, whatever comes first: below a millisecond of work. */
const statesMax = 32;
const bytesMax = 64 * 1024;
const hashDigits = 24;

/**
 * The next ones after `from`, of those that are in memory, in a round.
 * @returns `next`: where to go on
 */
export function hashSome(
  owner: Owner,
  from: number,
): { readonly states: readonly HashedState[]; readonly next: number } {
  const slots = owner.slots.values();
  const states: HashedState[] = [];
  let [index, bytes, looked] = [from, 0, 0];
  for (; looked < Math.min(statesMax, slots.length) && bytes < bytesMax; looked++, index++) {
    if (index >= slots.length) index = 0;
    const slot = slots[index];
    if (slot === undefined || slot.version === 0 || slot.parked !== undefined) continue;
    const text = canonicalJson(copyState(slot.state));
    bytes += text.length;
    states.push({ ...slot.ref, code: stateVersionOf(slot.definition), hash: hashOf(text) });
  }
  return { states, next: index };
}

/** Which of these this copy has otherwise; it has all records before `at`, and none after. */
export function differing(owner: Owner, { at, states }: HashedStates): EntityRef[] {
  return states.filter(({ type, key, code, hash }) => {
    const definition = owner.definitions.get(type);
    if (definition === undefined || stateVersionOf(definition) !== code) return false;
    const slot = owner.slots.get({ type, key });
    if (slot === undefined) return true;
    if (slot.parked !== undefined || slot.touched >= at) return false;
    return hashOf(canonicalJson(copyState(slot.state))) !== hash;
  });
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, hashDigits);
}
