/**
 * A process that runs seeds for a campaign, as it is told by messages.
 *
 * Invariant: it answers every seed it is given, in order; whoever waits too long for one knows that it hangs.
 */
import { runClusterSeed } from "./cluster/cluster-run.ts";
import type { DamageCounts } from "./damage.ts";
import { type RunResult, runSeed } from "./run.ts";
import type { SimKind } from "./seeds.ts";
import type { Counts } from "./world.ts";

export interface Order {
  readonly from: number;
  readonly until: number;
  readonly engine: SimKind | undefined;
  /** Stops at the first seed that fails. */
  readonly untilFound: boolean;
}

export interface SeedReport extends Readonly<Counts> {
  readonly kind: "seed";
  readonly seed: number;
  readonly engine: SimKind;
  readonly traceHash: string;
  readonly promise: string | undefined;
  readonly detail: string | undefined;
  readonly damage: DamageCounts;
  readonly simulatedMs: number;
}

export type WorkerMessage = SeedReport | { readonly kind: "ready" };

type KindResult = Omit<RunResult, "engine"> & { readonly engine: SimKind };

async function runKind(seed: number, engine: SimKind | undefined): Promise<KindResult> {
  if (engine !== "cluster") return runSeed(seed, engine === undefined ? {} : { engine });
  return { ...(await runClusterSeed(seed)), engine, damage: {} };
}

async function carryOut(order: Order): Promise<void> {
  for (let seed = order.from; seed < order.until; seed++) {
    const result = await runKind(seed, order.engine);
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
