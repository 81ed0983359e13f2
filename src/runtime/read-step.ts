/**
 * One step of a log that is in use.
 *
 * Invariant: what cannot be read is not there. Damage is found by whoever recovers the shard.
 */
import type { Offset, ShardId } from "../model/ids.ts";
import type { StepRecord } from "../model/records.ts";
import type { ShardLog } from "../ports/log.ts";
import { decodeFrame } from "../wire/frame.ts";

export async function readStep(log: ShardLog, shard: ShardId, at: Offset): Promise<StepRecord | undefined> {
  try {
    for await (const frames of log.read(new Map([[shard, at]]))) {
      for (const frame of frames) {
        if (at < frame.at || at >= frame.at + frame.count) continue;
        const record = decodeFrame(frame.bytes, shard, frame.at, undefined).records[at - frame.at];
        return record?.kind === "step" ? record : undefined;
      }
    }
  } catch {
    // trimmed, or damaged: the caller is told that the answer is gone
  }
  return undefined;
}
