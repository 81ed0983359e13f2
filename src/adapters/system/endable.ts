/**
 * Work on a connection that may be ended from outside: by a signal, or because the connection's owner is closed.
 *
 * Invariant: `run` settles at once when the work is ended, whatever the work is waiting for. Work that was ended may wake up
 * later: it asks `Life.check` after each step that it waited for, and so goes no further.
 */
import { HoldfastError } from "../../model/errors.ts";

export interface Life {
  /** @throws once the work was ended */
  check(): void;
}

export class Endable {
  readonly #what: string;
  #isClosed = false;
  #end: ((error: HoldfastError) => void) | undefined;

  /** @param what for messages, such as `The sink` */
  constructor(what: string) {
    this.#what = what;
  }

  /** One at a time. @throws `aborted` by the signal, `unavailable` when closed, or what the work throws */
  async run<T>(work: (life: Life) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#isClosed) throw this.#closed();
    if (signal?.aborted) throw aborted();
    const ended = Promise.withResolvers<never>();
    let isOver: HoldfastError | undefined;
    const end = (error: HoldfastError) => {
      isOver ??= error;
      ended.reject(error);
    };
    const onAbort = () => end(aborted());
    const check = () => {
      if (isOver !== undefined) throw isOver;
    };
    this.#end = end;
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([work({ check }), ended.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#end = undefined;
    }
  }

  /** Ends what runs, and lets nothing run any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#end?.(this.#closed());
  }

  #closed(): HoldfastError {
    return new HoldfastError("unavailable", `${this.#what} was closed.`);
  }
}

function aborted(): HoldfastError {
  return new HoldfastError("aborted", "The delivery was given up.");
}
