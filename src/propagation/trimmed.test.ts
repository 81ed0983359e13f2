/** Feeds over a log that was trimmed: through the archive as if it never was; without one, honest about what is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { FeedAsk, FeedItem, FeedStart } from "../model/feeds.ts";
import type { CallResult } from "../model/records.ts";
import type { Retention } from "../model/retention.ts";
import type { SubscriberAsk } from "../model/subscribers.ts";
import { counter } from "../runtime/counter.harness.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { openFeeds } from "./feeds.ts";
import { Downstream, no, operator } from "./subscribers.harness.ts";
import { Subscribers } from "./subscribers.ts";

const shardCount = 2;
const keys = Array.from({ length: 12 }, (_, index) => `c${index}`);
const principal = { kind: "system", id: "test" } as const;

/** A node whose days pass: each stop makes snapshots, which trim what the day before recorded. */
class Days {
  readonly #store = createMemoryStore(shardCount);
  readonly #objects = new MemoryObjects();
  readonly #retention: Retention;
  #days = 0;

  constructor(retention: Retention) {
    this.#retention = retention;
  }

  get trimmed(): boolean {
    return this.#store.shards.every(({ trimmed }) => trimmed > 1);
  }

  async day(work: (node: HoldfastNode) => Promise<void>): Promise<void> {
    const shiftMs = ++this.#days * 86_400_000;
    await using node = await startNode({
      entities: [counter],
      log: openMemoryLog({ store: this.#store }),
      state: openMemoryStateStore({ state: new MemoryState() }),
      snapshots: openMemorySnapshots({ objects: this.#objects }),
      clock: { ...systemClock, now: () => systemClock.now() + shiftMs },
      random: systemRandom,
      shardCount,
      limits: { archiveRecordsMin: 1, feedRecentBytesMax: 500 },
      retention: this.#retention,
    });
    await work(node);
  }

  /** Every counter counts once. */
  async count(node: HoldfastNode): Promise<void> {
    for (const key of keys) {
      const requestId = makeUuidV7(Date.now() + this.#days * 86_400_000, systemRandom.bytes(16));
      const call = { entity: { type: "counter", key }, command: "count", input: undefined, requestId, principal };
      const result = await new Promise<CallResult>((resolve) => node.execute(call, resolve));
      assert.ok(result.ok, JSON.stringify(result));
    }
  }
}

async function trimmedDays(retention: Retention): Promise<Days> {
  const days = new Days(retention);
  for (let day = 0; day < 6; day++) await days.day((node) => days.count(node));
  assert.ok(days.trimmed, "the log is trimmed");
  return days;
}

async function all(node: HoldfastNode, form: FeedAsk["form"], start: FeedStart, itemsMax = 5): Promise<FeedItem[]> {
  const feeds = openFeeds(node.source);
  const feed = await feeds.open({ form, start, principal });
  const items: FeedItem[] = [];
  for (;;) {
    const batch = await feed.next({ itemsMax });
    items.push(...batch.items);
    if (batch.items.length === 0 && batch.lag.records === 0) break;
  }
  feeds.close();
  return items;
}

/** The state store of a node that lost it is filled from the snapshots first. */
async function patient<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "unavailable") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

test("a change log reads through the archive, the log and what is recent, without a gap", async () => {
  const days = await trimmedDays({});
  await days.day(async (node) => {
    await days.count(node);
    const items = await all(node, "changes", "beginning");
    for (const key of keys) assert.equal(items.filter(({ entity }) => entity.key === key).length, 7);
    for (let shard = 0; shard < shardCount; shard++) {
      const offsets = items.filter((item) => item.shard === shard).map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        offsets.toSorted((one, other) => one - other),
      );
    }
  });
});

test("without an archive a cursor of what was trimmed is lost, and nothing is skipped silently", async () => {
  const days = await trimmedDays({ archive: "none" });
  await days.day(async (node) => {
    await assert.rejects(all(node, "changes", { offsets: { 0: 1, 1: 1 } }), { code: "cursor-lost" });
    const kept = await all(node, "changes", "beginning");
    assert.ok(kept.length < 6 * keys.length);
  });
});

test("without an archive absolutes from the beginning are of every entity, and go on with what comes", async () => {
  const days = await trimmedDays({ archive: "none" });
  await days.day(async (node) => {
    const feeds = openFeeds(node.source);
    let feed = await feeds.open({ form: "absolutes", start: "beginning", principal });
    const seen = new Map<string, unknown>();
    while (seen.size < keys.length + 1) {
      const { items, cursor } = await patient(() => feed.next({ itemsMax: 4 }));
      for (const item of items) if (item.kind === "absolute") seen.set(item.entity.key, item.value);
      if (seen.size !== 4) continue;
      // Who resumes in the midst of it gets the rest, and of the shard that was under way all once more.
      feed.close();
      feed = await feeds.open({ form: "absolutes", start: { cursor }, principal });
      seen.set("resumed", { count: 6 });
    }
    for (const key of keys) assert.deepEqual(seen.get(key), { count: 6 });
    while ((await feed.next({ itemsMax: 100 })).items.length > 0);
    await days.count(node);
    const { items } = await feed.next({ itemsMax: 100 });
    assert.equal(items.length, keys.length);
    for (const item of items) assert.deepEqual(item.kind === "absolute" && item.value, { count: 7 });
    feeds.close();
  });
});

/** A day with a subscriber `copy` that reads present states, after days whose records are gone. */
async function copied(
  ask: Partial<SubscriberAsk>,
  refuse: Downstream["refuse"],
  work: (parts: {
    readonly downstream: Downstream;
    readonly subscribers: Subscribers;
    readonly until: (what: () => boolean) => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const days = await trimmedDays({ archive: "none" });
  await days.day(async (node) => {
    const downstream = new Downstream();
    downstream.refuse = refuse;
    const feeds = openFeeds(node.source);
    const options = { service: node, feeds, source: node.source, random: systemRandom };
    const subscribers = new Subscribers({ ...options, sinks: { memory: downstream.sink } });
    subscribers.start();
    const until = (what: () => boolean) =>
      patient(async () => {
        if (!what()) throw new HoldfastError("unavailable", "not yet");
      });
    try {
      const whole = { form: "absolutes", sink: "memory", start: "beginning", batchItems: 1, ...ask } as const;
      await subscribers.create("copy", whole, operator);
      await work({ downstream, subscribers, until });
    } finally {
      await subscribers.stop();
      feeds.close();
    }
  });
}

const keysOf = ({ items }: Downstream) => new Set(items.map(({ entity }) => entity.key));

test("while a subscriber reads present states, what comes after them is held for it", async () => {
  const refuse = () => no("unavailable");
  await copied({}, refuse, async ({ downstream, subscribers, until }) => {
    await until(() => subscribers.show("copy").lastError !== null && subscribers.show("copy").cursor !== null);
    for (let shard = 0; shard < shardCount; shard++) assert.notEqual(subscribers.held(shard), undefined);
    downstream.refuse = () => undefined;
    await until(() => keysOf(downstream).size === keys.length);
  });
});

test("present states that are refused and skipped are set aside when they begin again", async () => {
  const refuse: Downstream["refuse"] = ({ items }) =>
    items.some(({ entity }) => entity.key === "c3" || entity.key === "c7") ? no("rejected") : undefined;
  await copied({}, refuse, async ({ downstream, subscribers, until }) => {
    await until(() => subscribers.show("copy").trouble !== null);
    assert.equal(subscribers.show("copy").trouble?.batch?.ofStates, true);
    await subscribers.order({ name: "copy", verb: "skip", principal: operator });
    await until(() => keysOf(downstream).size === keys.length - 2 && subscribers.show("copy").aside === 2);
    assert.equal(subscribers.show("copy").state, "running");
  });
});
