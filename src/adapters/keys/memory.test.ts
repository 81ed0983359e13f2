/** The key store in memory passes the contract suite. */
import { type KeyStoreUnderTest, testKeyStore } from "../../ports/key-store.contract.ts";
import { systemRandom } from "../system/random.ts";
import { MemoryKeys, openMemoryKeys } from "./memory.ts";

testKeyStore("memory", async () => {
  const kept = new MemoryKeys();
  let store = await openMemoryKeys({ store: kept, random: systemRandom });
  const under: KeyStoreUnderTest = {
    get store() {
      return store;
    },
    async reopen() {
      await store.close();
      return await under.crash();
    },
    async crash() {
      store = await openMemoryKeys({ store: kept, random: systemRandom });
      return store;
    },
    bytes: async () => Buffer.concat([kept.keys, kept.notes]),
    dispose: () => store.close(),
  };
  return under;
});
