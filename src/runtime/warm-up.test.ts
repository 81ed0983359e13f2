/** After a stop the entities that were in use come back into memory by themselves. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { counter } from "./counter.harness.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const residentEntitiesMax = 60;

function start(store: ReturnType<typeof createMemoryStore>, state: MemoryState): Promise<HoldfastNode> {
  return startNode({
    entities: [counter],
    log: openMemoryLog({ store }),
    state: openMemoryStateStore({ state }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 4,
    limits: { residentEntitiesMax },
    onCrash: (error) => {
      throw error;
    },
  });
}

function count(node: HoldfastNode, key: string): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const entity = { type: "counter", key };
  const principal = { kind: "user", id: "u" } as const;
  return new Promise((resolve) =>
    node.execute({ entity, command: "count", input: undefined, requestId, principal }, resolve),
  );
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Two hundred entities, of which those below 30 were used last. */
async function used(store: ReturnType<typeof createMemoryStore>, state: MemoryState): Promise<void> {
  await using node = await start(store, state);
  for (let index = 199; index >= 0; index--) {
    assert.ok((await count(node, `c${index}`)).ok);
    if (index % 20 === 0) await until(() => node.health().hot <= residentEntitiesMax);
  }
}

test("entities that were in use before a stop are in memory again without being asked for", async () => {
  const [store, state] = [createMemoryStore(4), new MemoryState()];
  await used(store, state);
  await using node = await start(store, state);
  assert.equal(node.health().hot, 0, "the node serves before that");
  await until(() => node.health().hot >= 40);
  assert.ok(node.health().hot <= residentEntitiesMax);
  const { activations, recovered } = node.health();
  assert.deepEqual([activations, recovered], [0, 0], "nobody asked for them, nothing was replayed");
  for (let index = 0; index < 30; index++) {
    const result = await count(node, `c${index}`);
    assert.deepEqual(result.ok && result.value, 2);
  }
  // who is forgotten is nearly, not exactly, who was used least recently
  assert.ok(node.health().activations <= 5);
});

test("a list of recent entities that is damaged or old costs nothing but the warmth", async () => {
  const [store, state] = [createMemoryStore(4), new MemoryState()];
  await used(store, state);
  assert.ok(state.flip(0, "-/recent") && state.flip(3, "-/recent"));
  state.shards.get(1)?.images.delete("counter/c7");
  {
    await using node = await start(store, state);
    await until(() => node.health().hot > 10);
    const result = await count(node, "c0");
    assert.deepEqual(result.ok && result.value, 2);
  }
  await using node = await start(store, state);
  for (let index = 1; index < 30; index++) if (index !== 7) assert.ok((await count(node, `c${index}`)).ok);
});
