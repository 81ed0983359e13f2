/** Owners and standbys compare their states. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryStateStore } from "../../adapters/memory/state-store.ts";
import { defineEntity } from "../../model/entity.ts";
import { TestCluster } from "./cluster.harness.ts";
import type { ClusterNode } from "./cluster-node.ts";

/** Its evolve looks at something that is not in the event: which node it runs on. */
const strayBox = (node: string) =>
  defineEntity("box", {
    state: () => ({ count: 0, seen: "" }),
    events: {
      counted: (state) => {
        state.count++;
        if (state.count >= 3) state.seen = node;
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

const followed = (cluster: TestCluster) => () =>
  cluster.owners().every((owner) => owner !== undefined) && cluster.standbys().every((name) => name !== "");
const diverged = (node: ClusterNode) => node.figures()?.diverged ?? 0;
const compared = (cluster: TestCluster) =>
  [...cluster.nodes.values()].reduce((sum, { node }) => sum + (node.roles?.compared ?? 0), 0);

for (const state of [false, true]) {
  test(`an evolve that is not deterministic is found at a standby, ${state ? "with" : "without"} a state store: a fault names the entity, and the copy is made anew`, async () => {
    await using cluster = new TestCluster(2, (name) => ({
      entities: [strayBox(name)],
      ...(state ? { state: openMemoryStateStore() } : {}),
    }));
    const a = await cluster.start("a");
    const b = await cluster.start("b");
    await cluster.until("followed", followed(cluster));
    await cluster.count(a, "k");
    await cluster.count(a, "k");
    const before = compared(cluster);
    await cluster.until("compared while it is right", () => compared(cluster) > before);
    assert.equal(diverged(a) + diverged(b), 0);
    await cluster.count(a, "k");
    await cluster.until("found", () => diverged(a) + diverged(b) === 1);
    assert.match(cluster.faults.join("\n"), /box\/k.*an evolve is not deterministic/);
    await cluster.until("made anew", followed(cluster));
    const result = await cluster.count(b, "k");
    assert.equal(result.ok && result.value, 4);
  });
}

test("copies that are right are never taken for others, whatever is under way, moves or dies", async () => {
  await using cluster = new TestCluster(6, () => ({ state: openMemoryStateStore() }));
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.until("shared", () => new Set(cluster.owners()).size === 3 && followed(cluster)());
  let over = false;
  const lanes = [0, 1, 2, 3, 4, 5].map(async (lane) => {
    for (let index = 0; !over; index++) {
      const result = await cluster.count(a, `s${lane}-${index % 9}`);
      assert.ok(result.ok, JSON.stringify(result));
    }
  });
  const some = async () => {
    const before = compared(cluster);
    await cluster.until("compared", () => compared(cluster) > before + 10);
  };
  await some();
  const shard = cluster.owners().indexOf("b");
  await a.move([shard], "c");
  await some();
  cluster.kill("c");
  await cluster.until("taken over", () => cluster.owners().every((owner) => owner === "a" || owner === "b"));
  await some();
  over = true;
  await Promise.all(lanes);
  for (const node of cluster.nodes.values()) assert.equal(diverged(node), 0);
});
