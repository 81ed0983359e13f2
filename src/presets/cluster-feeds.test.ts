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

describe("downstream of a cluster on PostgreSQL", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  test("a feed, a subscriber's sink and a projection get everything, each shard in order, over a move and a node that is gone", async () => {
    const connection = await server.database();
    await migratePostgres({ connection, shardCount });
    const directory = temporaryDirectory();
    const services = new Map<string, ClusterService>();
    const downstream = new Map<string, Downstream>();
    for (const name of ["a", "b", "c"]) {
      const sink = new Downstream();
      downstream.set(name, sink);
      services.set(
        name,
        await startCluster({
          ...{ entities: [counter], projections: [counts], name, port: 0, progress: false, heapGrowthPercent: false },
          directory: `${directory.path}/${name}`,
          shared: `${directory.path}/shared`,
          postgres: { connection },
          peer: { secrets: [secret] },
          sinks: { memory: sink.sink },
          subscribers: [{ name: "audit", form: "changes", sink: "memory", start: "beginning" }],
          authenticate: async () => ({ principal: { kind: "service", id: "test" } }),
          limits: { drainMs: 2_000 },
          onLost: () => {},
          // A node that is killed within this process finds its log closed.
          onCrash: (error) => assert.ok(!services.has(name), `${name}: ${String(error)}`),
        }),
      );
    }
    const owner = (shard: number) =>
      [...services].find(([, { cluster }]) => cluster.node.roles?.owns(shard) === true)?.[0];
    const shards = Array.from({ length: shardCount }, (_, shard) => shard);
    const followed = (shard: number) =>
      [...services.values()].some(({ cluster }) => cluster.node.roles?.follows(shard) === true);
    await until("shared and followed", () => shards.every((shard) => owner(shard) !== undefined && followed(shard)));

    const runs = shardOf(subscriberType, "audit", shardCount);
    // The one that goes is the one that delivers; commands come in by another.
    await until("it is delivered", () => [...downstream.values()].some(({ open }) => open > 0));
    const [stays] = [...services].filter(([name]) => name !== owner(runs)).map(([, service]) => service);
    assert.ok(stays !== undefined);
    const feed = await stays.feeds.open({
      ...{ form: "changes", start: "beginning", filter: { types: ["counter"] } },
      principal: { kind: "system", id: "test" },
    });
    const items: FeedItem[] = [];
    let [over, read, counted] = [false, false, 0];
    const reading = (async () => {
      while (!read) items.push(...(await feed.next({ itemsMax: 500, waitMs: 500 })).items);
    })();
    const lanes = [0, 1, 2, 3].map(async (lane) => {
      for (let index = 0; !over; index++) {
        const result = await count(stays, `k${lane}-${index % 10}`);
        assert.ok(result.ok, JSON.stringify(result));
        counted++;
      }
    });
    await until("some came", () => items.length > 100);
    const moving = shards.find((shard) => shard !== runs && owner(shard) === owner(runs)) ?? runs;
    const to = [...services.keys()].find((name) => name !== owner(moving)) as string;
    await stays.move([moving], to);
    await until("moved", () => owner(moving) === to);

    const gone = owner(runs) as string;
    const killed = services.get(gone) as ClusterService;
    if (killed !== stays) {
      (downstream.get(gone) as Downstream).hangs = true;
      services.delete(gone);
      killed.cluster.kill();
    }
    await until("taken over", () => shards.every((shard) => owner(shard) !== undefined));
    await until("it is delivered elsewhere", () =>
      [...downstream].some(([name, { open }]) => name === owner(runs) && open > 0),
    );
    const before = counted;
    await until("it goes on", () => counted > before + 200);
    over = true;
    await Promise.all(lanes);

    await until(`the feed has all ${counted}`, () => items.length >= counted);
    read = true;
    await reading;
    feed.close();
    assert.equal(items.length, counted);
    const last = new Map<number, number>();
    for (const { shard, offset } of items) {
      assert.ok(offset > (last.get(shard) ?? 0), "each shard in order, nothing twice");
      last.set(shard, offset);
    }
    const delivered = () => new Set([...downstream.values()].flatMap(({ ids }) => ids));
    await until(`the sinks have all ${counted}`, () => items.every((item) => delivered().has(idOf(item))));

    for (const [name, { projections }] of services) {
      const sum = () => {
        const keys = new Set(items.map(({ entity }) => entity.key));
        return [...keys].reduce((all, key) => {
          const { value } = projections.document("counts", key);
          return all + ((value as { count: number } | null)?.count ?? 0);
        }, 0);
      };
      await until(`node ${name} has folded all ${counted}`, () => sum() === counted);
    }
    for (const service of services.values()) await service.stop();
    await killed.stop().catch(() => {});
    directory.remove();
  });
});
