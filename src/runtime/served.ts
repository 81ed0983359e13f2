/**
 * What a node that is one of several says of which shards are served where.
 *
 * Invariant: it is this node's belief, and nothing rests on it but who does work that the log or a store fences.
 */
import type { ShardId } from "../model/ids.ts";

export interface Served {
  /** Of this node. */
  readonly name: string;
  /** This node owns the shard, as far as it knows. */
  serves(shard: ShardId): boolean;
  /** The node that does, and its door if that is known. */
  where(shard: ShardId): { readonly node: string; readonly door: string | undefined } | undefined;
  /** Calls back when a shard is served, or not any more, here or elsewhere; not from inside of what changed it. @returns ends it */
  onChange(listener: () => void): () => void;
}
