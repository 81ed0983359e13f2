/** What happens downstream of a cluster over PostgreSQL: a feed, a subscriber and a projection, while a shard moves and a node is gone. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type PostgresServer,
  postgresSkipReason,
  startPostgres as startServer,
} from "../adapters/postgres/server.harness.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { temporaryDirectory } from "../adapters/system/temporary.ts";
import { subscriberType } from "../core/changefeed/subscriber-entity.ts";
import type { FeedItem } from "../model/feeds.ts";
import { shardOf } from "../model/ids.ts";
import { defineProjection } from "../model/projection.ts";
import type { CallResult } from "../model/records.ts";
import { idOf } from "../ports/sink.ts";
import type { Feed } from "../propagation/feed.ts";
import { Downstream } from "../propagation/subscribers.harness.ts";
import { counter } from "../runtime/counter.harness.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type ClusterService, startCluster } from "./cluster.ts";
import { migratePostgres } from "./postgres.ts";

const secret = "only-for-this-test-0123456789abcdef";
const shardCount = 6;
const counts = defineProjection("counts", {
  from: [counter],
  document: () => ({ count: 0 }),
  on: { counter: { counted: (document) => void document.count++ } },
  access: () => true,
});

function count({ node }: ClusterService, key: string): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const principal = { kind: "service", id: "test" } as const;
  return new Promise((resolve) =>
    node.execute({ entity: { type: "counter", key }, command: "count", input: null, requestId, principal }, resolve),
  );
}

async function until(what: string, holds: () => boolean | undefined): Promise<void> {
  for (const untilMs = Date.now() + 30_000; holds() !== true; ) {
    if (Date.now() > untilMs) throw new Error(`not so in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Nodes in this process, each with a sink of its own, so that it can be seen who delivered. */
class Place {
  readonly services = new Map<string, ClusterService>();
  readonly downstream = new Map<string, Downstream>();
  readonly shards = Array.from({ length: shardCount }, (_, shard) => shard);
  readonly #directory = temporaryDirectory();
  readonly #killed: ClusterService[] = [];

  async start(name: string, connection: string): Promise<void> {
    const sink = new Downstream();
    this.downstream.set(name, sink);
    const service = await startCluster({
      ...{ entities: [counter], projections: [counts], name, port: 0, progress: false, heapGrowthPercent: false },
      directory: `${this.#directory.path}/${name}`,
      shared: `${this.#directory.path}/shared`,
      postgres: { connection },
      peer: { secrets: [secret] },
      sinks: { memory: sink.sink },
      subscribers: [{ name: "audit", form: "changes", sink: "memory", start: "beginning" }],
      authenticate: async () => ({ principal: { kind: "service", id: "test" } }),
      limits: { drainMs: 2_000 },
      onLost: () => {},
      // A node that is killed within this process finds its log closed.
      onCrash: (error) => assert.ok(!this.services.has(name), `${name}: ${String(error)}`),
    });
    this.services.set(name, service);
  }

  owner(shard: number): string | undefined {
    return [...this.services].find(([, { cluster }]) => cluster.node.roles?.owns(shard) === true)?.[0];
  }

  followed(shard: number): boolean {
    return [...this.services.values()].some(({ cluster }) => cluster.node.roles?.follows(shard) === true);
  }

  kill(name: string): void {
    const killed = this.services.get(name) as ClusterService;
    // What it would deliver nobody gets.
    (this.downstream.get(name) as Downstream).hangs = true;
    this.services.delete(name);
    this.#killed.push(killed);
    killed.cluster.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const service of this.services.values()) await service.stop();
    for (const service of this.#killed) await service.stop().catch(() => {});
    this.#directory.remove();
  }
}

/** What a feed gives, and commands that go on meanwhile. */
class Traffic {
  readonly items: FeedItem[] = [];
  counted = 0;
  readonly #feed: Feed;
  readonly #reading: Promise<void>;
  readonly #lanes: Promise<void>[];
  #over = false;
  #read = false;

  constructor(service: ClusterService, feed: Feed) {
    this.#feed = feed;
    this.#reading = this.#readAll();
    this.#lanes = [0, 1, 2, 3].map((lane) => this.#count(service, lane));
  }

  async #readAll(): Promise<void> {
    while (!this.#read) this.items.push(...(await this.#feed.next({ itemsMax: 500, waitMs: 500 })).items);
  }

  async #count(service: ClusterService, lane: number): Promise<void> {
    for (let index = 0; !this.#over; index++) {
      const result = await count(service, `k${lane}-${index % 10}`);
      assert.ok(result.ok, JSON.stringify(result));
      this.counted++;
    }
  }

  /** Nothing more is counted, and everything was read. */
  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#lanes);
    await until(`the feed has all ${this.counted}`, () => this.items.length >= this.counted);
    this.#read = true;
    await this.#reading;
    this.#feed.close();
  }
}

function checkOrder(items: readonly FeedItem[]): void {
  const last = new Map<number, number>();
  for (const { shard, offset } of items) {
    assert.ok(offset > (last.get(shard) ?? 0), "each shard in order, nothing twice");
    last.set(shard, offset);
  }
}

function folded({ projections }: ClusterService, keys: Iterable<string>): number {
  let all = 0;
  for (const key of keys) {
    const { value } = projections.document("counts", key);
    all += (value as { count: number } | null)?.count ?? 0;
  }
  return all;
}

describe("downstream of a cluster on PostgreSQL", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  test("a feed, a subscriber's sink and a projection get everything, each shard in order, over a move and a node that is gone", async () => {
    const connection = await server.database();
    await migratePostgres({ connection, shardCount });
    await using place = new Place();
    const { services, downstream, shards } = place;
    for (const name of ["a", "b", "c"]) await place.start(name, connection);
    await until("shared and followed", () =>
      shards.every((shard) => place.owner(shard) !== undefined && place.followed(shard)),
    );
    const runs = shardOf(subscriberType, "audit", shardCount);
    const delivers = () => place.owner(runs) as string;
    await until("it is delivered", () => (downstream.get(delivers())?.open ?? 0) > 0);

    // The one that goes is the one that delivers; commands come in by another, which has the feed too.
    const dies = delivers();
    const [stays] = [...services].filter(([name]) => name !== dies).map(([, service]) => service);
    assert.ok(stays !== undefined);
    const feed = await stays.feeds.open({
      ...{ form: "changes", start: "beginning", filter: { types: ["counter"] } },
      principal: { kind: "system", id: "test" },
    });
    const traffic = new Traffic(stays, feed);
    await until("some came", () => traffic.items.length > 100);
    const moving = shards.find((shard) => shard !== runs && place.owner(shard) === dies) ?? runs;
    const to = [...services.keys()].find((name) => name !== dies) as string;
    await stays.move([moving], to);
    await until("moved", () => place.owner(moving) === to);
    place.kill(dies);
    await until("taken over", () => shards.every((shard) => place.owner(shard) !== undefined));
    await until("it is delivered elsewhere", () => (downstream.get(delivers())?.open ?? 0) > 0);
    const before = traffic.counted;
    await until("it goes on", () => traffic.counted > before + 200);
    await traffic.end();

    const { items, counted } = traffic;
    assert.equal(items.length, counted);
    checkOrder(items);
    const delivered = () => new Set([...downstream.values()].flatMap(({ ids }) => ids));
    await until(`the sinks have all ${counted}`, () => items.every((item) => delivered().has(idOf(item))));
    const keys = new Set(items.map(({ entity }) => entity.key));
    for (const [name, service] of services)
      await until(`node ${name} has folded all ${counted}`, () => folded(service, keys) === counted);
  });
});
