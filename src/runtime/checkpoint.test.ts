/** What a node keeps outside memory: entities that were forgotten, restarts from the state store, damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { CallResult } from "../model/records.ts";
import { sendOutcome } from "../model/send-outcome.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0, woken: 0 }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    woken: (state) => {
      state.woken++;
    },
  },
  commands: (command) => ({
    credit: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
      ctx.emit("credited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    give: command(z.object({ to: z.string(), amount: z.int() }), (_state, { to, amount }, ctx) => {
      ctx.emit("credited", { amount: -amount });
      ctx.send({ type: "wallet", key: to }, "credit", { amount }, { reply: "given" });
    }),
    given: command(sendOutcome<{ balance: number }, undefined>(), () => {}),
    wakeIn: command(z.object({ ms: z.int() }), (_state, { ms }, ctx) => {
      ctx.schedule("wake", { afterMs: ms }, "wake");
    }),
    wake: command((_state, _input, ctx) => {
      ctx.emit("woken", {});
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access: () => true,
});

const principal = { kind: "user", id: "alice" } as const;
const requestId = () => makeUuidV7(Date.now(), systemRandom.bytes(16));

function execute(node: HoldfastNode, key: string, command: string, input: unknown, id = requestId()) {
  return new Promise<CallResult>((resolve) =>
    node.execute({ entity: { type: "wallet", key }, command, input, requestId: id, principal }, resolve),
  );
}

/** Asks until there is room. */
async function persist(node: HoldfastNode, key: string, amount: number): Promise<void> {
  const id = requestId();
  for (;;) {
    const result = await execute(node, key, "credit", { amount }, id);
    if (result.ok) return;
    assert.equal(result.code, "overloaded");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function query(node: HoldfastNode, key: string): Promise<CallResult> {
  return new Promise((resolve) =>
    node.query({ entity: { type: "wallet", key }, query: "state", input: undefined, principal }, resolve),
  );
}

const stateOf = async (node: HoldfastNode, key: string) => {
  let result = await query(node, key);
  while (!result.ok && result.code === "overloaded") {
    await new Promise((resolve) => setTimeout(resolve, 20));
    result = await query(node, key);
  }
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
};

function start(
  store: ReturnType<typeof createMemoryStore>,
  memory: MemoryState,
  limits = {},
  objects: MemoryObjects = new MemoryObjects(),
) {
  return startNode({
    entities: [wallet],
    log: openMemoryLog({ store }),
    state: openMemoryStateStore({ state: memory }),
    snapshots: openMemorySnapshots({ objects }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 4,
    limits,
    onCrash: (error) => {
      throw error;
    },
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("entities over the limit leave memory and come back as they were", async () => {
  await using node = await start(createMemoryStore(4), new MemoryState(), { residentEntitiesMax: 50 });
  for (let index = 0; index < 500; index++) await persist(node, `w${index}`, index);
  await until(() => node.health().hot <= 50);
  assert.equal(node.health().stored, 500);
  for (let index = 0; index < 500; index += 7)
    assert.deepEqual(await stateOf(node, `w${index}`), { balance: index, woken: 0 });
  await persist(node, "w3", 1);
  assert.deepEqual(await stateOf(node, "w3"), { balance: 4, woken: 0 });
});

test("entities that may not leave memory, however many, do not keep others from being served", async () => {
  await using node = await start(createMemoryStore(4), new MemoryState(), { residentEntitiesMax: 5 });
  for (let index = 0; index < 50; index++) await persist(node, `w${index}`, 1);
  for (let index = 0; index < 50; index++) {
    while (!(await execute(node, `w${index}`, "wakeIn", { ms: 600_000 })).ok)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(node.health().hot >= 50);
  await persist(node, "another", 1);
});

test("a node that has stopped tells its health", async () => {
  const node = await start(createMemoryStore(4), new MemoryState());
  assert.ok((await execute(node, "w1", "credit", { amount: 1 })).ok);
  await node.stop();
  assert.equal(node.health().phase, "stopped");
});

test("after a stop a node replays nothing; after a kill only what came since the last checkpoint", async () => {
  const [store, memory] = [createMemoryStore(4), new MemoryState()];
  const id = requestId();
  {
    await using node = await start(store, memory);
    for (let index = 0; index < 100; index++) await execute(node, `w${index}`, "credit", { amount: 10 });
    assert.ok((await execute(node, "w1", "give", { to: "w2", amount: 4 }, id)).ok);
  }
  {
    await using node = await start(store, memory);
    assert.equal(node.health().recovered, 0);
    assert.equal(node.health().hot, 0);
    assert.deepEqual(await stateOf(node, "w1"), { balance: 6, woken: 0 });
    assert.deepEqual(await stateOf(node, "w2"), { balance: 14, woken: 0 });
    const again = await execute(node, "w1", "give", { to: "w2", amount: 4 }, id);
    assert.ok(again.ok, "the same request id is answered, not carried out");
    assert.deepEqual(await stateOf(node, "w1"), { balance: 6, woken: 0 });
  }
});

/** What a walk over the store finds: every image but those of request ids. */
function walked(memory: MemoryState): number {
  const names = [...memory.shards.values()].flatMap(({ images }) => [...images.keys()]);
  return names.filter((name) => name.startsWith("wallet/")).length;
}

test("health tells how many entities the store has without looking through it, also after a kill", async (t) => {
  const store = createMemoryStore(4);
  let memory = new MemoryState();
  const killed: HoldfastNode[] = [];
  const counts = t.mock.method(openMemoryStateStore().constructor.prototype, "count");
  for (let life = 0; life < 4; life++) {
    const node = await start(store, memory, { residentEntitiesMax: 20 });
    assert.equal(node.health().stored, walked(memory));
    for (let index = 0; index < 90; index++) await persist(node, `w${(index * 7 + life * 40) % 200}`, 1);
    await until(() => node.health().hot <= 20);
    assert.equal(node.health().stored, walked(memory));
    // What a kill leaves at this moment; the node that is not stopped is fenced by the next one.
    const left = structuredClone(memory.shards);
    if (life % 2 === 0) await node.stop();
    else {
      killed.push(node);
      memory = new MemoryState();
      for (const [shard, kept] of left) memory.shards.set(shard, kept);
    }
    assert.ok(walked(memory) >= 90);
  }
  for (const node of killed) await node.stop();
  assert.equal(counts.mock.callCount(), 0);
});

test("timers and sends of entities that are not in memory go on after a restart", async () => {
  const [store, memory] = [createMemoryStore(4), new MemoryState()];
  {
    await using node = await start(store, memory);
    await execute(node, "sleeper", "wakeIn", { ms: 2_000 });
    await execute(node, "other", "credit", { amount: 1 });
  }
  await using node = await start(store, memory);
  assert.equal(node.health().hot, 1, "the sleeper is in memory, the other is not");
  for (;;) {
    const state = await stateOf(node, "sleeper");
    if ((state as { woken: number }).woken === 1) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test("a store of another log is not used", async () => {
  const memory = new MemoryState();
  {
    await using node = await start(createMemoryStore(4), memory);
    for (let index = 0; index < 20; index++) await execute(node, `w${index}`, "credit", { amount: 10 });
  }
  const store = createMemoryStore(4);
  {
    await using node = await start(store, new MemoryState());
    for (let index = 0; index < 40; index++) await execute(node, `w${index}`, "credit", { amount: 7 });
  }
  await using node = await start(store, memory);
  for (let index = 0; index < 20; index++) assert.deepEqual(await stateOf(node, `w${index}`), { balance: 7, woken: 0 });
});

test("a log that ends before the state store does is refused: it has lost records", async () => {
  const [store, memory] = [createMemoryStore(4), new MemoryState()];
  {
    await using node = await start(store, memory);
    for (let index = 0; index < 50; index++) await execute(node, `w${index}`, "credit", { amount: 1 });
  }
  const [shard] = store.shards;
  const last = shard?.frames.pop();
  assert.ok(shard && last);
  shard.tail = last.at;
  await assert.rejects(
    start(store, memory),
    (error) => isHoldfastError(error) && error.code === "log-damaged" && /ends at/.test(error.message),
  );
  await using node = await start(store, new MemoryState());
  assert.ok((await query(node, "w1")).ok, "without the state store nothing tells");
});

test("an image that cannot be read costs a recovery and nothing else", async () => {
  const [store, memory] = [createMemoryStore(4), new MemoryState()];
  {
    await using node = await start(store, memory);
    for (let index = 0; index < 20; index++) await execute(node, `w${index}`, "credit", { amount: 10 });
  }
  assert.ok([0, 1, 2, 3].some((shard) => memory.flip(shard, "wallet/w7")));
  await using node = await start(store, memory);
  const first = await query(node, "w7");
  assert.ok(!first.ok && (first.code === "unavailable" || first.code === "outcome-unknown"), JSON.stringify(first));
  for (;;) {
    const again = await query(node, "w7");
    if (again.ok) break;
    assert.equal(again.code, "unavailable");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (let index = 0; index < 20; index++)
    assert.deepEqual(await stateOf(node, `w${index}`), { balance: 10, woken: 0 });
});

test("a node whose state store is lost begins with a snapshot, and the log before it may be trimmed", async () => {
  const [store, objects] = [createMemoryStore(4), new MemoryObjects()];
  const faults: unknown[] = [];
  let ids: string[] = [];
  for (let round = 0; round < 4; round++) {
    await using node = await start(store, new MemoryState(), { dedupWindowMs: 61_000 }, objects);
    ids = [];
    for (let index = 0; index < 50; index++) {
      ids.push(requestId());
      assert.ok((await execute(node, `w${index}`, "credit", { amount: 1 }, ids[index])).ok);
    }
    assert.equal(node.health().recovered < 60, true, "only what came after the snapshot is replayed");
  }
  await using node = await start(store, new MemoryState(), {}, objects);
  for (let index = 0; index < 50; index++) {
    assert.deepEqual(await stateOf(node, `w${index}`), { balance: 4, woken: 0 });
    assert.ok((await execute(node, `w${index}`, "credit", { amount: 1 }, ids[index])).ok);
    assert.deepEqual(await stateOf(node, `w${index}`), { balance: 4, woken: 0 }, "request ids are in the snapshot");
  }
  assert.deepEqual(faults, []);
});

test("a log that has lost records which a snapshot has is refused", async () => {
  const objects = new MemoryObjects();
  {
    await using node = await start(createMemoryStore(4), new MemoryState(), {}, objects);
    for (let index = 0; index < 50; index++) await execute(node, `w${index}`, "credit", { amount: 1 });
  }
  await assert.rejects(
    start(createMemoryStore(4), new MemoryState(), {}, objects),
    (error) => isHoldfastError(error) && error.code === "log-damaged",
  );
});
