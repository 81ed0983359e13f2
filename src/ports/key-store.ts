/**
 * Where the keys of personal data are: one per subject, beside the log and never in it.
 *
 *   no key --current--> live --erase--> erased --current--> live (the next generation)
 *
 * Invariants:
 * 1. What `sync` resolved for is on stable storage: a record that holds values sealed under a key is appended after that.
 * 2. After `erase` has resolved, no byte of the key is in memory or in what the store keeps on its medium, and this holds for
 *    good. One that was begun when the process ended is completed by the next opening.
 * 3. Damage is found when the store is opened; it never comes up without keys that it had.
 *
 * Failures, for every verb that waits: `disk-full` (ask again later), `log-failed` (final), as those of the disk.
 */
import type { Asked, Erasure } from "../model/erasure.ts";

export interface SubjectKey {
  /** The subject's first key is 1, the one after its erasure 2. */
  readonly generation: number;
  /** 32 bytes; do not keep them. */
  readonly key: Uint8Array;
}

export interface KeyStore {
  /** The subject's key; made if there is none, and durable after the next `sync`. */
  current(subject: string): SubjectKey;
  /** Undefined: the store never had it. */
  find(subject: string, generation: number): Uint8Array | "erased" | undefined;
  /** Some key is not durable yet. */
  readonly dirty: boolean;
  /** Resolved means: every key that was made before the call is durable. */
  sync(): Promise<void>;
  /**
   * Destroys the subject's key. Resolved means: it is gone for good.
   * @returns undefined if the subject had none
   */
  erase(subject: string, asked: Asked): Promise<Erasure | undefined>;
  /** Erasures of which the log does not know yet. */
  unmarked(): readonly Erasure[];
  /** The log has the mark of this erasure. */
  marked(erasure: Pick<Erasure, "subject" | "generation">): Promise<void>;
  /** Everything, in the form of `wire/keys.ts`: for a backup, which holds the keys of all subjects then. */
  export(): Promise<Uint8Array>;
  /** Takes in what `export` gave. @throws `invalid-configuration` the store is not empty */
  import(bytes: Uint8Array): Promise<void>;
  /** Idempotent. No other call may follow or be in flight. */
  close(): Promise<void>;
}
