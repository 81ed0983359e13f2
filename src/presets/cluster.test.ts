/** Nodes over one PostgreSQL, connected by sockets: they share, follow, move and give away. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type PostgresServer,
  postgresSkipReason,
  startPostgres as startServer,
} from "../adapters/postgres/server.harness.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { temporaryDirectory } from "../adapters/system/temporary.ts";
import { connect } from "../client/index.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { counter } from "../runtime/counter.harness.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type ClusterService, startCluster } from "./cluster.ts";
import { migratePostgres } from "./postgres.ts";

const secret = "only-for-this-test-0123456789abcdef";
const shardCount = 8;

function count({ node }: ClusterService, key: string): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const principal = { kind: "service", id: "test" } as const;
  return new Promise((resolve) =>
    node.execute({ entity: { type: "counter", key }, command: "count", input: null, requestId, principal }, resolve),
  );
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const untilMs = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > untilMs) throw new Error(`not so in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const owned = ({ cluster }: ClusterService) =>
  Array.from({ length: shardCount }, (_, shard) => shard).filter((shard) => cluster.node.roles?.owns(shard));
const followed = ({ cluster }: ClusterService) =>
  Array.from({ length: shardCount }, (_, shard) => shard).filter((shard) => cluster.node.roles?.follows(shard));

describe("a cluster on PostgreSQL", { skip: postgresSkipReason() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.stop());

  /** A database of its own, and how its nodes are started, for callers who are all the same principal. */
  async function prepared(principal: Principal) {
    const connection = await server.database();
    await migratePostgres({ connection, shardCount });
    const directory = temporaryDirectory();
    const start = (name: string) =>
      startCluster({
        entities: [counter],
        directory: `${directory.path}/${name}`,
        shared: `${directory.path}/shared`,
        name,
        postgres: { connection },
        peer: { secrets: [secret] },
        port: 0,
        progress: false,
        heapGrowthPercent: false,
        authenticate: async () => ({ principal }),
        onLost: (why) => assert.fail(`${name}: ${why}`),
        onCrash: (error) => {
          throw error;
        },
      });
    return { directory, start };
  }

  test("any node answers for all; a node that stops gives its shards away, and no call fails", async () => {
    const { directory, start } = await prepared({ kind: "service", id: "test" });
    const a = await start("a");
    const b = await start("b");
    await until(
      "shared and followed",
      () => owned(a).length === 4 && owned(b).length === 4 && followed(a).length === 4 && followed(b).length === 4,
    );
    let over = false;
    const lanes = Array.from({ length: 8 }, async (_, lane) => {
      let last = 0;
      while (!over) {
        const result = await count(a, `k${lane}`);
        assert.ok(result.ok, JSON.stringify(result));
        assert.equal(result.value, ++last);
      }
      return last;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const moving = owned(a).slice(0, 2);
    await a.move(moving, "b");
    // A coordinator that comes after this one may move them again, for balance.
    const came = new Set<number>();
    await until("moved", () => {
      for (const shard of owned(b)) came.add(shard);
      return moving.every((shard) => came.has(shard));
    });
    await b.stop();
    assert.equal(owned(a).length, shardCount);
    over = true;
    const counts = await Promise.all(lanes);
    for (const [lane, last] of counts.entries()) {
      const next = await count(a, `k${lane}`);
      assert.equal(next.ok && next.value, last + 1);
    }
    await a.stop();
    directory.remove();
  });

  test("a client that was given one node's door goes on at another's while its own stops", async () => {
    const { directory, start } = await prepared({ kind: "user", id: "ann" });
    const a = await start("a");
    const b = await start("b");
    await until("shared and followed", () => followed(a).length === 4 && followed(b).length === 4);
    await using client = connect<{ counter: typeof counter }>({ url: a.url });
    let counted = 0;
    let stopped: Promise<void> | undefined;
    while (counted < 300) {
      const { value } = await client.entity("counter", "k").execute("count");
      assert.equal(value, ++counted);
      if (counted === 100) stopped = a.stop();
    }
    await stopped;
    assert.equal(client.door, `${b.url.replace("http", "ws")}/v1/socket`);
    await b.stop();
    directory.remove();
  });
});
