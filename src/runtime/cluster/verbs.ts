/**
 * What operators may ask of a cluster, at any of its nodes.
 *
 * Invariant: a verb that resolved is in coordination: it holds whatever dies next.
 */
import type { ClusterView } from "../../model/cluster-view.ts";
import type { ShardId } from "../../model/ids.ts";

/**
 * Any node takes them and sees to it that the coordinator does.
 * @throws `unavailable` there is no coordinator at the moment, or coordination does not answer
 * @throws `invalid-input` there is no such node or shard
 */
export interface ClusterVerbs {
  view(): Promise<ClusterView>;
  /** Moves shards to the node, live. Resolves when it is decided, not when it has happened. Not pinned: placement may move them again. */
  move(shards: readonly ShardId[], to: string): Promise<void>;
  /** Wants the shards on the node of this name while it is a member; undefined takes that back. */
  pin(shards: readonly ShardId[], to: string | undefined): Promise<void>;
  /** The node gives away every shard and takes none, until `false`. It goes on serving its door. */
  drain(node: string, on: boolean): Promise<void>;
}
