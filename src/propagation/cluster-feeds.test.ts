/** Feeds at any node of a cluster, over shards that are served elsewhere. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryStateStore } from "../adapters/memory/state-store.ts";
import type { FeedItem } from "../model/feeds.ts";
import type { EntityRef } from "../model/ids.ts";
import { TestCluster } from "../runtime/cluster/cluster.harness.ts";
import type { ClusterNode } from "../runtime/cluster/cluster-node.ts";
import { wholeService } from "../runtime/cluster/whole-service.ts";
import { writeCursor } from "../wire/cursor.ts";
import type { Feed } from "./feed.ts";
import { openFeeds } from "./feeds.ts";

const principal = { kind: "system", id: "test" } as const;

/** Everything that a feed gives, until it is stopped; a `next` that fails for now is asked again. */
class Reading {
  readonly items: FeedItem[] = [];
  readonly errors: string[] = [];
  readonly #feed: Feed;
  readonly #over: Promise<void>;
  #stopped = false;

  constructor(feed: Feed) {
    this.#feed = feed;
    this.#over = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        const { items } = await this.#feed.next({ itemsMax: 100, waitMs: 1_000 });
        this.items.push(...items);
      } catch (error) {
        if (!this.#stopped) this.errors.push(String(error));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#feed.close();
    await this.#over;
  }
}

/** Two changes of one record have one offset; here each record has one change. */
function checkOrder(items: readonly FeedItem[]): void {
  const last = new Map<number, number>();
  for (const { shard, offset } of items) {
    assert.ok(offset > (last.get(shard) ?? 0), `shard ${shard}: ${offset} after ${last.get(shard)}`);
    last.set(shard, offset);
  }
}

/** Every node owns as many shards, and each shard has a standby. */
const shared = (cluster: TestCluster, nodes: number) => () => {
  const owners = cluster.owners();
  const counts = [...cluster.nodes.keys()].map((name) => owners.filter((owner) => owner === name).length);
  return (
    counts.every((count) => count === cluster.shardCount / nodes) && cluster.standbys().every((name) => name !== "")
  );
};

test("a feed at any node gives what happens in all shards, each in order and once, while shards move and a node dies", async () => {
  await using cluster = new TestCluster(8);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.start("d");
  await cluster.until("shared", shared(cluster, 4));
  const feeds = openFeeds(wholeService(a).source);
  const reading = new Reading(await feeds.open({ form: "changes", start: "beginning", principal }));
  let [over, counted] = [false, 0];
  const load = [0, 1, 2].map(async (lane) => {
    for (let index = 0; !over; index++) {
      const result = await cluster.count(a, `k${lane}-${index % 40}`);
      assert.ok(result.ok, JSON.stringify(result));
      counted++;
    }
  });
  const pause = () => new Promise((resolve) => setTimeout(resolve, 150));
  await pause();
  const shard = cluster.owners().indexOf("b");
  await a.move([shard], "c");
  await cluster.until("moved", () => cluster.owners()[shard] === "c");
  await pause();
  cluster.kill("d");
  await cluster.until("taken over", () =>
    cluster.owners().every((owner) => owner !== undefined && owner !== "d" && !owner.includes("+")),
  );
  await pause();
  over = true;
  await Promise.all(load);
  await cluster.until(`all ${counted} arrive, and ${reading.errors.join()}`, () => reading.items.length >= counted);
  await reading.stop();
  assert.equal(reading.items.length, counted);
  checkOrder(reading.items);
});

test("a feed that waits is woken by what happens in a shard that is neither owned nor followed here", async () => {
  await using cluster = new TestCluster(12);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.start("d");
  await cluster.until("shared", shared(cluster, 4));
  const elsewhere = (key: string) => {
    const shard = cluster.shardOf(key);
    return cluster.owners()[shard] !== "a" && cluster.standbys()[shard] !== "a";
  };
  const key = Array.from({ length: 500 }, (_, index) => `w${index}`).find(elsewhere);
  assert.ok(key !== undefined);
  const feed = await openFeeds(wholeService(a).source).open({ form: "absolutes", start: "now", principal });
  const next = feed.next({ itemsMax: 10, waitMs: 20_000 });
  await cluster.count(a, key);
  const { items } = await next;
  assert.deepEqual(
    items.map((item) => item.kind === "absolute" && item.value),
    [{ count: 1 }],
  );
  feed.close();
});

test("a shard's entities are listed by its owner for a feed elsewhere, and a list is begun again when the owner is another", async () => {
  await using cluster = new TestCluster(4, () => ({ state: openMemoryStateStore(), leaseMs: 5_000 }));
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until("shared", shared(cluster, 2));
  const shard = cluster.owners().indexOf("b");
  const keys = Array.from({ length: 12_000 }, (_, index) => `e${index}`).filter(
    (key) => cluster.shardOf(key) === shard,
  );
  assert.ok(keys.length > 2_100, "more than two pages");
  for (let from = 0; from < keys.length; from += 100)
    await Promise.all(keys.slice(from, from + 100).map((key) => cluster.count(b, key)));

  const named = async (node: ClusterNode): Promise<string[]> => {
    const found: string[] = [];
    const list = wholeService(node).source.entities(shard, 1);
    assert.ok(list !== undefined);
    for await (const { type, key } of list as AsyncIterable<EntityRef>) if (type === "box") found.push(key);
    return found.toSorted();
  };
  assert.deepEqual(await named(a), keys.toSorted());

  const whole = writeCursor(new Map([0, 1, 2, 3].map((each) => [each, { offset: 0, chain: undefined }])), 4);
  const feeds = openFeeds(wholeService(a).source);
  const reading = new Reading(await feeds.open({ form: "absolutes", start: { cursor: whole }, principal }));
  await cluster.until("some came", () => reading.items.length >= 100);
  await a.move([shard], "a");
  await cluster.until("moved", () => cluster.owners()[shard] === "a");
  const seen = () => new Set(reading.items.filter((item) => item.shard === shard).map(({ entity }) => entity.key));
  await cluster.until("all came", () => seen().size === keys.length);
  await reading.stop();
});
