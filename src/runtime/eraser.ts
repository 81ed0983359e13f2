/**
 * Erasures: the key of a subject is destroyed, then the log is told, then the operator.
 *
 *   asked -> noted and destroyed in the key store -> views shown again -> mark, durable -> answered
 *
 * Invariants: nobody is answered before the key is gone for good and the mark is durable. What a crash cuts short is completed
 * by the next start: the destruction when the key store is opened, the mark when the shards are served.
 */
import type { EntityDefinition } from "../model/entity.ts";
import type { EraseCall, Erasure } from "../model/erasure.ts";
import { isHoldfastError } from "../model/errors.ts";
import { formatRef, isKey } from "../model/ids.ts";
import type { CallResult, Principal } from "../model/records.ts";
import type { KeyStore } from "../ports/key-store.ts";

export interface EraserOptions {
  readonly keys: KeyStore | undefined;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly now: () => number;
  /** Has the owner of the subject's shard record the mark. */
  readonly mark: (call: EraseCall, done: (result: CallResult) => void) => void;
  /** The subject's key is gone. */
  readonly gone: (subject: string) => void;
  readonly fault: (where: string, error: unknown) => void;
}

export class Eraser {
  readonly #options: EraserOptions;

  constructor(options: EraserOptions) {
    this.#options = options;
  }

  /** Rejects if the key store's disk has failed. */
  async erase(call: EraseCall): Promise<CallResult> {
    const { keys, now, gone } = this.#options;
    const refused = this.#refused(call);
    if (refused !== undefined) return refused;
    const subject = formatRef(call.subject);
    const { kind, id } = call.principal;
    let erasure: Erasure | undefined;
    try {
      erasure = await keys?.erase(subject, { principal: { kind, id }, atMs: now() });
    } catch (error) {
      if (isHoldfastError(error) && error.code === "invalid-configuration") return failed(error.code, error.message);
      if (!isHoldfastError(error) || error.code !== "disk-full") throw error;
      // It may have been noted: then its key is gone from memory, and is overwritten when there is space.
      if (keys?.unmarked().some((one) => one.subject === subject) === true) gone(subject);
      return failed("disk-full", "There is no space for the erasure. Free some, then ask again; it may have begun.");
    }
    const open = erasure ?? keys?.unmarked().find((one) => one.subject === subject);
    if (open !== undefined) gone(subject);
    if (open === undefined) return { ok: true, value: { subject, erased: false }, version: 0 };
    const marked = await this.#mark(open);
    if (marked.ok) return { ok: true, value: { subject, erased: true }, version: marked.version };
    const detail = `The key of ${subject} is destroyed. That is not in the log yet: ask again, or restart the service. ${marked.detail}`;
    return { ...marked, detail };
  }

  /** Tells the log of erasures that it does not know of. */
  async complete(): Promise<void> {
    const { keys, fault } = this.#options;
    for (const erasure of keys?.unmarked() ?? []) {
      const result = await this.#mark(erasure);
      if (!result.ok) fault(`the mark of the erasure of ${erasure.subject}`, new Error(result.detail));
    }
  }

  async #mark(erasure: Erasure): Promise<CallResult> {
    const { keys, mark } = this.#options;
    const [type = "", key = ""] = erasure.subject.split("/");
    const principal = erasure.principal as Principal;
    const result = await new Promise<CallResult>((done) => mark({ subject: { type, key }, principal }, done));
    if (result.ok) await keys?.marked(erasure);
    return result;
  }

  #refused({ subject, principal }: EraseCall): CallResult | undefined {
    if (principal.kind !== "operator") return failed("forbidden", "Only an operator may do this.");
    if (!this.#options.definitions.has(subject.type))
      return failed("unknown-type", `No entity type "${subject.type}".`);
    if (!isKey(subject.key)) return failed("invalid-key", "A key is 1 to 128 of letters, digits, _ and -.");
    return undefined;
  }
}

function failed(code: Extract<CallResult, { ok: false }>["code"], detail: string): CallResult {
  return { ok: false, code, detail };
}
