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
  readonly owner?: string;
  readonly epoch: Epoch;
  readonly tail: Offset;
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
