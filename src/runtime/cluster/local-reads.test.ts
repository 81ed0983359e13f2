/** Queries that a standby's copy answers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defineEntity } from "../../model/entity.ts";
import { shardOf } from "../../model/ids.ts";
import type { CallResult, Principal, QueryCall } from "../../model/records.ts";
import { TestCluster } from "./cluster.harness.ts";
import type { ClusterNode } from "./cluster-node.ts";
import { LocalReads } from "./local-reads.ts";

const service: Principal = { kind: "service", id: "test" };

function ask(node: ClusterNode, key: string, lagMs?: number, principal = service, type = "box"): Promise<CallResult> {
  const bound = lagMs === undefined ? {} : { lagMs };
  const call = { entity: { type, key }, query: "count", input: undefined, principal } as const;
  return new Promise((resolve) => node.service.query({ ...call, consistency: "local", ...bound }, resolve));
}

const settled = (cluster: TestCluster, nodes: number) => () => {
  const owners = cluster.owners();
  const counts = [...cluster.nodes.keys()].map((name) => owners.filter((owner) => owner === name).length);
  return (
    counts.every((count) => count === cluster.shardCount / nodes) && cluster.standbys().every((name) => name !== "")
  );
};

/** A key whose shard is owned by one and followed by the other. */
function keyOf(cluster: TestCluster, owner: string, standby: string | undefined): string {
  const key = Array.from({ length: 2_000 }, (_, index) => `q${index}`).find((name) => {
    const shard = cluster.shardOf(name);
    return cluster.owners()[shard] === owner && (standby === undefined || cluster.standbys()[shard] === standby);
  });
  assert.ok(key !== undefined, cluster.describe());
  return key;
}

test("a node that follows the shard answers a local query itself, with how far its copy goes and how old it may be", async () => {
  await using cluster = new TestCluster(4);
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until("settled", settled(cluster, 2));
  const key = keyOf(cluster, "a", "b");
  for (let index = 1; index <= 20; index++) {
    await cluster.count(a, key);
    const result = await ask(b, key, 0);
    assert.ok(result.ok, JSON.stringify(result));
    assert.equal(result.value, index, "with a bound of 0 nothing that was answered before is missing");
    assert.ok(result.local !== undefined && result.local.offset > result.version && result.local.lagMs >= 0);
  }
  const old = await ask(b, key, 60_000);
  assert.ok(old.ok && old.local !== undefined && old.local.lagMs <= 60_000);
  const owners = await ask(a, key);
  assert.ok(owners.ok && owners.value === 20 && owners.local === undefined, "the owner's answer is consistent");
  const invalid = await ask(b, key, -1);
  assert.equal(!invalid.ok && invalid.code, "invalid-input");
});

test("a local query at a node that has no copy goes to the owner", async () => {
  await using cluster = new TestCluster(12);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.start("d");
  await cluster.until("settled", settled(cluster, 4));
  const key = Array.from({ length: 500 }, (_, index) => `n${index}`).find((name) => {
    const shard = cluster.shardOf(name);
    return cluster.owners()[shard] !== "a" && cluster.standbys()[shard] !== "a";
  });
  assert.ok(key !== undefined);
  await cluster.count(a, key);
  const result = await ask(a, key);
  assert.ok(result.ok && result.value === 1 && result.local === undefined, JSON.stringify(result));
});

test("a copy that lacks more than is allowed says so, with how much", async () => {
  await using cluster = new TestCluster(4);
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until("settled", settled(cluster, 2));
  const key = keyOf(cluster, "a", "b");
  await cluster.count(a, key);
  await ask(b, key, 0);
  const { roles, source } = b.node;
  assert.ok(roles !== undefined);
  let missing = 5;
  const reads = new LocalReads({
    source,
    roles,
    tails: async (shards) =>
      (await source.past.tail(shards)).map((position) => ({ ...position, tail: position.tail + missing })),
  });
  const call: QueryCall = { entity: { type: "box", key }, query: "count", input: undefined, principal: service };
  const read = (lagMs: number) =>
    new Promise<CallResult>((done) => void reads.query(cluster.shardOf(key), { ...call, lagMs }, done));
  const refused = await read(50);
  assert.equal(!refused.ok && refused.code, "unavailable");
  assert.match(refused.ok ? "" : refused.detail, /lacks 5 records.*50 ms/);
  missing = 0;
  const answered = await read(50);
  assert.ok(answered.ok, JSON.stringify(answered));
});

test("who may not ask the owner may not ask a copy", async () => {
  const locked = defineEntity("locked", {
    state: () => ({ count: 0 }),
    events: { counted: (state) => void state.count++ },
    commands: () => ({}),
    queries: { count: (state) => state.count },
    access: (principal) => principal.kind === "operator",
  });
  await using cluster = new TestCluster(2, () => ({ entities: [locked] }));
  await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until("settled", settled(cluster, 2));
  const key = Array.from({ length: 100 }, (_, index) => `l${index}`).find(
    (name) => cluster.standbys()[shardOf("locked", name, 2)] === "b",
  ) as string;
  const refused = await ask(b, key, 1_000, service, "locked");
  assert.equal(!refused.ok && refused.code, "forbidden");
});
