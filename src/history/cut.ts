/**
 * A past that ends at a cut through all shards, so that what came later does not show.
 *
 * Invariant: what is read of it is the same however much the log has grown since.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../model/ids.ts";
import type { HistorySource } from "./source.ts";

export interface CutPosition {
  readonly epoch: Epoch;
  readonly tail: Offset;
}

/**
 * @param cut of every shard by its number
 * @throws `invalid-input` (when it is read) the log does not reach so far
 */
export function upTo(source: HistorySource, cut: readonly CutPosition[]): HistorySource {
  const tailOf = (shard: ShardId) => cut[shard]?.tail ?? 1;
  return {
    shardCount: source.shardCount,
    async positions(shards) {
      const positions = await source.positions(shards);
      return positions.map((position, index) => {
        const shard = shards[index] as ShardId;
        if (position.tail < tailOf(shard)) throw shorter(shard, position.tail, tailOf(shard));
        return { ...position, ...(cut[shard] ?? { epoch: 0, tail: 1 }) };
      });
    },
    async *read(from) {
      for await (const frames of source.read(from)) {
        const within = frames.filter(({ shard, at }) => at < tailOf(shard));
        if (within.length > 0) yield within;
      }
    },
    start: async (shard, until, definitions) =>
      await source.start?.(shard, until ?? { offset: tailOf(shard) - 1 }, definitions),
  };
}

function shorter(shard: ShardId, tail: Offset, wanted: Offset): HoldfastError {
  const text = `The log of shard ${shard} ends at offset ${tail - 1}, and the cut is at ${wanted - 1}: it is another service's, or it lost records.`;
  return new HoldfastError("invalid-input", text, { details: { shard, tail, wanted } });
}
