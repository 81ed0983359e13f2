/**
 * Shows on a terminal how far a node's recovery is: records replayed, of how many, and for how long still.
 *
 * Invariant: when the recovery has ended, well or not, nothing of it is left on the terminal and no timer runs.
 */
import type { Clock } from "../ports/clock.ts";
import type { HoldfastNode } from "../runtime/node.ts";
import { ProgressBar, type ProgressStream } from "./progress-bar.ts";

const lookEveryMs = 100;

export async function recoverVisibly(
  node: Pick<HoldfastNode, "health"> & { recover(): Promise<void> },
  stream: ProgressStream | undefined,
  clock: Clock,
): Promise<void> {
  if (stream === undefined) return node.recover();
  const bar = new ProgressBar("Recovering", stream, clock);
  let cancel = () => {};
  const look = () => {
    const { recovered, toRecover, etaMs } = node.health();
    if (toRecover > 0) bar.set(recovered, toRecover, etaMs);
    cancel = clock.after(lookEveryMs, look);
  };
  look();
  try {
    await node.recover();
  } finally {
    cancel();
    bar.clear();
  }
}
