/**
 * Loading a snapshot from a store that does not answer.
 *
 * Invariant: what the log can tell alone it tells after some tries; what only a snapshot has is waited for.
 */
import { backoff } from "../core/alarms.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { LoadResult } from "./snapshot-load.ts";
import type { ShardSnapshots } from "./snapshots.ts";

const triesMax = 3;
const pauseMostMs = 5_000;

/** @returns undefined if it did not answer and the log is whole */
export async function loadPatiently(
  snapshots: ShardSnapshots,
  logWhole: boolean,
  clock: Clock,
  report: (error: unknown) => void,
): Promise<LoadResult | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await snapshots.load();
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "unavailable") throw error;
      report(error);
      if (logWhole && tries >= triesMax) return undefined;
      await new Promise<void>((resolve) => clock.after(Math.min(backoff(tries), pauseMostMs), resolve));
    }
  }
}
