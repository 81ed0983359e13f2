/**
 * The memory state store passes the contract suite, and can be damaged on purpose.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { image } from "../../ports/state-store.contract.kit.ts";
import { testStateStore } from "../../ports/state-store.contract.ts";
import { MemoryState, openMemoryStateStore } from "./state-store.ts";

testStateStore("memory", async () => {
  const state = new MemoryState();
  let store = openMemoryStateStore({ state });
  return {
    store,
    async reopen() {
      await store.close();
      store = openMemoryStateStore({ state });
      return store;
    },
    dispose: () => store.close(),
  };
});

test("a flipped image is refused and told, until it is written again; a lost store is empty", async () => {
  const state = new MemoryState();
  const told: unknown[] = [];
  const store = openMemoryStateStore({ state, damaged: (shard, name) => told.push([shard, name]) });
  await store.write([{ shard: 1, images: [image("a/1", 1), image("a/2", 2)] }]);
  assert.equal(state.flip(1, "a/1"), true);
  assert.equal(state.flip(1, "a/3"), false);
  const refused = (error: unknown) => isHoldfastError(error) && error.code === "state-damaged";
  assert.throws(() => store.get(1, "a/1"), refused);
  assert.throws(() => [...store.images(1)], refused);
  assert.deepEqual(told, [
    [1, "a/1"],
    [1, "a/1"],
  ]);
  await store.write([{ shard: 1, images: [image("a/1", 3)] }]);
  assert.ok(store.get(1, "a/1") !== undefined);
  state.lose();
  assert.equal(store.get(1, "a/1"), undefined);
});
