/**
 * A process that runs seeds for a campaign, as it is told by messages.
 *
 * Invariant: it answers every seed it is given, in order; whoever waits too long for one knows that it hangs.
 */
import type { DamageCounts } from "./damage.ts";
import { runSeed } from "./run.ts";
import type { Counts } from "./world.ts";

export interface Order {
  readonly from: number;
  readonly until: number;
  readonly engine: "log" | "disk" | undefined;
  /** Stops at the first seed that fails. */
  readonly untilFound: boolean;
}

export interface SeedReport extends Readonly<Counts> {
  readonly kind: "seed";
  readonly seed: number;
  readonly engine: "log" | "disk";
  readonly traceHash: string;
  readonly promise: string | undefined;
  readonly detail: string | undefined;
  readonly damage: DamageCounts;
  readonly simulatedMs: number;
}

export type WorkerMessage = SeedReport | { readonly kind: "ready" };

async function carryOut(order: Order): Promise<void> {
  for (let seed = order.from; seed < order.until; seed++) {
    const result = await runSeed(seed, order.engine === undefined ? {} : { engine: order.engine });
    const [violation] = result.violations;
    const { counts, damage, simulatedMs, engine, traceHash } = result;
    const { promise, detail } = violation ?? { promise: undefined, detail: undefined };
    tell({ kind: "seed", seed, engine, traceHash, promise, detail, ...counts, damage, simulatedMs });
    if (violation !== undefined && order.untilFound) break;
  }
  tell({ kind: "ready" });
}

function tell(message: WorkerMessage): void {
  process.send?.(message);
}

process.on("message", (order: Order) => {
  carryOut(order).catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});
tell({ kind: "ready" });
