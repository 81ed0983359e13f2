/** What a coordinator makes of nodes that come, die, hang, are cut off, and of operators. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { sameNode } from "../../model/cluster.ts";
import { assertServed, leaseMs, startCluster, TestCluster } from "./coordinator.harness.ts";

const three = ["a", "b", "c"] as const;

describe("nodes come and go", () => {
  test("one node alone owns everything at once", () => {
    const cluster = new TestCluster();
    cluster.join("a");
    cluster.coordinate("a");
    cluster.run(300);
    assertServed(cluster, ["a"]);
  });

  test("a node that comes gets its share by live moves, and who owned before follows", () => {
    const cluster = startCluster(["a"]);
    const epochs = cluster.log.map(({ epoch }) => epoch);
    cluster.join("b");
    cluster.run(20_000);
    assertServed(cluster, ["a", "b"]);
    for (const { target } of cluster.changes)
      if (target.owner?.node === "b") assert.equal(cluster.log.filter(({ owner }) => owner?.node === "b").length, 6);
    cluster.log.forEach(({ epoch, owner }, shard) =>
      assert.equal(epoch, (epochs[shard] as number) + (owner?.node === "b" ? 1 : 0)),
    );
  });

  test("a calm cluster is left alone", () => {
    const cluster = startCluster(three);
    cluster.run(60_000);
    assertServed(cluster, three);
    assert.deepEqual(cluster.changes, []);
  });

  test("a node that dies is followed by its standbys at once, without waiting for its lease", () => {
    const cluster = startCluster(three);
    const lost = cluster.owned("c");
    const standbys = lost.map((shard) => cluster.target(shard)?.standbys[0]);
    cluster.process("c").state = "killed";
    cluster.run(200);
    lost.forEach((shard, index) => assert.ok(sameNode(cluster.log[shard]?.owner, standbys[index])));
    cluster.run(leaseMs + 20_000);
    assert.deepEqual(cluster.evicted, ["c"]);
    assertServed(cluster, ["a", "b"]);
  });

  test("of two nodes the one that is left takes over at once", () => {
    const cluster = startCluster(["a", "b"]);
    cluster.process("b").state = "killed";
    cluster.run(200);
    assert.equal(cluster.log.filter(({ owner }) => owner?.node === "a").length, 12);
  });

  test("a shard whose standby was not ready waits for the lease of its owner, and gets another then", () => {
    const cluster = startCluster(three, { catchUpMs: 1_000_000 });
    const lost = cluster.owned("c");
    cluster.process("c").state = "killed";
    cluster.run(leaseMs - 1_000);
    assert.deepEqual(cluster.owned("c"), lost);
    cluster.run(2_000);
    assert.deepEqual(cluster.owned("c"), []);
    for (const shard of lost) assert.notEqual(cluster.log[shard]?.owner?.node, "c");
  });

  test("a node that comes back in a new generation has nothing until it is assigned, and then its share", () => {
    const cluster = startCluster(three);
    cluster.process("c").state = "killed";
    cluster.run(200);
    const again = cluster.join("c");
    cluster.run(100);
    for (const target of cluster.targets()) assert.ok(!sameNode(target?.owner, again));
    cluster.run(30_000);
    assertServed(cluster, three);
    assert.ok(cluster.targets().every((target) => target?.owner?.node !== "c" || sameNode(target.owner, again)));
  });

  test("a node that hangs beyond its lease loses everything, and what it says afterwards changes nothing", () => {
    const cluster = startCluster(three);
    const hung = cluster.process("c");
    hung.state = "hangs";
    const late = cluster.reportOf(hung);
    cluster.run(leaseMs + 10_000);
    cluster.changes.length = 0;
    cluster.step({ nowMs: cluster.nowMs, kind: "report", report: late });
    cluster.run(1_000);
    assert.deepEqual(cluster.changes, []);
    assertServed(cluster, ["a", "b"]);
  });
});

describe("who is cut off", () => {
  test("a node that sees nobody any more, and is seen by none, deposes nobody", () => {
    const cluster = startCluster(["a", "b", "c", "d"]);
    const before = cluster.targets();
    // d hears nobody; what it says still arrives at the coordinator
    for (const other of three) cluster.cut(other, "d");
    cluster.cuts.delete("a>d");
    cluster.run(3_000);
    for (const node of three) assert.deepEqual(cluster.owned(node).length >= 3, true);
    before.forEach((target, shard) => {
      if (target?.owner?.node !== "d") assert.ok(sameNode(cluster.target(shard)?.owner, target?.owner));
    });
  });

  test("a cable between two of four nodes is no reason to do anything", () => {
    const cluster = startCluster(["a", "b", "c", "d"]);
    cluster.cut("c", "d");
    cluster.run(30_000);
    assert.deepEqual(cluster.changes, []);
  });

  test("a node that all others have lost gives its shards to ready standbys though its lease holds", () => {
    const cluster = startCluster(three);
    cluster.isolate("c");
    cluster.run(500);
    assert.deepEqual(cluster.owned("c"), []);
    cluster.run(cluster.options.lostMs + 20_000);
    assert.deepEqual(cluster.evicted, []);
    assertServed(cluster, ["a", "b"]);
    assert.deepEqual(cluster.named("c"), []);
  });

  test("who was trusted again rests: it follows, gets no shard, and a further suspicion takes none from it", () => {
    const cluster = startCluster(three);
    cluster.isolate("c");
    cluster.run(1_000);
    cluster.cuts.clear();
    cluster.run(20_000);
    assert.deepEqual(cluster.owned("c"), []);
    assert.ok(cluster.named("c").length > 0, "it follows");
    cluster.run(cluster.options.suspicionRestMs);
    assertServed(cluster, three);
  });

  test("a connection that comes and goes moves shards once in the time that a node rests", () => {
    const cluster = startCluster(three);
    const before = cluster.log.reduce((sum, { epoch }) => sum + epoch, 0);
    const owned = cluster.owned("c").length;
    for (let round = 0; round < 10; round++) {
      cluster.isolate("c");
      cluster.run(1_000);
      cluster.cuts.clear();
      cluster.run(3_000);
    }
    const claims = cluster.log.reduce((sum, { epoch }) => sum + epoch, 0) - before;
    // its own, and what balance moves between the two others
    assert.ok(claims <= owned + 2, `${claims} claims`);
  });

  test("a node that rests loses its shards when its lease lapses", () => {
    const cluster = startCluster(three, { catchUpMs: 100 });
    cluster.isolate("c");
    cluster.run(1_000);
    cluster.cuts.clear();
    cluster.run(10_000);
    cluster.process("c").state = "killed";
    cluster.run(leaseMs + 10_000);
    assert.deepEqual(cluster.evicted, ["c"]);
    assert.deepEqual(cluster.named("c"), []);
  });

  test("a coordinator that hears of nobody deposes nobody, and goes by leases", () => {
    const cluster = startCluster(three);
    for (const other of ["b", "c"]) {
      cluster.cut(other, "a");
      cluster.cut("a", other);
    }
    cluster.run(20_000);
    assert.deepEqual(cluster.changes, []);
    const lost = cluster.owned("c");
    cluster.process("c").state = "killed";
    cluster.run(leaseMs - 500);
    assert.deepEqual(cluster.owned("c"), lost);
    cluster.run(1_000);
    assert.deepEqual(cluster.owned("c"), []);
  });
});

describe("two coordinators, and answers that are lost", () => {
  test("the next coordinator gives away at once what the one that died owned, without waiting for its report", () => {
    const cluster = startCluster(three);
    const lost = cluster.owned("a");
    const standbys = lost.map((shard) => cluster.target(shard)?.standbys[0]);
    cluster.process("a").state = "killed";
    cluster.coordinate("b");
    cluster.run(300);
    lost.forEach((shard, index) => assert.ok(sameNode(cluster.log[shard]?.owner, standbys[index])));
  });

  test("one that takes over knows nothing and comes to the same targets", () => {
    const cluster = startCluster(three);
    cluster.coordinate("b");
    cluster.run(30_000);
    assert.deepEqual(cluster.changes, []);
  });

  test("one that takes over from a node that died promotes at once, and waits for nothing that cannot come", () => {
    const cluster = startCluster(three);
    cluster.process("a").state = "killed";
    cluster.coordinate("b");
    cluster.run(200);
    assert.deepEqual(cluster.owned("a"), []);
    for (const { owner } of cluster.log) assert.notEqual(owner?.node, "a");
  });

  test("a picture that comes late says nothing; in a store that was put back to an earlier time it is the truth", () => {
    const cluster = startCluster(three);
    const members = [...cluster.members.values()].map(({ ref, info }) => ({ ...ref, info, leftMs: 1 }));
    const early = { version: 1, members: members.slice(0, 1), assignments: [] };
    cluster.step({ nowMs: cluster.nowMs, kind: "picture", picture: early });
    cluster.run(1_000);
    assert.deepEqual(cluster.changes, []);
    const late = { ...early, members, assignments: [{ shard: 0, version: 1, target: { standbys: [] } }] };
    cluster.run(cluster.options.pictureLateMs);
    cluster.assign = (changes) => changes.map(() => ({ ok: false, reason: "stale" }));
    cluster.step({ nowMs: cluster.nowMs, kind: "picture", picture: late });
    assert.deepEqual(
      cluster.changes.slice(0, 2).map(({ expected }) => expected),
      [1, 0],
    );
  });

  test("one that takes over goes on with the moves that are under way", () => {
    const cluster = startCluster(["a", "b"], { catchUpMs: 3_000 });
    cluster.join("c");
    cluster.run(1_000);
    const moving = cluster.targets().filter((target) => target?.to !== undefined).length;
    assert.ok(moving > 0);
    cluster.coordinate("b");
    cluster.run(1_000);
    assert.equal(cluster.targets().filter((target) => target?.to !== undefined).length, moving);
    cluster.run(30_000);
    assertServed(cluster, three);
  });

  test("what the one before decided from an older picture changes nothing, and it looks again", () => {
    const cluster = startCluster(three);
    const former = cluster.coordinator;
    const present = cluster.coordinate("b");
    cluster.run(1_000);
    cluster.verb({ kind: "pin", shards: [0], to: "b" });
    const version = cluster.assignments.get(0)?.version;
    // the former has not heard of it
    cluster.coordinator = former;
    cluster.verb({ kind: "pin", shards: [0], to: "c" });
    assert.equal(cluster.target(0)?.pin, "b");
    assert.equal(cluster.assignments.get(0)?.version, version);
    assert.equal(cluster.answers.length, 1, "it is not answered before it stands");
    cluster.coordinator = present;
    cluster.run(10_000);
    assert.equal(cluster.target(0)?.pin, "b");
  });

  test("one that is told that its lease is another's does nothing more, and tells who waits", () => {
    const cluster = startCluster(three);
    const change = { shard: 0, expected: 1, target: { standbys: [] } };
    cluster.assign = (changes) => changes.map(() => ({ ok: false, reason: "deposed" }));
    cluster.verb({ kind: "pin", shards: [0], to: "b" });
    cluster.verb({ kind: "pin", shards: [1], to: "b" });
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      ["unavailable", "unavailable"],
    );
    cluster.changes.length = 0;
    cluster.step({ nowMs: cluster.nowMs, kind: "assigned", outcomes: [{ change, outcome: { ok: true, version: 2 } }] });
    cluster.process("c").state = "killed";
    cluster.run(10_000);
    assert.deepEqual(cluster.changes, []);
  });

  test("a change whose answer was lost is found in the next picture", () => {
    const cluster = startCluster(three);
    cluster.lostAnswers = 1;
    cluster.verb({ kind: "pin", shards: [0], to: "b" });
    cluster.run(1_000);
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      [undefined],
    );
    assert.equal(cluster.target(0)?.pin, "b");
  });

  test("a verb that the store does not take is answered in time", () => {
    const cluster = startCluster(three);
    cluster.assign = (changes) => changes.map(() => ({ ok: false, reason: "unknown" }));
    cluster.verb({ kind: "pin", shards: [0], to: "b" });
    cluster.run(cluster.options.verbTimeoutMs + 200);
    assert.deepEqual(
      cluster.answers.map(({ code }) => code),
      ["unavailable"],
    );
  });
});
