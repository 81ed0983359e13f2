/**
 * What nodes of a cluster say of themselves, and what is meant for a shard. Both stand in coordination as plain data.
 *
 * Invariant: nothing here says who writes. A target is a wish; the shard log's fence is the law.
 */
import type { Epoch, Offset, ShardId } from "./ids.ts";

/** One running of a node, as targets name it. */
export interface NodeRef {
  readonly node: string;
  readonly generation: number;
}

/** `Member.info`. */
export interface NodeInfo {
  /** Where other nodes reach it: `ws://host:port`. */
  readonly peer: string;
  /** Where clients reach its door: `http://host:port`. */
  readonly door?: string;
  /** Standbys stand in other zones than their owner where there are any. */
  readonly zone?: string;
  /** Share of the shards relative to others, > 0. Default 1. */
  readonly weight?: number;
  /** Of the service's code, for people. */
  readonly version?: string;
  /** It gives its shards away and takes none; it is about to leave, or an operator excluded it. */
  readonly draining?: boolean;
}

/** `Assignment.target`. */
export interface ShardTarget {
  /** Who owns the shard or is to claim it. Undefined: nobody can. */
  readonly owner?: NodeRef;
  /** Who follows it, the first to be promoted first. */
  readonly standbys: readonly NodeRef[];
  /** A live move under way: it follows, and takes over by asking the owner. `standbys` does not hold it. */
  readonly to?: NodeRef;
  /** An operator wants it on the node of this name while that is a member. */
  readonly pin?: string;
}

/** What a node reports of one shard that it has to do with. */
export interface ShardReport {
  readonly shard: ShardId;
  /** `owner`: it serves. `standby`: it follows and could be promoted at once. `catching-up`: it is not so far yet. */
  readonly role: "owner" | "standby" | "catching-up";
  readonly epoch: Epoch;
  readonly tail: Offset;
  /** Commands since the report before; 0 for others than owners. */
  readonly load: number;
  /** Records that its owner has and it has not, as far as it knows. Of those that follow. */
  readonly lag?: number;
}

/** What a node tells the coordinator, at most every `statusMs` and whenever something in it is another. */
export interface NodeReport {
  readonly from: NodeRef;
  readonly shards: readonly ShardReport[];
  /** Members that it had a connection with and has lost. */
  readonly unreachable: readonly NodeRef[];
}

export function sameNode(one: NodeRef | undefined, other: NodeRef | undefined): boolean {
  return one?.node === other?.node && one?.generation === other?.generation;
}
