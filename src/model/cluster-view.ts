/**
 * What operators see of a cluster and what they may do: the words of `holdfast nodes | shards | move | drain | pin`.
 *
 * Invariant: plain data, the same in the CLI's JSON, the admin API and the console.
 */
import type { NodeInfo } from "./cluster.ts";
import type { Epoch, Offset, ShardId } from "./ids.ts";

export interface NodeView {
  readonly node: string;
  readonly generation: number;
  readonly info: NodeInfo;
  /** What is left of its lease, by the store's clock; 0 if it has lapsed. */
  readonly leaseMs: number;
  readonly coordinator: boolean;
  readonly owns: number;
  readonly follows: number;
  /** The one who answers has a connection with it, or is it. */
  readonly connected: boolean;
}

export interface ShardView {
  readonly shard: ShardId;
  /** Who serves it, or is about to; undefined while nobody is known. */
  readonly owner?: string;
  readonly epoch: Epoch;
  /** As it was last reported, at most half a second ago. */
  readonly tail: Offset;
  /** `ready`: it could be promoted at once. The lag is its own word, 0 before it has said anything. */
  readonly standbys: readonly { readonly node: string; readonly lagRecords: number; readonly ready: boolean }[];
  /** A move under way. */
  readonly to?: string;
  readonly pin?: string;
}

export interface ClusterView {
  /** The node that answers. */
  readonly self: string;
  readonly nodes: readonly NodeView[];
  readonly shards: readonly ShardView[];
}

/** What monitoring sees of a node's part in its cluster. Counts are since the start of this running. */
export interface ClusterFigures {
  readonly node: string;
  readonly generation: number;
  readonly coordinates: boolean;
  /** Shards that it owns, and that it follows. */
  readonly owned: number;
  readonly followed: number;
  /** Records that the worst of those that it follows is behind its owner. */
  readonly lagRecords: number;
  /** Copies here that had another state than their owner at the same offset. */
  readonly diverged: number;
  /** Nodes that it has a connection with. */
  readonly peers: number;
  /** Calls that it sent to the owners of their shards, repeats among them. */
  readonly forwarded: number;
  /** Shards that became its own. */
  readonly claims: number;
  /** Those of them that somebody had owned before who did not hand them over: after a crash, a suspicion, a restart. */
  readonly failovers: number;
  /** Live moves that came through: shards that it handed over, and took over. */
  readonly movesGiven: number;
  readonly movesTaken: number;
}
