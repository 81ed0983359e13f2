/**
 * Personal data in the core: sealed before anything is decided, and opened only where the author's code asks.
 *
 * Invariant: what a decide, an evolve, a record or a mark holds of personal data is sealed. How is the vault's business: it
 * has the keys, the cipher and the chance.
 */
import type { SendTarget } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, isKey, isTypeName } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import { isSealed, type Sealed, sealMarks } from "../model/sealed.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Slot } from "./slot.ts";

/** Seals and opens. Answers at once. */
export interface Vault {
  /** Under the key that the subject has now; it gets one if it has none. */
  seal(subject: string, value: Plain): Sealed<unknown>;
  /**
   * Undefined: its key was destroyed.
   * @throws `keys-damaged` the key is neither there nor known to be destroyed, or does not fit
   */
  open(text: string): Plain | undefined;
}

/** What the core needs to work on personal data. */
export interface Sealing {
  readonly vault: Vault | undefined;
  readonly limits: Limits;
}

/** A validated input with what its schema marked sealed, under the key of the entity that takes the command. */
export function sealInput(sealing: Sealing, slot: Slot, value: unknown): unknown {
  return sealMarks(value, (marked) => seal(sealing, slot.ref, marked));
}

/** @throws `decide-failed` what is sealed is no plain data, or the subject is none */
export function seal({ vault, limits }: Sealing, subject: EntityRef, value: unknown): Sealed<unknown> {
  if (!isTypeName(subject.type) || !isKey(subject.key))
    throw new HoldfastError("decide-failed", "The subject of personal data is an entity type name and a key.");
  const { depthMax, recordBytesMax } = limits;
  const { value: copy } = copyPlain((value ?? null) as Plain, { depthMax, bytesMax: recordBytesMax });
  return present(vault).seal(formatRef(subject), copy);
}

/** For `ctx.open`. @throws `keys-damaged` as the vault */
export function open({ vault }: Sealing, sealed: unknown): unknown {
  if (!isSealed(sealed)) throw new HoldfastError("decide-failed", "What was to be opened is no sealed value.");
  return present(vault).open(sealed.$sealed);
}

function present(vault: Vault | undefined): Vault {
  if (vault === undefined)
    throw new HoldfastError("invalid-configuration", "There is no key store; give the node one.");
  return vault;
}

export function subjectOf(target: SendTarget): EntityRef {
  return { type: typeof target.type === "string" ? target.type : target.type.name, key: target.key };
}
