/** Clusters for tests of placement: made at random, and brought to where placement wants them step by step. */
import fc from "fast-check";
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import { type PlacementNode, type PlacementOptions, type PlacementShard, placement } from "./placement.ts";

export interface Cluster {
  readonly nodes: readonly PlacementNode[];
  readonly shards: readonly PlacementShard[];
  readonly options: PlacementOptions;
}

export function nodeOf(name: string, parts: Partial<PlacementNode> = {}): PlacementNode {
  return {
    ref: { node: name, generation: 1 },
    weight: 1,
    zone: undefined,
    draining: false,
    suspected: false,
    resting: false,
    ...parts,
  };
}

export function nodesOf(count: number, parts: (index: number) => Partial<PlacementNode> = () => ({})): PlacementNode[] {
  return Array.from({ length: count }, (_, index) => nodeOf(`n${String(index).padStart(4, "0")}`, parts(index)));
}

export function shardOf(shard: number, target?: ShardTarget, parts: Partial<PlacementShard> = {}): PlacementShard {
  return { shard, target, load: 0, ready: [], hold: false, avoid: undefined, ...parts };
}

export function clusterOf(
  nodes: readonly PlacementNode[],
  shardCount: number,
  options: Partial<PlacementOptions> = {},
): Cluster {
  return {
    nodes,
    shards: Array.from({ length: shardCount }, (_, shard) => shardOf(shard)),
    options: { standbys: 1, movesMax: 16, ...options },
  };
}

/** Everything that a target asks for has come about: moves have ended, and whoever follows is ready. */
export function comeThrough(cluster: Cluster, targets: readonly ShardTarget[]): Cluster {
  const shards = cluster.shards.map((shard, index) => {
    const target = targets[index] as ShardTarget;
    const { owner, to, standbys, pin } = target;
    if (to === undefined) return { ...shard, target, ready: standbys };
    const former = cluster.nodes.find(({ ref }) => sameNode(ref, owner));
    const stays = former !== undefined && !former.draining && !former.suspected ? [former.ref] : [];
    const after: ShardTarget = {
      owner: to,
      standbys: [...stays, ...standbys.filter((standby) => !sameNode(standby, to))],
      ...(pin === undefined ? undefined : { pin }),
    };
    return { ...shard, target: after, ready: standbys };
  });
  return { ...cluster, shards };
}

export interface Settled {
  readonly cluster: Cluster;
  readonly targets: readonly ShardTarget[];
  readonly steps: number;
  /** Owners that changed on the way. */
  readonly moved: ReadonlySet<number>;
}

/** Places, lets it come through, and places again, until nothing changes. */
export function settle(start: Cluster, watch?: (before: Cluster, targets: readonly ShardTarget[]) => void): Settled {
  let cluster = start;
  const moved = new Set<number>();
  for (let steps = 0; steps < 10_000; steps++) {
    const targets = placement(cluster);
    watch?.(cluster, targets);
    const next = comeThrough(cluster, targets);
    next.shards.forEach((shard, index) => {
      if (!sameNode(shard.target?.owner, cluster.shards[index]?.target?.owner)) moved.add(index);
    });
    const calm = cluster.shards.every(
      ({ target, ready }, index) => target === targets[index] && target?.to === undefined && ready === target?.standbys,
    );
    if (calm) return { cluster: next, targets, steps, moved };
    cluster = next;
  }
  throw new Error("it does not come to rest");
}

export function countBy(refs: readonly (NodeRef | undefined)[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const ref of refs) if (ref !== undefined) counts.set(ref.node, (counts.get(ref.node) ?? 0) + 1);
  return counts;
}

export function ownersOf(targets: readonly ShardTarget[]): ReadonlyMap<string, number> {
  return countBy(targets.map(({ owner }) => owner));
}

const names = ["a", "b", "c", "d", "e", "f", "g", "h"];

const anyNode = fc.record({
  weight: fc.constantFrom(1, 1, 1, 2, 3, 0.5),
  zone: fc.constantFrom(undefined, "z1", "z2", "z3"),
  draining: fc.constantFrom(false, false, false, true),
  suspected: fc.constantFrom(false, false, false, true),
  resting: fc.constantFrom(false, false, false, true),
});

/** Of names that are members or not, of the generation that is there or of an older one. */
const anyRef = fc.record({ node: fc.constantFrom(...names), generation: fc.constantFrom(1, 1, 1, 0) });

const anyTarget = fc
  .record({
    owner: fc.option(anyRef, { nil: undefined }),
    standbys: fc.uniqueArray(anyRef, { maxLength: 4, selector: ({ node }) => node }),
    to: fc.option(anyRef, { nil: undefined, freq: 2 }),
    pin: fc.option(fc.constantFrom(...names), { nil: undefined, freq: 1 }),
  })
  .map(
    ({ owner, standbys, to, pin }): ShardTarget => ({
      ...(owner === undefined ? undefined : { owner }),
      standbys,
      ...(to === undefined ? undefined : { to }),
      ...(pin === undefined ? undefined : { pin }),
    }),
  );

const anyShard = fc.record({
  target: fc.option(anyTarget, { nil: undefined, freq: 8 }),
  load: fc.nat(1_000),
  /** Which of its followers are ready, by bits. */
  ready: fc.nat(31),
  hold: fc.constantFrom(false, false, true),
  avoid: fc.option(anyRef, { nil: undefined, freq: 1 }),
});

/** Any cluster at all, sensible or not. */
export const anyCluster: fc.Arbitrary<Cluster> = fc
  .record({
    nodes: fc.array(anyNode, { minLength: 0, maxLength: names.length }),
    shards: fc.array(anyShard, { minLength: 1, maxLength: 40 }),
    standbys: fc.constantFrom(0, 1, 1, 1, 2, 3),
    movesMax: fc.constantFrom(0, 1, 2, 5, 100),
  })
  .map(({ nodes, shards, standbys, movesMax }) => ({
    nodes: nodes.map((node, index) => nodeOf(names[index] as string, node)),
    shards: shards.map(({ target, ready, ...rest }, shard) => {
      const followers = [...(target?.standbys ?? []), ...(target?.to === undefined ? [] : [target.to])];
      return shardOf(shard, target, { ...rest, ready: followers.filter((_, bit) => (ready >> bit) & 1) });
    }),
    options: { standbys, movesMax },
  }));
