/** Erasures: who had whose personal data erased, and when. Invariant: nothing in one is personal data but the name of the subject. */
import type { EntityRef } from "./ids.ts";
import type { Principal } from "./records.ts";

/** What an operator asks for. */
export interface EraseCall {
  /** Whose personal data: often an entity, but there need be none of this name. */
  readonly subject: EntityRef;
  /** Must be of kind `operator`. */
  readonly principal: Principal;
}

/** Who asked for an erasure, and when. */
export interface Asked {
  readonly principal: { readonly kind: string; readonly id: string };
  readonly atMs: number;
}

export interface Erasure extends Asked {
  /** `type/key`. */
  readonly subject: string;
  /** Of the subject's keys the last one that is destroyed. */
  readonly generation: number;
}
