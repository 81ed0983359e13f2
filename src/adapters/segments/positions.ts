/**
 * Where every shard stands: epoch, tail and how far it may be trimmed, in flat arrays so that a group commit or a
 * recovery of a million records allocates nothing per shard.
 */
import type { Epoch, Offset, ShardId } from "../../model/ids.ts";

export class Positions {
  readonly epochs: Float64Array;
  readonly tails: Float64Array;
  /** Records below may be dropped; always between 1 and the tail. */
  readonly allowed: Float64Array;

  constructor(shardCount: number) {
    this.epochs = new Float64Array(shardCount);
    this.tails = new Float64Array(shardCount).fill(1);
    this.allowed = new Float64Array(shardCount).fill(1);
  }

  get shardCount(): number {
    return this.tails.length;
  }

  epoch(shard: ShardId): Epoch {
    return this.epochs[shard] as number;
  }

  tail(shard: ShardId): Offset {
    return this.tails[shard] as number;
  }

  /** Shards that were ever written: only these stand in a checkpoint. */
  usedCount(): number {
    let used = 0;
    for (const tail of this.tails) if (tail > 1) used += 1;
    return used;
  }
}
