/**
 * The LMDB state store passes the contract suite.
 */
import { testStateStore } from "../../ports/state-store.contract.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { openLmdbStateStore } from "./open.ts";

testStateStore(
  "lmdb",
  async () => {
    const directory = temporaryDirectory();
    const open = () =>
      openLmdbStateStore({
        directory: directory.path,
        bytesMax: 256 * 1024 * 1024,
        emptied: (reason) => {
          throw new Error(`emptied: ${reason}`);
        },
        damaged: (shard, name) => {
          throw new Error(`damaged: ${shard} ${name}`);
        },
      });
    let store = await open();
    return {
      store,
      async reopen() {
        await store.close();
        store = await open();
        return store;
      },
      async dispose() {
        await store.close();
        directory.remove();
      },
    };
  },
  { generatedRuns: 25 },
);
