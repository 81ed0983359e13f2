/** What placement promises, for any cluster at all and for large ones. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import {
  anyCluster,
  type Cluster,
  clusterOf,
  comeThrough,
  countBy,
  nodeOf,
  nodesOf,
  ownersOf,
  settle,
  shardOf,
} from "./placement.harness.ts";
import { type PlacementNode, placement } from "./placement.ts";
import { quotasOf } from "./shares.ts";

const many = { numRuns: 3_000 };
const some = { numRuns: 500 };

function nodeFor(cluster: Cluster, ref: NodeRef | undefined): PlacementNode | undefined {
  return cluster.nodes.find((node) => sameNode(node.ref, ref));
}

function given(cluster: Cluster, targets: readonly ShardTarget[]): Cluster {
  return { ...cluster, shards: cluster.shards.map((shard, index) => ({ ...shard, target: targets[index] })) };
}

function eachTarget(
  cluster: Cluster,
  targets: readonly ShardTarget[],
  check: (target: ShardTarget, before: ShardTarget | undefined, ready: readonly NodeRef[]) => void,
): void {
  targets.forEach((target, index) => {
    const shard = cluster.shards[index];
    check(target, shard?.target, shard?.ready ?? []);
  });
}

const has = (refs: readonly NodeRef[], ref: NodeRef | undefined): boolean => refs.some((one) => sameNode(one, ref));

/** Within floor and ceiling of its share, of what pins leave. */
function assertBalanced(nodes: readonly PlacementNode[], counts: ReadonlyMap<string, number>, total: number): void {
  const weight = nodes.reduce((sum, node) => sum + node.weight, 0);
  for (const node of nodes) {
    const share = (total * node.weight) / weight;
    const count = counts.get(node.ref.node) ?? 0;
    assert.ok(
      count >= Math.floor(share + 1e-9) && count <= Math.ceil(share - 1e-9),
      `${node.ref.node} has ${count}, its share is ${share}`,
    );
  }
}

describe("of any cluster", () => {
  const holds = (name: string, check: (cluster: Cluster, targets: readonly ShardTarget[]) => void): void => {
    void test(name, () => {
      fc.assert(
        fc.property(anyCluster, (cluster) => check(cluster, placement(cluster))),
        many,
      );
    });
  };

  holds("what placement gives changes nothing when it is given back", (cluster, targets) => {
    placement(given(cluster, targets)).forEach((target, index) => assert.equal(target, targets[index]));
  });

  holds("the order of the nodes does not matter", (cluster, targets) => {
    assert.deepEqual(placement({ ...cluster, nodes: [...cluster.nodes].reverse() }), targets);
  });

  holds("a target names each node once, and only nodes that are there", (cluster, targets) => {
    eachTarget(cluster, targets, ({ owner, standbys, to }) => {
      const named = [owner, to, ...standbys].filter((ref) => ref !== undefined);
      assert.equal(new Set(named.map(({ node }) => node)).size, named.length);
      for (const ref of named) assert.ok(nodeFor(cluster, ref));
    });
  });

  holds("an owner changes only when it is gone, or suspected while a standby is ready", (cluster, targets) => {
    eachTarget(cluster, targets, (target, before, ready) => {
      const owner = nodeFor(cluster, before?.owner);
      if (owner === undefined || sameNode(owner.ref, target.owner)) return;
      assert.ok(owner.suspected && has(ready, target.owner), "it moved by itself");
    });
  });

  holds("who is gone is followed by whoever is ready, before anybody else", (cluster, targets) => {
    eachTarget(cluster, targets, (target, before, ready) => {
      if (nodeFor(cluster, before?.owner) !== undefined) return;
      const able = (ref: NodeRef) => nodeFor(cluster, ref)?.suspected === false;
      if (ready.some(able)) assert.ok(has(ready.filter(able), target.owner));
      else if (before?.standbys.some(able))
        assert.ok(has([...before.standbys, ...(before.to ? [before.to] : [])], target.owner));
      else if (cluster.nodes.some((node) => !node.draining && !node.suspected)) assert.ok(target.owner);
    });
  });

  holds(
    "no node that drains or is suspected gets anything, but for shards that nobody else follows",
    (cluster, targets) => {
      eachTarget(cluster, targets, (target, before) => {
        const followed = [before?.owner, before?.to, ...(before?.standbys ?? [])].filter((ref) => ref !== undefined);
        for (const ref of [target.owner, target.to, ...target.standbys]) {
          const node = ref && nodeFor(cluster, ref);
          if (node?.draining || node?.suspected) assert.ok(has(followed, ref), `${ref?.node} got one`);
        }
      });
    },
  );

  holds("no more moves are under way than allowed, but for those that were", (cluster, targets) => {
    const begun = targets.filter(({ to }, index) => to && cluster.shards[index]?.target?.to === undefined).length;
    const underWay = targets.filter(({ to }) => to).length;
    assert.ok(begun === 0 || underWay <= cluster.options.movesMax);
  });

  holds(
    "a standby that is ready leaves only when as many ready ones stay, or their number was too high",
    (cluster, targets) => {
      eachTarget(cluster, targets, (target, before, ready) => {
        const named = [before?.owner, before?.to, target.owner, target.to].filter((ref) => ref !== undefined);
        const able = (ref: NodeRef) => {
          const node = nodeFor(cluster, ref);
          return node !== undefined && !node.draining && !has(named, ref);
        };
        const followed = (before?.standbys ?? []).filter((ref) => able(ref) && has(ready, ref));
        if (followed.length === 0) return;
        const kept = target.standbys.filter((ref) => has(ready, ref)).length;
        assert.ok(kept >= Math.min(followed.length, cluster.options.standbys), "nobody ready is left");
      });
    },
  );

  holds("a pin stays in the target whoever is there", (cluster, targets) => {
    eachTarget(cluster, targets, (target, before) => assert.equal(target.pin, before?.pin));
  });
});

describe("of any cluster, when what is asked for comes through step by step", () => {
  const rested = anyCluster.filter(
    ({ nodes, options }) =>
      options.movesMax > 0 && nodes.some((node) => !node.draining && !node.suspected && !node.resting),
  );
  /** Nobody is suspected for ever, and no hold is. */
  const settling = rested.map((cluster) => ({
    ...cluster,
    nodes: cluster.nodes.map((node) => ({ ...node, suspected: false, resting: false })),
    shards: cluster.shards.map((shard) => ({ ...shard, hold: false, avoid: undefined })),
  }));
  const settles = (name: string, check: (cluster: Cluster, targets: readonly ShardTarget[]) => void): void => {
    void test(name, () => {
      fc.assert(
        fc.property(settling, (cluster) => {
          const { targets } = settle(cluster);
          check(cluster, targets);
        }),
        some,
      );
    });
  };

  settles("owners are balanced by weight, pins are held, and nodes that drain have nothing", (cluster, targets) => {
    const takers = cluster.nodes.filter((node) => !node.draining);
    const pinned = countBy(
      targets.map(({ pin, owner }) => {
        const node = takers.find(({ ref }) => ref.node === pin);
        if (node !== undefined) assert.ok(sameNode(owner, node.ref), "a pin is not held");
        return node?.ref;
      }),
    );
    const counts = ownersOf(targets);
    const quotas = quotasOf(
      targets.length,
      takers.map(({ ref, weight }) => ({
        weight,
        count: counts.get(ref.node) ?? 0,
        fixed: pinned.get(ref.node) ?? 0,
      })),
    );
    takers.forEach(({ ref }, index) => assert.equal(counts.get(ref.node) ?? 0, quotas[index]));
    if (pinned.size === 0) assertBalanced(takers, counts, targets.length);
    for (const target of targets)
      for (const ref of [target.owner, target.to, ...target.standbys])
        assert.ok(ref === undefined || !nodeFor(cluster, ref)?.draining, "a node that drains has something");
  });

  settles("each shard has the standbys that are wanted, in other zones where there are any", (cluster, targets) => {
    const takers = cluster.nodes.filter((node) => !node.draining);
    for (const { owner, standbys } of targets) {
      const zone = nodeFor(cluster, owner)?.zone;
      const wanted = Math.min(cluster.options.standbys, takers.length - 1);
      const apart = Math.min(wanted, takers.filter((node) => node.zone !== zone).length);
      assert.equal(standbys.length, wanted);
      assert.ok(standbys.filter((ref) => nodeFor(cluster, ref)?.zone !== zone).length >= apart);
    }
  });
});

describe("minimal movement", () => {
  const sizes = fc.record({
    nodes: fc.integer({ min: 1, max: 30 }),
    shards: fc.integer({ min: 1, max: 200 }),
    standbys: fc.constantFrom(0, 1, 2),
    weights: fc.infiniteStream(fc.constantFrom(1, 2, 3, 5)),
  });
  const all = Number.MAX_SAFE_INTEGER;

  test("a node that comes takes its share and nothing else moves", () => {
    fc.assert(
      fc.property(sizes, ({ nodes: count, shards, standbys }) => {
        const before = settle(clusterOf(nodesOf(count), shards, { standbys, movesMax: all })).cluster;
        const { moved, targets } = settle({ ...before, nodes: [...before.nodes, nodeOf("new")] });
        assert.ok(moved.size <= Math.ceil(shards / (count + 1)), `${moved.size} of ${shards} moved`);
        for (const shard of moved) assert.equal(targets[shard]?.owner?.node, "new");
      }),
      some,
    );
  });

  // Each quota of an old node is at most one above what it has: ceil(new share) <= ceil(old share) <= floor(old share) + 1. So apart from
  // what the new node takes, at most one shard goes to each old node, for the sake of rounding.
  test("with weights, at most one shard more goes to each node that was there", () => {
    fc.assert(
      fc.property(sizes, ({ nodes: count, shards, standbys, weights }) => {
        const weighted = (): Partial<PlacementNode> => ({ weight: weights.next().value as number });
        const before = settle(clusterOf(nodesOf(count, weighted), shards, { standbys, movesMax: all })).cluster;
        const added = nodeOf("new", weighted());
        const weight = before.nodes.reduce((sum, node) => sum + node.weight, added.weight);
        const { moved, targets } = settle({ ...before, nodes: [...before.nodes, added] });
        const others = countBy([...moved].map((shard) => targets[shard]?.owner));
        for (const [name, got] of others)
          assert.ok(got <= (name === "new" ? Math.ceil((shards * added.weight) / weight) : 1), `${name} got ${got}`);
      }),
      some,
    );
  });

  test("of a node that drains, and of one that dies without standbys, only its own shards move", () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), ({ nodes: count, shards, standbys }, drains) => {
        if (count < 2) return;
        const before = settle(
          clusterOf(nodesOf(count), shards, { standbys: drains ? standbys : 0, movesMax: all }),
        ).cluster;
        const leaving = before.nodes[0] as PlacementNode;
        const nodes = [...(drains ? [{ ...leaving, draining: true }] : []), ...before.nodes.slice(1)];
        const { moved } = settle({ ...before, nodes });
        for (const shard of moved) assert.ok(sameNode(before.shards[shard]?.target?.owner, leaving.ref));
      }),
      some,
    );
  });

  test("when a node dies, owners change only of its own shards; balance comes after, by moves", () => {
    fc.assert(
      fc.property(sizes, ({ nodes: count, shards, standbys }) => {
        if (count < 3) return;
        const before = settle(clusterOf(nodesOf(count), shards, { standbys, movesMax: all })).cluster;
        const dead = before.nodes[0]?.ref;
        const targets = placement({ ...before, nodes: before.nodes.slice(1) });
        const quota = Math.ceil(shards / (count - 1));
        let excess = 0;
        for (const owned of ownersOf(targets).values()) excess += Math.max(0, owned - Math.floor(shards / (count - 1)));
        eachTarget(before, targets, ({ owner }, was) => {
          if (!sameNode(owner, was?.owner)) assert.ok(sameNode(was?.owner, dead));
        });
        assert.ok(targets.filter(({ to }) => to).length <= excess, `quota ${quota}`);
      }),
      some,
    );
  });

  test("what one node owns is followed by all others, so that it goes to many when the node dies", () => {
    const { cluster, targets } = settle(clusterOf(nodesOf(5), 250));
    for (const { ref } of cluster.nodes) {
      const followers = countBy(targets.filter(({ owner }) => sameNode(owner, ref)).map(({ standbys }) => standbys[0]));
      for (const count of followers.values()) assert.ok(count >= 8 && count <= 18, `${count} of 50`);
      assert.equal(followers.size, 4);
    }
  });

  test("a node is drained by exchange of roles where its standbys have room", () => {
    const before = settle(clusterOf(nodesOf(4), 64)).cluster;
    const drained = before.nodes.map((node, index) => ({ ...node, draining: index === 0 }));
    const targets = placement({ ...before, nodes: drained });
    const moves = targets.flatMap(({ to }, index) => (to ? [{ to, ready: before.shards[index]?.ready ?? [] }] : []));
    assert.equal(moves.length, 16);
    assert.ok(moves.filter(({ to, ready }) => has(ready, to)).length >= 12);
  });

  test("of equal shards the one is moved whose load brings the loads nearest to each other", () => {
    const owner = { node: "a", generation: 1 };
    const loads = [1, 100, 50, 3];
    const shards = loads.map((load, shard) => shardOf(shard, { owner, standbys: [] }, { load }));
    const targets = placement({
      nodes: [nodeOf("a"), nodeOf("b", { weight: 0.5 })],
      shards,
      options: { standbys: 0, movesMax: 1 },
    });
    // b is to have one, and of the load of 154 a share of 51: that is nearest to 50
    assert.deepEqual(
      targets.map(({ to }) => to?.node),
      [undefined, undefined, "b", undefined],
    );
  });
});

describe("1,000 nodes and 4,096 shards", () => {
  const zones = ["z1", "z2", "z3"];
  const nodes = nodesOf(1_000, (index) => ({ weight: 1 + (index % 3), zone: zones[index % zones.length] }));
  const settled = settle(clusterOf(nodes, 4_096, { movesMax: 4_096 }));

  test("owners and standbys are balanced by weight, standbys in other zones", () => {
    assertBalanced(nodes, ownersOf(settled.targets), 4_096);
    assertBalanced(nodes, countBy(settled.targets.map(({ standbys }) => standbys[0])), 4_096);
    for (const { owner, standbys } of settled.targets)
      assert.notEqual(nodeFor(settled.cluster, owner)?.zone, nodeFor(settled.cluster, standbys[0])?.zone);
  });

  test("fifty nodes die at once: their shards alone change owners, and all is balanced again by bounded moves", () => {
    const left = nodes.filter((_, index) => index % 20 !== 7);
    const start = { ...settled.cluster, nodes: left, options: { standbys: 1, movesMax: 64 } };
    placement(start).forEach(({ owner }, index) => {
      const was = settled.targets[index]?.owner;
      assert.ok(sameNode(owner, was) || nodeFor(start, was) === undefined);
    });
    const after = settle(start, (_, targets) => assert.ok(targets.filter(({ to }) => to).length <= 64));
    assertBalanced(left, ownersOf(after.targets), 4_096);
    assert.ok(after.moved.size <= 4_096 / 10, `${after.moved.size} moved`);
  });

  test("a hundred nodes come: their share moves", () => {
    const more = [
      ...nodes,
      ...nodesOf(100).map((node) => ({ ...node, ref: { node: `x${node.ref.node}`, generation: 1 } })),
    ];
    const after = settle({ ...settled.cluster, nodes: more, options: { standbys: 1, movesMax: 64 } });
    assertBalanced(more, ownersOf(after.targets), 4_096);
    const weight = more.reduce((sum, node) => sum + node.weight, 0);
    assert.ok(after.moved.size <= 100 * Math.ceil(4_096 / weight) + more.length, `${after.moved.size} moved`);
  });

  test("step by step, from nothing, all targets of one step are what the next begins with", () => {
    const cluster = comeThrough(settled.cluster, settled.targets);
    placement(cluster).forEach((target, index) => assert.equal(target, settled.targets[index]));
  });
});
