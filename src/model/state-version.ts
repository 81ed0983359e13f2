/**
 * Which code a state was evolved by, so that a state store or a snapshot of older code is told apart by itself.
 *
 * It sees the entity type's name and `version`, its events' names and versions, and the text of `state`, `evolve` and
 * `upcast` without comments and layout. It does not see what they call or close over: helpers, constants, libraries; of a
 * bound or native function nothing. Whoever changes those raises `version`. A build that writes the same code otherwise (a
 * minifier) is other code to it: that costs a replay, no more.
 *
 * Invariant: equal versions are equal texts; in doubt they differ, and the state is evolved again from the log.
 */
import { fnv1a } from "../std/hash.ts";
import { bareSource } from "../std/source-text.ts";
import type { EntityDefinition } from "./entity.ts";

/** 32 hexadecimal digits. */
export type StateVersion = string;

const known = new WeakMap<EntityDefinition, StateVersion>();

export function stateVersionOf(definition: EntityDefinition): StateVersion {
  let version = known.get(definition);
  if (version === undefined) known.set(definition, (version = digest(JSON.stringify(textsOf(definition)))));
  return version;
}

function textsOf({ name, version, state, events }: EntityDefinition): unknown {
  const evolves = [...events]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([event, { version: of, evolve, upcast }]) => {
      const upcasts = Object.keys(upcast).map(Number);
      upcasts.sort((left, right) => left - right);
      return [event, of, bare(evolve), upcasts.map((from) => [from, bare(upcast[from])])];
    });
  return [1, name, version, bare(state), evolves];
}

function bare(code: unknown): string {
  return bareSource(String(code));
}

/** Four hashes of 32 bits: against chance, not against an adversary. */
function digest(text: string): StateVersion {
  return [0, 1, 2, 3].map((salt) => fnv1a(`${salt}${text}`).toString(16).padStart(8, "0")).join("");
}

/** A state as it was kept, and by which code. */
export interface KeptState {
  readonly state: unknown;
  readonly stateVersion: StateVersion;
  /** The definition's `version` then. */
  readonly version: number;
}

/**
 * The kept state as this code's: as it is if this code evolved it; through the definition's `migrate` if it is of an
 * older `version`. Undefined if neither: it is to be evolved again from the log, which also serves if `migrate` throws.
 */
export function stateFrom(definition: EntityDefinition, kept: KeptState): { readonly state: unknown } | undefined {
  if (kept.stateVersion === stateVersionOf(definition)) return { state: kept.state };
  if (definition.migrate === undefined || kept.version >= definition.version) return undefined;
  const state = definition.migrate(kept.state, kept.version);
  return state === undefined ? undefined : { state };
}
