/** What bounds the entities in memory beside their number: their bytes, and the heap that everything shares. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemHeap } from "../adapters/system/heap.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const note = defineEntity("note", {
  state: () => ({ text: "" }),
  events: {
    written: (state, event: { text: string }) => {
      state.text = event.text;
    },
  },
  commands: (command) => ({
    write: command(z.string(), (_state, text, ctx) => ctx.emit("written", { text })),
  }),
  queries: { length: (state) => state.text.length },
  views: { text: (state) => state.text },
  access: () => true,
});

const principal = { kind: "user", id: "alice" } as const;
const entityOf = (index: number) => ({ type: "note", key: `n${index}` });

function start(limits: object, heap = { usedShare: () => 0 }): Promise<HoldfastNode> {
  return startNode({
    entities: [note],
    log: openMemoryLog({ store: createMemoryStore(4) }),
    state: openMemoryStateStore({ state: new MemoryState() }),
    clock: systemClock,
    random: systemRandom,
    heap,
    shardCount: 4,
    limits,
  });
}

function write(node: HoldfastNode, index: number, input: string): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  return new Promise((resolve) =>
    node.execute({ entity: entityOf(index), command: "write", input, requestId, principal }, resolve),
  );
}

function length(node: HoldfastNode, index: number): Promise<CallResult> {
  return new Promise((resolve) =>
    node.query({ entity: entityOf(index), query: "length", input: undefined, principal }, resolve),
  );
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("large entities leave memory by their bytes long before there are many of them", async () => {
  const residentBytesMax = 50_000;
  await using node = await start({ stateBytesMax: 20_000, residentBytesMax });
  for (let index = 0; index < 60; index++) {
    let result = await write(node, index, "x".repeat(2_000));
    while (!result.ok && result.code === "overloaded") result = await write(node, index, "x".repeat(2_000));
    assert.ok(result.ok);
  }
  await until(() => node.health().hotBytes <= residentBytesMax);
  assert.ok(node.health().hot <= 25);
  for (let index = 0; index < 60; index += 11) {
    const result = await length(node, index);
    assert.ok(result.ok && result.value === 2_000);
  }
});

test("an entity that came back counts as many bytes as its image has", async () => {
  await using node = await start({ residentEntitiesMax: 1 });
  for (let index = 0; index < 3; index++) await write(node, index, "x".repeat(1_000));
  await until(() => node.health().hot <= 1);
  await length(node, 0);
  await length(node, 1);
  const { hot, hotBytes } = node.health();
  assert.ok(hotBytes >= hot * 1_000 && hotBytes < hot * 1_200, `${hot} entities, ${hotBytes} bytes`);
});

test("entities leave when the heap is nearly full, and commands are refused when it is fuller", async () => {
  let used = 0;
  await using node = await start({}, { usedShare: () => used });
  for (let index = 0; index < 40; index++) assert.ok((await write(node, index, "x")).ok);
  used = 0.9;
  await until(() => node.health().hot <= 4);
  assert.ok((await write(node, 1, "y")).ok);
  used = 0.97;
  let refused = await write(node, 2, "y");
  while (refused.ok) refused = await write(node, 2, "y");
  assert.equal(refused.code, "overloaded");
  used = 0.2;
  for (let result = await write(node, 2, "y"); !result.ok; result = await write(node, 2, "y")) {
    assert.equal(result.code, "overloaded");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok((await length(node, 39)).ok);
});

test("the gauge of V8's heap gives a share", () => {
  const share = systemHeap.usedShare();
  assert.ok(share > 0 && share < 1);
});

test("entities that cannot leave, more than there may be, do not make the node refuse commands for ever", async () => {
  await using node = await start({ residentEntitiesMax: 2 });
  const stops = Array.from({ length: 12 }, (_, index) =>
    node.watch({ entity: entityOf(index), view: "text", principal }, () => {}),
  );
  for (let index = 0; index < 12; index++) {
    let result = await write(node, index, "x");
    while (!result.ok) {
      assert.equal(result.code, "overloaded");
      await new Promise((resolve) => setTimeout(resolve, 20));
      result = await write(node, index, "x");
    }
  }
  assert.equal(node.health().hot, 12);
  for (const stop of stops) stop();
  await until(() => node.health().hot <= 2);
});
