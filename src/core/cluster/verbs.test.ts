/** What operators ask of a coordinator: moves, drains and pins, and what becomes of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertServed, leaseMs, startCluster } from "./coordinator.harness.ts";

const three = ["a", "b", "c"] as const;

describe("moves", () => {
  test("an operator's move is answered when it stands, and comes through live", () => {
    const cluster = startCluster(three, { shardCount: 10 });
    const shard = cluster.owned("a")[0] as number;
    cluster.verb({ kind: "move", shards: [shard], to: "b" });
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [undefined],
    );
    assert.equal(cluster.target(shard)?.owner?.node, "a");
    assert.equal(cluster.target(shard)?.to?.node, "b");
    cluster.run(5_000);
    assert.equal(cluster.target(shard)?.owner?.node, "b");
    cluster.run(30_000);
    assert.equal(cluster.target(shard)?.owner?.node, "b");
  });

  test("a move that does not come through is taken back, and not begun again for a while", () => {
    const cluster = startCluster(three);
    const shard = cluster.owned("a")[0] as number;
    cluster.stuck.add("b");
    cluster.verb({ kind: "move", shards: [shard], to: "b" });
    cluster.run(cluster.options.moveTimeoutMs + 2_000);
    assert.equal(cluster.target(shard)?.to, undefined);
    assert.equal(cluster.target(shard)?.owner?.node, "a");
    cluster.changes.length = 0;
    cluster.run(cluster.options.moveRestMs / 2);
    assert.ok(cluster.changes.every(({ target }) => target.to?.node !== "b"));
  });

  test("who claims after its move was taken back is the owner, since it is", () => {
    const cluster = startCluster(three);
    const shard = cluster.owned("a").find((held) => cluster.target(held)?.standbys[0]?.node === "c") as number;
    const log = cluster.log[shard] as { epoch: number; owner: unknown };
    log.owner = cluster.process("b").ref;
    log.epoch++;
    // in the same moment: the former owner does not claim again before it has looked
    cluster.step({ nowMs: cluster.nowMs, kind: "report", report: cluster.reportOf(cluster.process("b")) });
    assert.equal(cluster.target(shard)?.owner?.node, "b");
    assert.deepEqual(
      cluster.target(shard)?.standbys.map(({ node }) => node),
      ["c"],
    );
  });

  test("a pin whose node does not take the shard over is tried again after a while, not at once", () => {
    const cluster = startCluster(three);
    const shard = cluster.owned("a")[0] as number;
    cluster.stuck.add("b");
    cluster.verb({ kind: "pin", shards: [shard], to: "b" });
    cluster.run(cluster.options.moveTimeoutMs + 2_000);
    cluster.changes.length = 0;
    cluster.run(cluster.options.moveRestMs / 2);
    assert.ok(cluster.changes.every(({ target }) => target.to?.node !== "b"));
    assert.equal(cluster.target(shard)?.to, undefined);
    cluster.stuck.clear();
    cluster.run(cluster.options.moveRestMs);
    assert.equal(cluster.target(shard)?.owner?.node, "b");
  });

  test("balance leaves alone for a while what an operator moved", () => {
    const cluster = startCluster(["a", "b"], { shardCount: 4 });
    const shard = cluster.owned("a")[0] as number;
    cluster.verb({ kind: "move", shards: [shard], to: "b" });
    cluster.run(20_000);
    assertServed(cluster, ["a", "b"]);
    assert.equal(cluster.target(shard)?.owner?.node, "b");
    assert.equal(shard, Math.min(...cluster.owned("b")), "it would be the first to be moved");
    cluster.join("c");
    cluster.run(20_000);
    assertServed(cluster, ["a", "b", "c"]);
    assert.equal(cluster.target(shard)?.owner?.node, "b");
  });

  test("a move whose target dies is off; one whose owner dies ends with the target if that is ready", () => {
    const cluster = startCluster(["a", "b", "c", "d"]);
    const shard = cluster.owned("b").find((held) => cluster.target(held)?.standbys[0]?.node !== "c") as number;
    cluster.stuck.add("b");
    cluster.verb({ kind: "move", shards: [shard], to: "c" });
    cluster.run(1_000);
    cluster.process("c").state = "killed";
    cluster.run(500);
    assert.equal(cluster.target(shard)?.to, undefined);
    cluster.verb({ kind: "move", shards: [shard], to: "a" });
    cluster.run(1_000);
    cluster.process("b").state = "killed";
    cluster.run(leaseMs + 1_000);
    assert.ok(["a", "d"].includes(cluster.target(shard)?.owner?.node ?? ""));
  });

  test("no more moves are under way at once than allowed", () => {
    const cluster = startCluster(["a"], { shardCount: 60, movesMax: 4 });
    cluster.join("b");
    for (let round = 0; round < 200; round++) {
      cluster.run(100);
      assert.ok(cluster.targets().filter((target) => target?.to !== undefined).length <= 4);
    }
    cluster.run(30_000);
    assertServed(cluster, ["a", "b"]);
  });

  test("verbs that cannot be done are refused and say why", () => {
    const cluster = startCluster(three, { movesMax: 2 });
    cluster.verb({ kind: "drain", node: "c", on: true });
    cluster.run(200);
    cluster.answers.length = 0;
    cluster.verb({ kind: "move", shards: [12], to: "b" });
    cluster.verb({ kind: "move", shards: [0], to: "x" });
    cluster.verb({ kind: "pin", shards: [0], to: "x" });
    cluster.verb({ kind: "drain", node: "x", on: true });
    cluster.verb({ kind: "move", shards: [0], to: "c" });
    cluster.verb({ kind: "move", shards: cluster.owned("a").slice(0, 5), to: "b" });
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [...Array.from({ length: 5 }, () => "invalid-input"), "overloaded"],
    );
  });
});

describe("drains and pins", () => {
  test("a node that drains ends with nothing, stays a member, and gets its share when that is taken back", () => {
    const cluster = startCluster(three);
    cluster.verb({ kind: "drain", node: "b", on: true });
    cluster.run(20_000);
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [undefined],
    );
    assert.deepEqual(cluster.named("b"), []);
    assertServed(cluster, ["a", "c"]);
    cluster.verb({ kind: "drain", node: "b", on: false });
    cluster.run(20_000);
    assertServed(cluster, three);
  });

  test("what is pinned is moved there, stays there, survives its node, and is moved back when the node comes back", () => {
    const cluster = startCluster(three);
    const shards = cluster.owned("a").slice(0, 3);
    cluster.verb({ kind: "pin", shards, to: "c" });
    cluster.run(20_000);
    for (const shard of shards) assert.equal(cluster.target(shard)?.owner?.node, "c");
    assertServed(cluster, three);
    cluster.process("c").state = "killed";
    cluster.run(leaseMs + 10_000);
    for (const shard of shards) assert.notEqual(cluster.target(shard)?.owner?.node, "c");
    cluster.join("c");
    cluster.run(20_000);
    for (const shard of shards) assert.equal(cluster.target(shard)?.owner?.node, "c");
    cluster.verb({ kind: "pin", shards, to: undefined });
    cluster.run(10_000);
    for (const shard of shards) assert.equal(cluster.target(shard)?.pin, undefined);
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [undefined, undefined],
    );
  });

  test("a move of what is pinned elsewhere is refused", () => {
    const cluster = startCluster(three);
    cluster.verb({ kind: "pin", shards: [0], to: "c" });
    cluster.run(5_000);
    cluster.verb({ kind: "move", shards: [0], to: "a" });
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [undefined, "invalid-input"],
    );
  });

  test("of two verbs that contradict each other the later one stands, and the earlier is told", () => {
    const cluster = startCluster(three, { writeMs: 200 });
    cluster.verb({ kind: "pin", shards: [0, 1], to: "b" });
    cluster.verb({ kind: "pin", shards: [1], to: "c" });
    cluster.verb({ kind: "drain", node: "b", on: true });
    cluster.verb({ kind: "drain", node: "b", on: false });
    cluster.run(10_000);
    assert.deepEqual([cluster.target(0)?.pin, cluster.target(1)?.pin], ["b", "c"]);
    assert.notEqual(cluster.process("b").info.draining, true);
    const codes = cluster.answers.map(({ verb, code }) => [verb.kind, code]);
    assert.deepEqual(
      codes.filter(([kind]) => kind === "drain"),
      [
        ["drain", "unavailable"],
        ["drain", undefined],
      ],
    );
    const pins = codes.filter(([kind]) => kind === "pin");
    assert.equal(pins.filter(([, code]) => code === "unavailable").length, 1);
    assert.equal(pins.length, 2);
  });
});
