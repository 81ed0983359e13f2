/** A node whose state store is lost: served from its snapshot at once, which goes into the store meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { PartWriter } from "../wire/snapshot-part.ts";
import { PartLookup } from "../wire/snapshot-part-lookup.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const tally = defineEntity("tally", {
  state: () => ({ sum: 0, note: "" }),
  events: {
    added: (state, event: { amount: number; note: string }) => {
      state.sum += event.amount;
      state.note = event.note;
    },
  },
  commands: (command) => ({
    add: command(z.object({ amount: z.int(), note: z.string() }), (_state, input, ctx) => {
      ctx.emit("added", input);
      return (next) => next.sum;
    }),
  }),
  queries: { sum: (state) => state.sum },
  access: () => true,
});

const principal = { kind: "user", id: "alice" } as const;

function start(store: ReturnType<typeof createMemoryStore>, state: MemoryState, objects: MemoryObjects) {
  return startNode({
    entities: [tally],
    log: openMemoryLog({ store }),
    state: openMemoryStateStore({ state }),
    snapshots: openMemorySnapshots({ objects }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 2,
    limits: { residentEntitiesMax: 100 },
  });
}

function add(node: HoldfastNode, index: number, amount: number): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const note = `note ${index} `.repeat(40);
  return new Promise((resolve) =>
    node.execute(
      { entity: { type: "tally", key: `t${index}` }, command: "add", input: { amount, note }, requestId, principal },
      resolve,
    ),
  );
}

function sum(node: HoldfastNode, index: number): Promise<CallResult> {
  return new Promise((resolve) =>
    node.query({ entity: { type: "tally", key: `t${index}` }, query: "sum", input: undefined, principal }, resolve),
  );
}

/** Asks until there is room. */
async function insist(ask: () => Promise<CallResult>): Promise<unknown> {
  for (;;) {
    const result = await ask();
    if (result.ok) return result.value;
    assert.ok(result.code === "overloaded" || result.code === "unavailable", result.code);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const count = 1_500;

test("a shard is served from its snapshot before the state store has it, and what is written meanwhile stays", async () => {
  const [store, objects] = [createMemoryStore(2), new MemoryObjects()];
  {
    await using node = await start(store, new MemoryState(), objects);
    for (let index = 0; index < count; index++) await insist(() => add(node, index, index));
  }
  const state = new MemoryState();
  {
    await using node = await start(store, state, objects);
    assert.ok(node.health().stored < count, "it is served before the import is done");
    for (let index = 0; index < count; index += 3) assert.equal(await insist(() => sum(node, index)), index);
    for (let index = 0; index < count; index += 5) await insist(() => add(node, index, 1));
    while (node.health().stored < count) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await using node = await start(store, state, new MemoryObjects());
  assert.equal(node.health().recovered, 0, "the state store is whole");
  for (let index = 0; index < count; index++)
    assert.equal(await insist(() => sum(node, index)), index + (index % 5 === 0 ? 1 : 0));
});

test("a part that is asked for single images answers what it was made of", () => {
  const image = fc.record({ touched: fc.integer({ min: 1, max: 1_000 }), busy: fc.boolean(), size: fc.nat(40_000) });
  const part = fc.dictionary(fc.stringMatching(/^[a-z0-9]{1,6}$/), image, { minKeys: 1, maxKeys: 40 });
  fc.assert(
    fc.property(part, fc.stringMatching(/^[a-z0-9]{1,6}$/), (images, other) => {
      const writer = new PartWriter();
      const names = Object.keys(images).sort();
      for (const name of names) {
        const { touched, busy, size } = images[name] as { touched: number; busy: boolean; size: number };
        writer.add({ name, touched, busy, bytes: new Uint8Array(size).fill(touched) });
      }
      const { bytes, ref } = writer.finish();
      const lookup = new PartLookup({ name: "part", ...ref }, bytes, { bytes: 200_000 });
      for (const name of names) {
        const { touched, busy, size } = images[name] as { touched: number; busy: boolean; size: number };
        assert.deepEqual(lookup.find(name), { name, touched, busy, bytes: new Uint8Array(size).fill(touched) });
      }
      if (!names.includes(other)) assert.equal(lookup.find(other), undefined);
      assert.equal(ref.busy, names.filter((name) => images[name]?.busy).length);
      assert.deepEqual(
        [...lookup.busy()].flat(),
        names.filter((name) => images[name]?.busy),
      );
    }),
    { numRuns: 60 },
  );
});
