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

export function openMemoryKeys(options: { readonly store?: MemoryKeys; readonly random: Random }): Promise<KeyStore> {
  const { store = new MemoryKeys(), random } = options;
  if (store.keys.length === 0) store.keys = emptyKeys(random.bytes(16));
  return KeyTable.open({
    keys: fileIn(store, "keys"),
    notes: fileIn(store, "notes"),
    random,
    release: async () => {},
  });
}

function fileIn(store: MemoryKeys, name: "keys" | "notes"): KeyFile {
  return {
    place: `The memory of ${name}`,
    bytes: Uint8Array.from(store[name]),
    async write(bytes, position) {
      const before = store[name];
      const after = new Uint8Array(Math.max(before.length, position + bytes.length));
      after.set(before);
      after.set(bytes, position);
      store[name] = after;
    },
    async close() {},
  };
}
