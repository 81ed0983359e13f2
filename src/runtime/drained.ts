/**
 * Waits for what was accepted.
 *
 * Invariant: it ends, at the latest when its time is up.
 */
import type { Clock } from "../ports/clock.ts";

export async function drained(clock: Clock, mostMs: number, work: Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = clock.after(mostMs, resolve);
    void work.then(() => {
      cancel();
      resolve();
    });
  });
}
