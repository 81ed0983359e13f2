/** Feeds over a real node with the segment log on a real disk: every form, every start, every seam. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { z } from "zod";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { FeedAsk, FeedItem } from "../model/feeds.ts";
import { shardOf } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { applyPatch } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { writeCursor } from "../wire/cursor.ts";
import type { Feed } from "./feed.ts";
import { type OpenFeeds, openFeeds } from "./feeds.ts";

const shardCount = 4;
const system: Principal = { kind: "system", id: "test" };

const purse = defineEntity("purse", {
  state: () => ({ balance: 0, note: "" }),
  events: {
    paid: (state, event: { amount: number }) => void (state.balance += event.amount),
    noted: (state, event: { note: string }) => void (state.note = event.note),
  },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
    }),
    both: command(z.object({ amount: z.number(), note: z.string() }), (_state, { amount, note }, context) => {
      context.emit("paid", { amount });
      context.emit("noted", { note });
    }),
  }),
  views: { balance: (state) => ({ balance: state.balance }) },
  access: () => true,
  feed: (principal) => principal.kind === "service",
});

const secret = defineEntity("secret", {
  state: () => ({ value: 0 }),
  events: { kept: (state, event: { value: number }) => void (state.value = event.value) },
  commands: (command) => ({
    keep: command(z.object({ value: z.number() }), (_state, { value }, context) => {
      context.emit("kept", { value });
    }),
  }),
  access: () => true,
});

const makeId = () => makeUuidV7(Date.now(), systemRandom.bytes(16));

class Place {
  readonly directory: string;
  node!: HoldfastNode;
  feeds!: OpenFeeds;
  readonly #limits: Partial<Limits>;

  constructor(limits: Partial<Limits>) {
    this.directory = mkdtempSync(join(tmpdir(), "holdfast-feeds-"));
    this.#limits = limits;
  }

  async start(): Promise<void> {
    this.node = await startNode({
      entities: [purse, secret],
      log: await openSegmentLog({ directory: this.directory, shardCount }),
      clock: systemClock,
      random: systemRandom,
      shardCount,
      limits: this.#limits,
    });
    this.feeds = openFeeds(this.node.source, { service: "shop" });
  }

  async stop(): Promise<void> {
    this.feeds.close();
    await this.node.stop();
  }

  send(type: string, key: string, command: string, input: unknown): Promise<CallResult> {
    const call = { entity: { type, key }, command, input, requestId: makeId(), principal: system };
    return new Promise((done) => this.node.execute(call, done));
  }

  async pay(key: string, amount: number): Promise<void> {
    const result = await this.send("purse", key, "pay", { amount });
    assert.equal(result.ok, true, JSON.stringify(result));
  }

  open(ask: Partial<FeedAsk>): Promise<Feed> {
    return this.feeds.open({ form: "changes", start: "beginning", principal: system, ...ask });
  }
}

async function openPlace(context: TestContext, limits: Partial<Limits> = {}): Promise<Place> {
  const place = new Place(limits);
  await place.start();
  context.after(async () => {
    await place.stop();
    rmSync(place.directory, { recursive: true });
  });
  return place;
}

/** Everything there is, in batches. */
async function drain(feed: Feed, itemsMax = 100): Promise<FeedItem[]> {
  const items: FeedItem[] = [];
  for (;;) {
    const batch = await feed.next({ itemsMax });
    items.push(...batch.items);
    if (batch.items.length === 0 && batch.lag.records === 0) return items;
  }
}

const amounts = (items: readonly FeedItem[], key: string): unknown[] =>
  items
    .filter((item) => item.entity.key === key)
    .map((item) => (item.kind === "change" ? (item.payload as { amount: number }).amount : item));

test("a change log has every event once, in the order of its shard, whatever the size of the batches", async (context) => {
  const place = await openPlace(context);
  await Promise.all(Array.from({ length: 500 }, (_, index) => place.pay(`p${index % 7}`, index)));
  for (const itemsMax of [1, 7, 500]) {
    const items = await drain(await place.open({}), itemsMax);
    assert.equal(items.length, 500);
    for (let key = 0; key < 7; key++) {
      const expected = Array.from({ length: 500 }, (_, index) => index).filter((index) => index % 7 === key);
      assert.deepEqual(amounts(items, `p${key}`), expected);
    }
  }
});

test("a feed goes on from its cursor, also after a restart, in the middle of a frame", async (context) => {
  const place = await openPlace(context);
  await Promise.all(Array.from({ length: 100 }, (_, index) => place.pay("p", index)));
  const seen: FeedItem[] = [];
  let cursor: string | undefined;
  for (let round = 0; round < 10; round++) {
    const feed = await place.open({ start: cursor === undefined ? "beginning" : { cursor } });
    const batch = await feed.next({ itemsMax: 13 });
    seen.push(...batch.items);
    ({ cursor } = batch);
    feed.close();
    if (round % 3 === 0) {
      await place.stop();
      await place.start();
    }
  }
  assert.deepEqual(
    amounts(seen, "p"),
    Array.from({ length: 100 }, (_, index) => index),
  );
});

test("a live feed gets what comes, without a gap or a repetition where catching up ends", async (context) => {
  const place = await openPlace(context, { feedRecentBytesMax: 2_000 });
  const total = 2_000;
  const paying = (async () => {
    for (let index = 0; index < total; index += 20)
      await Promise.all(Array.from({ length: 20 }, (_, more) => place.pay(`p${more % 5}`, index + more)));
  })();
  const feed = await place.open({});
  const items: FeedItem[] = [];
  while (items.length < total) items.push(...(await feed.next({ itemsMax: 50, waitMs: 5_000 })).items);
  await paying;
  for (let key = 0; key < 5; key++) {
    const seen = amounts(items, `p${key}`) as number[];
    assert.deepEqual(
      seen,
      [...seen].sort((one, other) => one - other),
    );
    assert.equal(seen.length, total / 5);
  }
  assert.equal((await feed.next({ itemsMax: 1 })).items.length, 0);
});

test("a feed that waits is woken by what becomes durable, and ends empty when it is closed", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ start: "now" });
  const waiting = feed.next({ itemsMax: 10, waitMs: 60_000 });
  await place.pay("p", 7);
  assert.deepEqual(amounts((await waiting).items, "p"), [7]);
  const again = feed.next({ itemsMax: 10, waitMs: 60_000 });
  feed.close();
  assert.deepEqual((await again).items, []);
  await assert.rejects(feed.next({ itemsMax: 1 }), { code: "unavailable" });
});

test("while a batch is being made the feed's cursor stands behind what was handed out before", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ start: "now" });
  const { cursor } = feed;
  const waiting = feed.next({ itemsMax: 2, waitMs: 60_000, lingerMs: 60_000 });
  await place.pay("p", 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(feed.cursor, cursor);
  await place.pay("p", 2);
  const batch = await waiting;
  assert.deepEqual(amounts(batch.items, "p"), [1, 2]);
  assert.equal(feed.cursor, batch.cursor);
});

test("a shard that is written to all the time keeps no other waiting", async (context) => {
  const place = await openPlace(context);
  const keyIn = (shard: number) => {
    for (let key = 0; ; key++) if (shardOf("purse", `p${key}`, shardCount) === shard) return `p${key}`;
  };
  const feed = await place.open({ start: "now" });
  const [busy, other] = [keyIn(0), keyIn(1)];
  for (const key of [busy, other, busy]) await place.pay(key, 1);
  const seen: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    seen.push(...(await feed.next({ itemsMax: 1 })).items.map(({ entity }) => entity.key));
    await place.pay(busy, 1);
  }
  assert.ok(seen.includes(other), seen.join());
});

test("a batch that lingers gathers what comes until it is full", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ start: "now" });
  const waiting = feed.next({ itemsMax: 3, waitMs: 60_000, lingerMs: 60_000 });
  for (let index = 0; index < 3; index++) await place.pay("p", index);
  assert.deepEqual(amounts((await waiting).items, "p"), [0, 1, 2]);
});

test("types, events, keys and prefixes are sieved", async (context) => {
  const place = await openPlace(context);
  await place.send("purse", "ann", "both", { amount: 1, note: "hello" });
  await place.send("purse", "bob", "both", { amount: 2, note: "there" });
  await place.send("secret", "ann", "keep", { value: 3 });
  const names = async (filter: FeedAsk["filter"]) =>
    (await drain(await place.open(filter === undefined ? {} : { filter })))
      .map((item) => `${item.entity.key}.${item.kind === "change" ? item.event : item.kind}`)
      .sort();
  assert.deepEqual(await names(undefined), ["ann.kept", "ann.noted", "ann.paid", "bob.noted", "bob.paid"]);
  assert.deepEqual(await names({ types: ["secret"] }), ["ann.kept"]);
  assert.deepEqual(await names({ events: ["noted"] }), ["ann.noted", "bob.noted"]);
  assert.deepEqual(await names({ types: ["purse"], key: "bob" }), ["bob.noted", "bob.paid"]);
  assert.deepEqual(await names({ keyPrefix: "an", types: ["purse"] }), ["ann.noted", "ann.paid"]);
});

test("absolutes are conflated: the newest state of each entity, and never one older than its last change", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ form: "absolutes" });
  for (let index = 1; index <= 50; index++) await place.pay(`p${index % 2}`, 1);
  const items = await drain(feed);
  assert.equal(items.length, 2);
  for (const item of items) assert.deepEqual(item.kind === "absolute" && item.value, { balance: 25, note: "" });
  await place.pay("p1", 100);
  const [next] = (await feed.next({ itemsMax: 10, waitMs: 5_000 })).items;
  assert.deepEqual(next?.kind === "absolute" && next.value, { balance: 125, note: "" });
});

test("deltas lead from each value that was given to the next one; a feed begins with absolutes", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ form: "deltas", filter: { types: ["purse"] } });
  const states = new Map<string, { version: number; value: Plain }>();
  for (let round = 1; round <= 30; round++) {
    await place.send("purse", `p${round % 3}`, "both", { amount: round, note: "the same long note in every round" });
    for (const item of await drain(feed)) {
      const known = states.get(item.entity.key);
      if (item.kind === "absolute") states.set(item.entity.key, { version: item.offset, value: item.value });
      else if (item.kind === "delta") {
        assert.equal(item.from, known?.version, "a delta leads from the version that was given before");
        states.set(item.entity.key, { version: item.offset, value: applyPatch(known?.value as Plain, item.patch) });
        assert.ok(round > 3);
      }
    }
  }
  const sum = [...states.values()].reduce((total, { value }) => total + (value as { balance: number }).balance, 0);
  assert.equal(sum, 465);
});

test("after an item that was not taken, and is forgotten, the next one of its entity is an absolute", async (context) => {
  const place = await openPlace(context);
  const feed = await place.open({ form: "deltas", filter: { types: ["purse"] } });
  const kinds: string[] = [];
  for (let round = 1; round <= 4; round++) {
    for (const key of ["p1", "p2"])
      await place.send("purse", key, "both", { amount: 1, note: "the same long note in every round" });
    const items = await drain(feed);
    for (const { entity } of items) if (round === 2 && entity.key === "p1") feed.forget(entity);
    kinds.push(
      items
        .map(({ entity, kind }) => `${entity.key} ${kind}`)
        .sort()
        .join(", "),
    );
  }
  const deltas = "p1 delta, p2 delta";
  assert.deepEqual(kinds, ["p1 absolute, p2 absolute", deltas, "p1 absolute, p2 delta", deltas]);
});

test("a view is what a feed shows of it", async (context) => {
  const place = await openPlace(context);
  await place.pay("p", 5);
  const [item] = await drain(await place.open({ form: "absolutes", view: "balance", filter: { types: ["purse"] } }));
  assert.deepEqual(item?.kind === "absolute" && item.value, { balance: 5 });
});

test("a feed starts at a time, at an offset, and now", async (context) => {
  const place = await openPlace(context);
  await place.pay("p", 1);
  const [first] = await drain(await place.open({}));
  // A node's time is steady, and may be a moment behind the wall clock's.
  const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
  await pause();
  const between = Date.now();
  await pause();
  await place.pay("p", 2);
  assert.deepEqual(amounts(await drain(await place.open({ start: { timeMs: between } })), "p"), [2]);
  const early = await place.open({ start: { timeMs: between } });
  assert.deepEqual(amounts(await drain(await place.open({ start: { cursor: early.cursor } })), "p"), [2]);
  assert.deepEqual(amounts(await drain(await place.open({ start: "now" })), "p"), []);
  assert.ok(first !== undefined);
  const { shard, offset } = first;
  assert.deepEqual(amounts(await drain(await place.open({ start: { offsets: { [shard]: offset + 1 } } })), "p"), [2]);
});

test("only who may follow does: deny by default, operators and the system excepted", async (context) => {
  const place = await openPlace(context);
  const user: Principal = { kind: "user", id: "u" };
  const service: Principal = { kind: "service", id: "s" };
  const purses = { types: ["purse"] };
  await assert.rejects(place.open({ principal: user, filter: purses }), { code: "forbidden" });
  await assert.rejects(place.open({ principal: service }), { code: "forbidden" });
  await place.open({ principal: service, filter: purses });
  await place.open({ principal: { kind: "operator", id: "o" } });
});

test("what is no ask is refused, with a word on what to do", async (context) => {
  const place = await openPlace(context);
  await assert.rejects(place.open({ filter: { types: ["nobody"] } }), { code: "unknown-type" });
  await assert.rejects(place.open({ form: "absolutes", view: "x", filter: { types: ["purse"] } }), {
    code: "unknown-view",
  });
  await assert.rejects(place.open({ form: "absolutes", view: "balance" }), { code: "invalid-input" });
  await assert.rejects(place.open({ filter: { key: "p" } }), { code: "invalid-input" });
  await assert.rejects(place.open({ filter: { shards: [shardCount] } }), { code: "invalid-input" });
  await assert.rejects(place.open({ start: { cursor: "no cursor!" } }), { code: "invalid-cursor" });
  const feed = await place.open({});
  await assert.rejects(feed.next({ itemsMax: 0 }), { code: "invalid-input" });
  await assert.rejects(feed.next({ itemsMax: 1e9 }), { code: "invalid-input" });
});

test("a cursor of records that the log does not have is lost, not passed over", async (context) => {
  const place = await openPlace(context);
  await place.pay("p", 1);
  const feed = await place.open({});
  const { cursor } = await feed.next({ itemsMax: 10 });
  const ahead = Array.from({ length: shardCount }, (_, shard) => [shard, { offset: 1_000, chain: 1 }] as const);
  await assert.rejects(place.open({ start: { cursor: writeCursor(new Map(ahead), shardCount) } }), {
    code: "cursor-lost",
  });
  const shards = [feed, await place.open({ start: { cursor } })];
  assert.equal(shards.length, 2);
  const other = Array.from({ length: shardCount }, (_, shard) => [shard, { offset: 2, chain: 12_345 }] as const);
  await place.pay("p", 2);
  const wrong = await place.open({ start: { cursor: writeCursor(new Map(other), shardCount) } });
  await assert.rejects(drain(wrong), { code: "cursor-lost" });
});

test("a feed that nobody asks for a while goes on where it was", async (context) => {
  const place = await openPlace(context, { feedIdleMs: 1, feedRecentBytesMax: 1 });
  await Promise.all(Array.from({ length: 100 }, (_, index) => place.pay("p", index)));
  const feed = await place.open({});
  const items: FeedItem[] = [];
  while (items.length < 100) {
    items.push(...(await feed.next({ itemsMax: 9 })).items);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.deepEqual(
    amounts(items, "p"),
    Array.from({ length: 100 }, (_, index) => index),
  );
});
