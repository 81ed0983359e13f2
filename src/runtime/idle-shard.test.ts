/** A shard that falls silent does not hold the log back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { passUntil } from "../adapters/virtual/drive.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult } from "../model/records.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const counter = defineEntity("counter", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      return (next) => next.count;
    }),
  }),
  queries: { count: (state) => state.count },
  access: () => true,
});

const principal = { kind: "user", id: "ann" } as const;
const entity = { type: "counter", key: "c" };

class Service {
  readonly store = createMemoryStore(1);
  readonly objects = new MemoryObjects();
  readonly timeline = new Timeline();

  /** How long an append takes. */
  appendMs = 0;

  async #before(kind: string): Promise<void> {
    if (kind !== "append" || this.appendMs === 0) return;
    await new Promise<void>((resolve) => void this.timeline.after(this.appendMs, resolve));
  }

  async start(): Promise<HoldfastNode> {
    const starting = startNode({
      entities: [counter],
      log: openMemoryLog({ store: this.store, hooks: { before: (kind) => this.#before(kind) } }),
      state: openMemoryStateStore({ state: new MemoryState() }),
      snapshots: openMemorySnapshots({ objects: this.objects }),
      clock: new VirtualClock({ timeline: this.timeline }),
      random: systemRandom,
      shardCount: 1,
      limits: { checkpointMs: 1_000, dedupWindowMs: 5_000, requestIdFutureMs: 1_000 },
    });
    await this.pass(100);
    return await starting;
  }

  pass(ms: number): Promise<void> {
    return passUntil(this.timeline, this.timeline.nowMs + ms);
  }

  async count(node: HoldfastNode, withinMs = 1): Promise<void> {
    const now = new VirtualClock({ timeline: this.timeline }).now();
    const requestId = makeUuidV7(now, systemRandom.bytes(16));
    const done = new Promise<CallResult>((resolve) =>
      node.execute({ entity, command: "count", input: null, requestId, principal }, resolve),
    );
    await this.pass(withinMs);
    assert.ok((await done).ok);
  }

  /** What a node shows that begins without a state store. */
  async assertCount(count: number): Promise<void> {
    const node = await this.start();
    const told = new Promise<CallResult>((resolve) =>
      node.query({ entity, query: "count", input: undefined, principal }, resolve),
    );
    await this.pass(10);
    const result = await told;
    assert.equal(result.ok && result.value, count);
  }
}

test("the log of a silent shard is trimmed to its end when its request ids are past their window", async () => {
  const service = new Service();
  const node = await service.start();
  for (let index = 0; index < 5; index++) await service.count(node);
  await service.pass(30_000);
  const [shard] = service.store.shards;
  assert.equal(shard?.tail, 7);
  assert.equal(shard.trimmed, 7);
  const before = service.objects.objects.size;
  await service.pass(30_000);
  assert.equal(service.objects.objects.size, before, "and then nothing is done any more");
});

test("what a silent shard's log was trimmed below stands in two snapshots that share none of it", async () => {
  const service = new Service();
  const node = await service.start();
  for (let index = 0; index < 3; index++) {
    await service.count(node);
    await service.pass(3_000);
  }
  await service.pass(30_000);
  const newest = [...service.objects.objects.keys()]
    .filter((name) => name.includes("/objects/"))
    .sort()
    .at(-1);
  assert.ok(newest !== undefined);
  const { bytes } = service.objects.objects.get(newest) as { bytes: Uint8Array };
  service.objects.flip(newest, bytes.length * 4);
  await service.assertCount(3);
});

test("what is under way when a silent shard is looked at again is in its next snapshot", async () => {
  const service = new Service();
  const node = await service.start();
  await service.count(node);
  await service.pass(3_000);
  service.appendMs = 2_500;
  await service.count(node, 3_000);
  service.appendMs = 0;
  // one snapshot more, and not the second of its offset
  await service.pass(900);
  await service.assertCount(2);
});
