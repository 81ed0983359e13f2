/**
 * The segments that hold the log, oldest first, and which of them may go.
 *
 * Invariant: a segment goes only if it is the oldest, not the active one, every record in it may be dropped, and no
 * read needs it.
 */
import type { Offset, ShardId } from "../../model/ids.ts";

/** A segment that has begun. */
export interface Segment {
  readonly number: number;
  readonly bytes: number;
  /** First offset of every shard in this segment or later. */
  readonly tails: Float64Array;
  /** Reads that need it. */
  pins: number;
}

export class Retained {
  readonly #segments: Segment[];
  /** The shard that kept the oldest segment when it was last asked for; asked first, since trims come shard by shard. */
  #keeper: ShardId = 0;

  /** @param segments in order, at least one */
  constructor(segments: readonly Segment[]) {
    this.#segments = [...segments];
  }

  get oldest(): Segment {
    return this.#segments[0] as Segment;
  }

  all(): readonly Segment[] {
    return this.#segments.slice();
  }

  push(segment: Segment): void {
    this.#segments.push(segment);
  }

  trimmed(shard: ShardId): Offset {
    return this.oldest.tails[shard] as number;
  }

  /**
   * Takes the oldest segment out if it may go.
   * @param allowed per shard, records below may be dropped
   */
  shift(allowed: Float64Array): Segment | undefined {
    const [oldest, next] = this.#segments;
    if (oldest === undefined || next === undefined || oldest.pins > 0) return undefined;
    const keeps = (shard: ShardId) => {
      const end = next.tails[shard] as number;
      return end > (oldest.tails[shard] as number) && end > (allowed[shard] as number);
    };
    if (keeps(this.#keeper)) return undefined;
    for (let shard = 0; shard < allowed.length; shard++) {
      if (!keeps(shard)) continue;
      this.#keeper = shard;
      return undefined;
    }
    return this.#segments.shift();
  }
}
