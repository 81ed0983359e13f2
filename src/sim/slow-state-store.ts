/** A state store that takes its time. */
import type { StateStore } from "../ports/state-store.ts";

/**
 * Writes take effect in order, some time after they were asked for, unless the process has ended by then.
 * @param pause never ends for a process that has ended
 */
export function slowStateStore(store: StateStore, pause: () => Promise<void>): StateStore {
  let last: Promise<void> = Promise.resolve();
  const inOrder = (act: () => Promise<void>): Promise<void> => {
    last = last.then(async () => {
      await pause();
      await act();
    });
    return last.then(pause);
  };
  return {
    get: (shard, name) => store.get(shard, name),
    write: (writes) => inOrder(() => store.write(writes)),
    stamp: (shard) => store.stamp(shard),
    busy: (shard) => store.busy(shard),
    images: (shard) => store.images(shard),
    count: (shard) => store.count(shard),
    bytes: () => store.bytes(),
    clear: (shard) => inOrder(() => store.clear(shard)),
    close: () => store.close(),
  };
}
