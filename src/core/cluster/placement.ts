/**
 * Placement: from the nodes there are and what is meant for each shard at present, what is to be meant for it next.
 *
 * A pure function, run again and again; each result is one step that is safe by itself. Invariants:
 * 1. Its own result changes nothing when it is given back.
 * 2. An owner changes only when it is gone, or suspected while a standby is ready. All else is a live move: `to`.
 * 3. Moves that it starts leave at most `movesMax` under way, and at most as many standbys being replaced.
 * 4. No standby is the owner or the target of the move; none is in the owner's zone while nodes in others can take it.
 * 5. A standby that is ready leaves only when those that stay instead are ready too.
 * 6. The order in which nodes are given does not matter.
 */

import type { NodeRef, ShardTarget } from "../../model/cluster.ts";
import { assert } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import { settleOwners } from "./placement-owners.ts";
import { settleStandbys } from "./placement-standbys.ts";
import { makeWorld, targetOf } from "./placement-world.ts";

/** A member whose lease holds. Who is not given is gone. */
export interface PlacementNode {
  readonly ref: NodeRef;
  /** > 0. Shares are by weight. */
  readonly weight: number;
  readonly zone: string | undefined;
  /** It gives everything away and takes nothing. */
  readonly draining: boolean;
  /** It takes nothing, and what it owns goes to standbys that are ready. What has none waits for its lease. */
  readonly suspected: boolean;
  /** It was suspected lately: it keeps what it owns, and no shard is moved onto it. */
  readonly resting: boolean;
}

export interface PlacementShard {
  readonly shard: ShardId;
  /** Undefined: it was never assigned. */
  readonly target: ShardTarget | undefined;
  /** Of any unit, the same for all shards. */
  readonly load: number;
  /** Who could be promoted at once, the most caught up first. */
  readonly ready: readonly NodeRef[];
  /** It is not moved for the sake of balance now. */
  readonly hold: boolean;
  /** A move onto this node has just failed: no other is begun. */
  readonly avoid: NodeRef | undefined;
}

export interface PlacementOptions {
  /** Wanted of each shard, as far as there are nodes. */
  readonly standbys: number;
  /** Moves of owners under way at once; and, apart from those, replacements of standbys. */
  readonly movesMax: number;
}

export interface PlacementInput {
  readonly nodes: readonly PlacementNode[];
  /** In the order of their numbers. */
  readonly shards: readonly PlacementShard[];
  readonly options: PlacementOptions;
}

/** @returns a target for each shard, in their order; where nothing changes the very one that was given */
export function placement(input: PlacementInput): readonly ShardTarget[] {
  for (const { weight, ref } of input.nodes)
    assert(weight > 0 && Number.isFinite(weight), `the weight of ${ref.node} is a number > 0`);
  const world = makeWorld(input);
  settleOwners(world);
  settleStandbys(world);
  return world.drafts.map((draft) => targetOf(world, draft));
}
