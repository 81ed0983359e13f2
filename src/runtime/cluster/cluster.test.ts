/** Several nodes, one service: claim, forward, fail over, move, drain. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TestCluster } from "./cluster.harness.ts";

test("one node alone owns every shard", async () => {
  await using cluster = new TestCluster();
  const a = await cluster.start("a");
  await cluster.until("all owned", () => cluster.owners().every((owner) => owner === "a"));
  const result = await cluster.count(a, "k1");
  assert.equal(result.ok && result.value, 1);
});

test("three nodes share the shards, each with a standby elsewhere, and any of them answers for all", async () => {
  await using cluster = new TestCluster(9);
  const [a, b, c] = [await cluster.start("a"), await cluster.start("b"), await cluster.start("c")];
  await cluster.until("balanced", () => {
    const owners = cluster.owners();
    return ["a", "b", "c"].every((name) => owners.filter((owner) => owner === name).length === 3);
  });
  await cluster.until("standbys", () =>
    cluster.standbys().every((name, shard) => name !== "" && name !== cluster.owners()[shard]),
  );
  for (let index = 0; index < 30; index++) {
    for (const [round, node] of [a, b, c].entries()) {
      const result = await cluster.count(node, `k${index}`);
      assert.equal(result.ok && result.value, round + 1);
    }
    const asked = await cluster.ask(b, `k${index}`);
    assert.equal(asked.ok && asked.value, 3);
  }
  assert.deepEqual(cluster.faults, []);
});

test("a node that dies is followed by its standbys, and nothing acknowledged is lost", async () => {
  await using cluster = new TestCluster(9);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.until(
    "standbys",
    () => cluster.standbys().every((name) => name !== "") && new Set(cluster.owners()).size === 3,
  );
  const counts = new Map<string, number>();
  let over = false;
  const load = [0, 1, 2, 3].map(async (lane) => {
    for (let index = 0; !over; index++) {
      const key = `l${lane}-${index % 7}`;
      const result = await cluster.count(a, key);
      assert.equal(result.ok, true, JSON.stringify(result));
      if (result.ok) counts.set(key, Math.max(counts.get(key) ?? 0, result.value as number));
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 200));
  cluster.kill("c");
  await cluster.until("taken over", () => cluster.owners().every((owner) => owner === "a" || owner === "b"));
  assert.deepEqual(cluster.lost, []);
  await new Promise((resolve) => setTimeout(resolve, 200));
  over = true;
  await Promise.all(load);
  for (const [key, count] of counts) {
    const asked = await cluster.ask(a, key);
    assert.equal(asked.ok && asked.value, count, key);
  }
});

test("a live move is not noticed by who calls, and a watch goes on", async () => {
  await using cluster = new TestCluster(4);
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until(
    "shared",
    () =>
      cluster.owners().filter((owner) => owner === "a").length === 2 && cluster.standbys().every((name) => name !== ""),
  );
  const shard = cluster.owners().indexOf("a");
  const key = Array.from({ length: 100 }, (_, index) => `m${index}`).find(
    (name) => cluster.shardOf(name) === shard,
  ) as string;
  const seen: number[] = [];
  const stop = cluster.watch(b, key, (news) => {
    assert.ok(news.ok, JSON.stringify(news));
    seen.push(news.value as number);
  });
  let over = false;
  let last = 0;
  const load = (async () => {
    while (!over) {
      const result = await cluster.count(a, key);
      assert.ok(result.ok, JSON.stringify(result));
      assert.equal(result.value, ++last);
    }
  })();
  for (let round = 0; round < 6; round++) {
    const to = round % 2 === 0 ? "b" : "a";
    await a.move([shard], to);
    await cluster.until(`moved to ${to}`, () => cluster.owners()[shard] === to);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  over = true;
  await load;
  await cluster.until("the watch is there", () => seen.at(-1) === last);
  stop();
  assert.deepEqual(
    seen,
    [...new Set(seen)].toSorted((one, other) => one - other),
    "versions only grow",
  );
});

test("sends between shards of different nodes arrive once, whatever moves or dies", async () => {
  await using cluster = new TestCluster(6);
  const a = await cluster.start("a");
  await cluster.start("b");
  await cluster.start("c");
  await cluster.until(
    "shared",
    () => new Set(cluster.owners()).size === 3 && cluster.standbys().every((name) => name !== ""),
  );
  const sent = new Map<string, number>();
  for (let index = 0; index < 200; index++) {
    const to = `t${index % 11}`;
    const result = await cluster.send(a, `s${index % 13}`, to);
    assert.ok(result.ok, JSON.stringify(result));
    sent.set(to, (sent.get(to) ?? 0) + 1);
    if (index === 100) cluster.kill("c");
    if (index === 150) await a.move([cluster.owners().indexOf("b")], "a");
  }
  for (const [key, count] of sent) {
    for (let tries = 0; ; tries++) {
      const asked = await cluster.ask(a, key);
      assert.ok(asked.ok, JSON.stringify(asked));
      if (asked.value === count) break;
      assert.ok((asked.value as number) < count && tries < 400, `${key}: ${JSON.stringify(asked.value)} of ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
});

test("a node that stops gives its shards away first, and no call fails", async () => {
  await using cluster = new TestCluster(6);
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.until(
    "shared",
    () =>
      cluster.owners().filter((owner) => owner === "a").length === 3 && cluster.standbys().every((name) => name !== ""),
  );
  let over = false;
  const load = [0, 1, 2].map(async (lane) => {
    for (let count = 1; !over; count++) {
      const result = await cluster.count(a, `d${lane}`);
      assert.ok(result.ok, JSON.stringify(result));
      assert.equal(result.value, count);
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  await b.stop();
  cluster.nodes.delete("b");
  await new Promise((resolve) => setTimeout(resolve, 50));
  over = true;
  await Promise.all(load);
  assert.ok(cluster.owners().every((owner) => owner === "a"));
});

test("any node shows the whole cluster: owners, standbys with their lag, the coordinator, moves and pins", async () => {
  await using cluster = new TestCluster(6);
  const [a, b, c] = [await cluster.start("a"), await cluster.start("b"), await cluster.start("c")];
  await cluster.until(
    "shared and followed",
    () => new Set(cluster.owners()).size === 3 && cluster.standbys().every((name) => name !== ""),
  );
  await cluster.count(a, "k1");
  await cluster.until("pinned", () => cluster.owners()[0] !== undefined);
  const elsewhere = ["a", "b", "c"].find((name) => name !== cluster.owners()[0]) as string;
  await b.pin([0], elsewhere);
  await cluster.until("moved", () => cluster.owners()[0] === elsewhere && cluster.standbys()[0] !== "");
  for (const [name, node] of Object.entries({ a, b, c })) {
    // Reports come within half a second.
    for (const untilMs = Date.now() + 5_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
      const view = await node.view();
      const { shards, nodes } = view;
      const isSettled =
        shards.length === 6 &&
        shards.every(
          ({ owner, standbys }, shard) => owner === cluster.owners()[shard] && standbys[0]?.ready === true,
        ) &&
        nodes.every(({ connected, owns, follows }) => connected && owns === 2 && follows === 2);
      if (!isSettled && Date.now() < untilMs) continue;
      assert.equal(view.self, name);
      assert.deepEqual(
        shards.map(({ owner }) => owner),
        cluster.owners(),
      );
      assert.equal(shards[0]?.pin, elsewhere);
      assert.deepEqual(
        shards[0]?.standbys.map(({ lagRecords, ready }) => [lagRecords, ready]),
        [[0, true]],
      );
      assert.ok((shards[cluster.shardOf("k1")]?.tail ?? 0) > 2, "the tail is the owner's");
      assert.deepEqual(
        nodes.map((each) => [each.node, each.owns, each.follows, each.connected]),
        [
          ["a", 2, 2, true],
          ["b", 2, 2, true],
          ["c", 2, 2, true],
        ],
      );
      assert.equal(nodes.filter(({ coordinator, leaseMs }) => coordinator && leaseMs > 0).length, 1);
      break;
    }
  }
  const figures = [a, b, c].map((node) => node.figures());
  const sum = (of: (one: NonNullable<(typeof figures)[number]>) => number) =>
    figures.reduce((total, one) => total + (one === undefined ? 0 : of(one)), 0);
  assert.deepEqual([sum((one) => one.owned), sum((one) => one.followed), sum((one) => one.peers)], [6, 6, 6]);
  assert.ok(sum((one) => one.movesTaken) >= 1 && sum((one) => one.movesTaken) <= sum((one) => one.movesGiven));
  assert.equal(
    sum((one) => Number(one.coordinates)),
    1,
  );
});
