/**
 * What placement works on: nodes by their place in the order of names, and a draft of each shard's target.
 *
 * Invariant: a draft names only nodes that are there, each at most once.
 */
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import type { PlacementInput, PlacementNode, PlacementOptions, PlacementShard } from "./placement.ts";

/** In place of a node: nobody. */
export const nobody = -1;

export interface Draft {
  readonly asked: PlacementShard;
  owner: number;
  to: number;
  /** Those that leave when the others are ready come first. */
  standbys: number[];
  /** Who could be promoted at once, the most caught up first. */
  readonly ready: readonly number[];
  readonly avoid: number;
  /** The member that has the pin's name. */
  readonly pin: number;
}

export interface World {
  readonly nodes: readonly PlacementNode[];
  readonly drafts: readonly Draft[];
  readonly options: PlacementOptions;
}

export function makeWorld(input: PlacementInput): World {
  const nodes = [...input.nodes].sort((one, other) => (one.ref.node < other.ref.node ? -1 : 1));
  const places = new Map(nodes.map(({ ref }, index) => [ref.node, index]));
  const placeOf = (ref: NodeRef | undefined): number => {
    const place = ref === undefined ? undefined : places.get(ref.node);
    return place !== undefined && nodes[place]?.ref.generation === ref?.generation ? place : nobody;
  };
  const placesOf = (refs: readonly NodeRef[]): number[] => refs.map(placeOf).filter((place) => place !== nobody);
  const drafts = input.shards.map((asked) => {
    const { target, ready, avoid } = asked;
    const owner = placeOf(target?.owner);
    const to = placeOf(target?.to);
    const standbys = new Set(placesOf(target?.standbys ?? []));
    standbys.delete(owner);
    standbys.delete(to);
    return {
      asked,
      owner,
      to: to === owner ? nobody : to,
      standbys: [...standbys],
      ready: placesOf(ready),
      avoid: placeOf(avoid),
      pin: target?.pin === undefined ? nobody : (places.get(target.pin) ?? nobody),
    };
  });
  return { nodes, drafts, options: input.options };
}

export function nodeAt(world: World, place: number): PlacementNode {
  return world.nodes[place] as PlacementNode;
}

/** Shards may be moved onto it. */
export function takesMoves(world: World, place: number): boolean {
  const node = world.nodes[place];
  return node !== undefined && !node.draining && !node.suspected && !node.resting;
}

/** It may follow shards that it does not follow yet. */
export function takesStandbys(world: World, place: number): boolean {
  const node = world.nodes[place];
  return node !== undefined && !node.draining && !node.suspected;
}

export function targetOf(world: World, draft: Draft): ShardTarget {
  const { owner, to, standbys, asked } = draft;
  const refOf = (place: number): NodeRef => nodeAt(world, place).ref;
  const target: ShardTarget = {
    ...(owner === nobody ? undefined : { owner: refOf(owner) }),
    standbys: standbys.map(refOf),
    ...(to === nobody ? undefined : { to: refOf(to) }),
    ...(asked.target?.pin === undefined ? undefined : { pin: asked.target.pin }),
  };
  return asked.target !== undefined && sameTarget(asked.target, target) ? asked.target : target;
}

export function sameTarget(one: ShardTarget, other: ShardTarget): boolean {
  return (
    sameNode(one.owner, other.owner) &&
    sameNode(one.to, other.to) &&
    one.pin === other.pin &&
    one.standbys.length === other.standbys.length &&
    one.standbys.every((standby, index) => sameNode(standby, other.standbys[index]))
  );
}
