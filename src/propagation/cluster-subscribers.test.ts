/** Durable subscribers and projections in a cluster: who runs what, and what becomes of it when shards move and nodes die. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "../adapters/system/random.ts";
import { subscriberType } from "../core/changefeed/subscriber-entity.ts";
import { shardOf } from "../model/ids.ts";
import type { SubscriberDeclaration } from "../model/subscribers.ts";
import { idOf } from "../ports/sink.ts";
import { TestCluster } from "../runtime/cluster/cluster.harness.ts";
import { wholeService } from "../runtime/cluster/whole-service.ts";
import { type OpenFeeds, openFeeds } from "./feeds.ts";
import { Downstream } from "./subscribers.harness.ts";
import { Subscribers } from "./subscribers.ts";

const shardCount = 6;
const audit: SubscriberDeclaration = { name: "audit", form: "changes", sink: "memory", start: "beginning" };
const queue: SubscriberDeclaration = { name: "queue", form: "changes", start: "beginning" };

/** Nodes that run subscribers, with one downstream each, so that it can be seen who delivered. */
class Place {
  readonly cluster = new TestCluster(shardCount);
  readonly downstream = new Map<string, Downstream>();
  readonly subscribers = new Map<string, Subscribers>();
  readonly feeds = new Map<string, OpenFeeds>();
  readonly #killed: Subscribers[] = [];

  async start(name: string): Promise<void> {
    const node = wholeService(await this.cluster.start(name));
    const { source, served } = node;
    const downstream = new Downstream();
    const feeds = openFeeds(source);
    const subscribers = new Subscribers({
      ...{ service: node, feeds, source, random: systemRandom, declared: [audit, queue] },
      sinks: { memory: downstream.sink },
      ...(served === undefined ? {} : { served }),
    });
    this.downstream.set(name, downstream);
    this.feeds.set(name, feeds);
    this.subscribers.set(name, subscribers);
    subscribers.start();
  }

  /** Its process is gone: what it would deliver nobody gets. */
  kill(name: string): void {
    const subscribers = this.subscribers.get(name);
    const downstream = this.downstream.get(name);
    assert.ok(subscribers !== undefined && downstream !== undefined);
    downstream.hangs = true;
    this.subscribers.delete(name);
    this.#killed.push(subscribers);
    this.feeds.get(name)?.close();
    this.cluster.kill(name);
  }

  get shard(): number {
    return shardOf(subscriberType, "audit", shardCount);
  }

  /** Who has the sink open. */
  get open(): string[] {
    return [...this.downstream]
      .filter(([name, { open }]) => open > 0 && this.subscribers.has(name))
      .map(([name]) => name);
  }

  get ids(): Set<string> {
    return new Set([...this.downstream.values()].flatMap(({ ids }) => ids));
  }

  async until(what: string, holds: () => boolean): Promise<void> {
    await this.cluster.until(what, holds);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscribers of this.subscribers.values()) await subscribers.stop();
    for (const subscribers of this.#killed) void subscribers.stop();
    for (const feeds of this.feeds.values()) feeds.close();
    await this.cluster[Symbol.asyncDispose]();
  }
}

test("a subscriber runs where its shard is served, moves with it, and goes on elsewhere when that node dies", async () => {
  await using place = new Place();
  const { cluster } = place;
  for (const name of ["a", "b", "c"]) await place.start(name);
  await place.until(
    "standbys",
    () => new Set(cluster.owners()).size === 3 && cluster.standbys().every((each) => each !== ""),
  );
  const runner = () => cluster.owners()[place.shard];
  await place.until("it runs once", () => place.open.length === 1 && place.open[0] === runner());
  let [counted, over] = [0, false];
  const load = (async () => {
    for (let index = 0; !over; index++) {
      const result = await cluster.count(cluster.any, `k${index % 50}`);
      assert.ok(result.ok, JSON.stringify(result));
      counted++;
    }
  })();
  const arrived = () => place.ids.size;
  await place.until("some arrive", () => arrived() > 100);

  const from = runner() as string;
  const to = ["a", "b", "c"].find((name) => name !== from) as string;
  await cluster.any.move([place.shard], to);
  await place.until("it moved", () => place.open.length === 1 && place.open[0] === to);
  const before = arrived();
  await place.until("more arrive there", () => arrived() > before + 100);

  // The load's own door stays.
  const dies = runner() as string;
  const others = [...cluster.nodes.keys()].filter((name) => name !== dies);
  over = true;
  await load;
  place.kill(dies);
  await place.until("it runs elsewhere", () => place.open.length === 1 && others.includes(place.open[0] as string));
  for (let index = 0; index < 100; index++, counted++) {
    const result = await cluster.count(cluster.any, `k${index % 50}`);
    assert.ok(result.ok, JSON.stringify(result));
  }
  await place.until(`all ${counted} arrive`, () => arrived() === counted);

  const epochs = [...place.downstream.values()].flatMap(({ opened }) => opened.map(({ epoch }) => epoch));
  assert.deepEqual([...new Set(epochs)].length, epochs.length, "each running has an epoch of its own");
  for (const { batches } of place.downstream.values()) {
    const items = batches.flatMap((batch) => batch.items);
    assert.deepEqual(new Set(items.map(idOf)).size, items.length, "one node gives nothing twice");
  }
});

test("any node knows how far a subscriber is, and holds for it what it has not read; a pull elsewhere names the node that runs it", async () => {
  await using place = new Place();
  const { cluster } = place;
  for (const name of ["a", "b"]) await place.start(name);
  await place.until(
    "standbys",
    () => new Set(cluster.owners()).size === 2 && cluster.standbys().every((each) => each !== ""),
  );
  for (let index = 0; index < 60; index++) await cluster.count(cluster.any, `k${index}`);
  await place.until("all is delivered", () => place.ids.size === 60);
  // Where it does not run the recorded cursor is known; that it was recorded is a record too, and so are claims.
  const lag = (each: Subscribers) => each.list().find(({ name }) => name === "audit")?.lag.records ?? 60;
  await place.until("both know it", () => [...place.subscribers.values()].every((each) => lag(each) < 30));
  for (const [name, subscribers] of place.subscribers) {
    await place.until(`${name} knows that nobody pulls`, () => (subscribers.show("queue").lag.records ?? 0) >= 60);
    for (let shard = 0; shard < shardCount; shard++)
      if (cluster.owners()[shard] === name) assert.equal(subscribers.held(shard), 1, "the queue has read nothing");
  }
  const shard = shardOf(subscriberType, "queue", shardCount);
  const runner = cluster.owners()[shard] as string;
  const other = runner === "a" ? "b" : "a";
  const operator = { kind: "operator", id: "olga" } as const;
  await place.until("it runs", () => place.subscribers.get(runner)?.pulled("queue", operator) !== undefined);
  assert.throws(
    () => place.subscribers.get(other)?.pulled("queue", operator),
    (error: { code?: string; message: string }) =>
      error.code === "unavailable" && error.message.includes(`runs on node ${runner}`),
  );
});
