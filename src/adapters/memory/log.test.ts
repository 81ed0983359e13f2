/**
 * The memory log passes the contract suite, and its hooks let a test come between.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertHolds, assertRejects, frameOf, write } from "../../ports/log.contract.kit.ts";
import { testLog } from "../../ports/log.contract.ts";
import { createMemoryStore, openMemoryLog } from "./log.ts";

testLog("memory", async ({ shardCount }) => {
  const store = createMemoryStore(shardCount);
  let log = openMemoryLog({ store, frameBytesMax: 100_000 });
  return {
    log,
    frameBytesMax: log.frameBytesMax,
    async reopen() {
      await log.close();
      log = openMemoryLog({ store, frameBytesMax: 100_000 });
      return log;
    },
    dispose: () => log.close(),
  };
});

test("two logs over one store fence each other", async () => {
  const store = createMemoryStore(2);
  const [one, two] = [openMemoryLog({ store }), openMemoryLog({ store })];
  await one.claim([write(0, 1, 1)]);
  await two.claim([write(0, 2, 2)]);
  assert.deepEqual(await one.append([write(0, 1, 3)]), [{ ok: false, reason: "fenced" }]);
  await assertHolds(one, [frameOf(write(0, 1, 1)), frameOf(write(0, 2, 2))]);
});

test("a hook answers full or unknown without a write", async () => {
  const answers: ("full" | "unknown" | undefined)[] = ["full", "unknown", undefined];
  const log = openMemoryLog({ shardCount: 1, hooks: { refuse: () => answers.shift() } });
  assert.deepEqual(await log.claim([write(0, 1, 1)]), [{ ok: false, reason: "full" }]);
  assert.deepEqual(await log.claim([write(0, 1, 1)]), [{ ok: false, reason: "unknown" }]);
  assert.deepEqual(await log.claim([write(0, 1, 1)]), [{ ok: true, tail: 2 }]);
});

test("a hook loses the answer of a write that was made", async () => {
  const log = openMemoryLog({
    shardCount: 1,
    hooks: { after: (_, results) => results.map(() => ({ ok: false, reason: "unknown" })) },
  });
  assert.deepEqual(await log.claim([write(0, 1, 1)]), [{ ok: false, reason: "unknown" }]);
  await assertHolds(log, [frameOf(write(0, 1, 1))]);
});

test("a second append in flight is refused", async () => {
  const log = openMemoryLog({ shardCount: 2 });
  const first = log.append([write(0, 1, 1)]);
  await assertRejects(() => log.append([write(1, 1, 1)]), "internal");
  await first;
});

test("a log without a number of shards is refused", () => {
  assert.throws(() => openMemoryLog({}), { code: "invalid-configuration" });
});
