/** Calls of entities that a state store holds: what stands goes on after a restart that replays nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { makeShop, Outside } from "./calls.harness.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const entity = { type: "shop", key: "s" };
const principal = { kind: "user", id: "ann" } as const;

function order(node: HoldfastNode, input: object): Promise<CallResult> {
  const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
  return new Promise((resolve) => node.execute({ entity, command: "order", input, requestId, principal }, resolve));
}

function log(node: HoldfastNode): Promise<CallResult> {
  return new Promise((resolve) => node.query({ entity, query: "log", input: undefined, principal }, resolve));
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise<void>((resolve) => systemClock.defer(resolve));
}

test("parked calls and calls under way come out of the state store as they were, with their keys", async () => {
  const [store, state, outside] = [createMemoryStore(2), new MemoryState(), new Outside()];
  const shop = makeShop(outside);
  const start = () =>
    startNode({
      entities: [shop],
      log: openMemoryLog({ store }),
      state: openMemoryStateStore({ state }),
      clock: systemClock,
      random: systemRandom,
      shardCount: 2,
      limits: { drainMs: 20 },
      onCrash: (error) => {
        throw error;
      },
    });
  {
    await using node = await start();
    assert.ok((await order(node, { amount: 1, attempts: 1 })).ok);
    outside.last.fail("down");
    assert.ok((await order(node, { amount: 2 })).ok);
    await until(async () => (await node.listCalls({ parked: true })).length === 1);
  }
  await using node = await start();
  assert.equal(node.health().recovered, 0);
  assert.deepEqual(
    outside.seen.map(({ input, attempt }) => [input.amount, attempt]),
    [
      [1, 1],
      [2, 1],
      [2, 1],
    ],
  );
  assert.equal(outside.seen[1]?.key, outside.last.key);
  const calls = await node.listCalls();
  assert.deepEqual(
    calls.map(({ phase, failed, lastError, key }) => [phase, failed, lastError, key]),
    [
      ["parked", 1, "Error: down", outside.seen[0]?.key],
      ["underway", 0, null, outside.last.key],
    ],
  );
  outside.last.succeed({ receipt: "r2" });
  await until(async () => (await node.listCalls()).length === 1);
  const lines = await log(node);
  assert.deepEqual(lines.ok && lines.value, ["ordered 1", "ordered 2", "charged 2: r2"]);
});
