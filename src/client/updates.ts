/**
 * A watch as an async iterator.
 *
 * Invariant: it holds at most one update. Who reads slower than updates come gets the newest; the ones between are
 * skipped, and the update that follows a skip carries no patch.
 */
import type { HoldfastError } from "../model/errors.ts";
import type { ViewUpdate, Watch, WatchOptions } from "./types.ts";

type Start<View> = (listener: (update: ViewUpdate<View>) => void, options: WatchOptions) => Watch<View>;

export function updatesOf<View>(
  start: Start<View>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<ViewUpdate<View>> {
  let newest: ViewUpdate<View> | undefined;
  let over = signal?.aborted ?? false;
  let error: HoldfastError | undefined;
  let wake: (() => void) | undefined;
  const changed = (): void => {
    wake?.();
    wake = undefined;
  };
  const watch = start(
    (update) => {
      newest = newest === undefined ? update : { value: update.value, version: update.version };
      changed();
    },
    {
      onEnded: (why) => {
        over = true;
        error = why;
        changed();
      },
    },
  );
  const finish = (): void => {
    over = true;
    newest = undefined;
    signal?.removeEventListener("abort", finish);
    watch.stop();
    changed();
  };
  signal?.addEventListener("abort", finish);
  if (over) finish();
  return {
    async next() {
      while (newest === undefined && !over) await new Promise<void>((resolve) => (wake = chain(wake, resolve)));
      if (newest !== undefined) {
        const value = newest;
        newest = undefined;
        return { done: false, value };
      }
      if (error === undefined) return { done: true, value: undefined };
      const thrown = error;
      error = undefined;
      throw thrown;
    },
    async return() {
      error = undefined;
      finish();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Several `next` may wait at once. */
function chain(first: (() => void) | undefined, second: () => void): () => void {
  if (first === undefined) return second;
  return () => {
    first();
    second();
  };
}
