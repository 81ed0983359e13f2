/**
 * A key store in memory, for tests and simulations. Invariant: what a store holds that is opened again is what was synced, so
 * a crash loses what a crash of a process would.
 */
import type { Random } from "../../ports/clock.ts";
import type { KeyStore } from "../../ports/key-store.ts";
import { emptyKeys } from "../../wire/keys.ts";
import { type KeyFile, KeyTable } from "./table.ts";

/** What outlives the process. */
export class MemoryKeys {
  keys: Uint8Array = new Uint8Array(0);
  notes: Uint8Array = new Uint8Array(0);
}

export interface MemoryKeysOptions {
  readonly store?: MemoryKeys;
  readonly random: Random;
  /** Of the process: when it is over nothing is written any more, and no write is answered. */
  readonly life?: { readonly over: boolean };
}

export function openMemoryKeys(options: MemoryKeysOptions): Promise<KeyStore> {
  const { store = new MemoryKeys(), random, life = { over: false } } = options;
  if (store.keys.length === 0) store.keys = emptyKeys(random.bytes(16));
  return KeyTable.open({
    keys: fileIn(store, "keys", life),
    notes: fileIn(store, "notes", life),
    random,
    release: async () => {},
  });
}

function fileIn(store: MemoryKeys, name: "keys" | "notes", life: { readonly over: boolean }): KeyFile {
  return {
    place: `The memory of ${name}`,
    bytes: Uint8Array.from(store[name]),
    async write(bytes, position) {
      // it takes a moment, in which the process may die
      await Promise.resolve();
      if (life.over) return new Promise<void>(() => {});
      const before = store[name];
      const after = new Uint8Array(Math.max(before.length, position + bytes.length));
      after.set(before);
      after.set(bytes, position);
      store[name] = after;
    },
    async close() {},
  };
}
