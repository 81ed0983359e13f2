/**
 * Lets time pass on a timeline, for programs that wait by promises.
 *
 * Invariant: before each step everything that is ready has run, so what follows from one event happens before the next.
 */
import { systemClock } from "../system/clock.ts";
import type { Timeline } from "./timeline.ts";

/** Runs every promise that is settled, and what follows from it at once. */
export function settle(): Promise<void> {
  return new Promise((resolve) => systemClock.defer(resolve));
}

/** Passes time up to `untilMs`, running what is due on the way. */
export async function passUntil(timeline: Timeline, untilMs: number): Promise<void> {
  await settle();
  for (let nextMs = timeline.nextMs; nextMs !== undefined && nextMs <= untilMs; nextMs = timeline.nextMs) {
    timeline.runNext();
    await settle();
  }
  timeline.skipTo(untilMs);
}
