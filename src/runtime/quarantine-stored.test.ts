/** Parked entities beside a state store: what is kept of them, what is not, and what a rebuild begins with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { OperatorVerb } from "../model/marks.ts";
import type { CallResult } from "../model/records.ts";
import type { ShardLog } from "../ports/log.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

/** Amounts that this deployment cannot evolve. */
const broken = new Set<number>();
const box = defineEntity("box", {
  state: () => ({ sum: 0, half: 0 }),
  events: {
    added: (state, event: { amount: number }) => {
      state.half++;
      if (broken.has(event.amount)) throw new Error(`cannot add ${event.amount}`);
      state.half--;
      state.sum += event.amount;
    },
  },
  commands: (command) => ({
    add: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
      ctx.emit("added", { amount });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access: () => true,
});

const entity = { type: "box", key: "b" };
const user = { kind: "user", id: "u" } as const;
const operator = { kind: "operator", id: "olga" } as const;

interface Started {
  readonly node: HoldfastNode;
  /** Offsets that the log was read from. */
  readonly reads: readonly number[];
  [Symbol.asyncDispose](): Promise<void>;
}

async function start(store: MemoryStore, state: MemoryState): Promise<Started> {
  const log = openMemoryLog({ store });
  const reads: number[] = [];
  const seen: ShardLog = {
    tail: (shards) => log.tail(shards),
    claim: (claims) => log.claim(claims),
    append: (appends) => log.append(appends),
    read: (from) => {
      reads.push(...from.values());
      return log.read(from);
    },
    trim: (shard, before) => log.trim(shard, before),
    close: () => log.close(),
  };
  const node = await startNode({
    entities: [box],
    log: seen,
    state: openMemoryStateStore({ state }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 1,
    limits: { drainMs: 20 },
    onCrash: (error) => {
      throw error;
    },
  });
  return { node, reads, [Symbol.asyncDispose]: () => node.stop() };
}

function add(node: HoldfastNode, amount: number): Promise<CallResult> {
  const requestId = makeUuidV7(systemClock.now(), systemRandom.bytes(16));
  return new Promise((resolve) =>
    node.execute({ entity, command: "add", input: { amount }, requestId, principal: user }, resolve),
  );
}

function operate(node: HoldfastNode, verb: OperatorVerb): Promise<CallResult> {
  return new Promise((resolve) => node.operate({ entity, verb, principal: operator }, resolve));
}

/** The state, as soon as it may be shown. */
async function stateOf(node: HoldfastNode): Promise<unknown> {
  for (;;) {
    const result = await new Promise<CallResult>((resolve) =>
      node.query({ entity, query: "state", input: undefined, principal: user }, resolve),
    );
    if (result.ok) return result.value;
    assert.equal(result.code, "quarantined");
    await new Promise<void>((resolve) => systemClock.defer(resolve));
  }
}

test("a parked entity comes out of the state store parked, and a rebuild begins at its image", async () => {
  const [store, state] = [createMemoryStore(1), new MemoryState()];
  broken.clear();
  {
    await using started = await start(store, state);
    assert.ok((await add(started.node, 5)).ok);
  }
  {
    await using started = await start(store, state);
    broken.add(-1);
    const refused = await add(started.node, -1);
    assert.equal(refused.ok ? "" : refused.code, "decide-failed");
    assert.deepEqual(await stateOf(started.node), { sum: 5, half: 0 });
    assert.equal(started.reads.length, 1);
    assert.ok(started.reads[0] !== undefined && started.reads[0] > 2, `read from ${started.reads[0]}`);
  }
  await using started = await start(store, state);
  const { node } = started;
  assert.deepEqual([node.health().recovered, node.health().quarantined], [0, 1]);
  assert.equal(node.quarantined(operator)[0]?.why, "evolve");
  assert.deepEqual(await stateOf(node), { sum: 5, half: 0 });
  const refused = await add(node, 1);
  assert.equal(refused.ok ? "" : refused.code, "quarantined");
  assert.ok((await operate(node, "skip")).ok);
  assert.ok((await operate(node, "resume")).ok);
  assert.ok((await add(node, 1)).ok);
  assert.deepEqual(await stateOf(node), { sum: 6, half: 0 });
});

test("a shard with an entity that its code cannot replay is not stamped: code that can finds the whole log", async () => {
  const store = createMemoryStore(1);
  broken.clear();
  {
    await using started = await start(store, new MemoryState());
    for (const amount of [1, 7, 2]) assert.ok((await add(started.node, amount)).ok);
  }
  const state = new MemoryState();
  broken.add(7);
  for (let deployment = 0; deployment < 2; deployment++) {
    await using started = await start(store, state);
    assert.deepEqual(await stateOf(started.node), { sum: 1, half: 0 });
    const refused = await operate(started.node, "resume");
    assert.equal(refused.ok ? "" : refused.reason, "poisoned");
    assert.equal((await started.node.figures()).checkpoint.withheld, 1, "who looks sees that the log is held");
  }
  broken.clear();
  {
    await using started = await start(store, state);
    assert.deepEqual(await stateOf(started.node), { sum: 10, half: 0 });
    assert.ok((await operate(started.node, "resume")).ok);
  }
  await using started = await start(store, state);
  assert.deepEqual([started.node.health().recovered, started.node.health().quarantined], [0, 0]);
  assert.deepEqual(await stateOf(started.node), { sum: 10, half: 0 });
});

test("a skip of what the code cannot replay is kept with the state that came of it", async () => {
  const store = createMemoryStore(1);
  broken.clear();
  {
    await using started = await start(store, new MemoryState());
    for (const amount of [1, 7, 2]) assert.ok((await add(started.node, amount)).ok);
  }
  const state = new MemoryState();
  broken.add(7);
  {
    await using started = await start(store, state);
    assert.deepEqual(await stateOf(started.node), { sum: 1, half: 0 });
    const skipped = await operate(started.node, "skip");
    assert.deepEqual(skipped.ok && (skipped.value as { left: unknown }).left, [3]);
    assert.equal((await started.node.figures()).checkpoint.withheld, 0);
  }
  await using started = await start(store, state);
  assert.deepEqual([started.node.health().recovered, started.node.health().quarantined], [0, 1]);
  assert.ok((await operate(started.node, "resume")).ok);
  assert.deepEqual(await stateOf(started.node), { sum: 3, half: 0 });
});
