/**
 * The memory store passes the contract suite, and its hooks let a test come between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testSnapshotStore } from "../../ports/snapshot-store.contract.ts";
import { MemoryObjects, openMemorySnapshots } from "./snapshot-store.ts";

testSnapshotStore("memory", async () => {
  const objects = new MemoryObjects();
  const store = openMemorySnapshots({ objects });
  return {
    store,
    openAnother: async () => openMemorySnapshots({ objects }),
    dispose: () => store.close(),
  };
});

test("a hook before a call prevents it, a hook after it loses the answer only", async () => {
  const objects = new MemoryObjects();
  const fail = () => {
    throw new Error("cut");
  };
  await assert.rejects(openMemorySnapshots({ objects, hooks: { before: fail } }).put("a", new Uint8Array(1)));
  assert.equal(objects.objects.size, 0);
  await assert.rejects(openMemorySnapshots({ objects, hooks: { after: fail } }).put("a", new Uint8Array(1)));
  assert.equal(objects.objects.size, 1);
});
