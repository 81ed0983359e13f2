/**
 * What goes wrong in a run, drawn from its seed.
 *
 * Invariant: the plan is a function of seed, length and what can be done here; faults overlap as they fall, and all are over when the run
 * is.
 */
import { Prng } from "../../../src/std/prng.ts";
import type { Direction, End } from "./network.ts";

export type Fault = { readonly atMs: number; readonly forMs: number } & (
  | { readonly kind: "kill" | "pause"; readonly node: number }
  | { readonly kind: "cut"; readonly node: number; readonly end: End; readonly direction: Direction }
  /** `kill` is SIGKILL of all its processes; the others are PostgreSQL's own words for a shutdown. */
  | { readonly kind: "database"; readonly how: "kill" | "fast" | "immediate" }
);

export interface PlanOptions {
  readonly seed: number;
  readonly ms: number;
  readonly nodes: number;
  readonly leaseMs: number;
  /** Whom a node can be cut off from. Empty: nothing can be cut. */
  readonly ends: readonly End["kind"][];
}

/** One of each kind in so many milliseconds, on average. */
const every = { kill: 5_000, pause: 9_000, cut: 12_000, database: 25_000 };

export function planFaults({ seed, ms, nodes, leaseMs, ends }: PlanOptions): Fault[] {
  const prng = new Prng(seed);
  const faults: Fault[] = [];
  const draw = (
    kind: keyof typeof every,
    make: (when: { atMs: number; forMs: number }) => Fault,
    forMs: () => number,
  ) => {
    const count = Math.floor(ms / every[kind] + prng.fraction());
    for (let one = 0; one < count; one++) {
      const atMs = Math.floor(ms * (0.05 + 0.8 * prng.fraction()));
      faults.push(make({ atMs, forMs: Math.min(Math.floor(forMs()), ms - atMs) }));
    }
  };
  const node = () => prng.integer(nodes);
  const longerThanLease = () => leaseMs * (1.2 + 1.3 * prng.fraction());
  draw(
    "kill",
    (when) => ({ ...when, kind: "kill", node: node() }),
    () => prng.between(0, leaseMs),
  );
  draw("pause", (when) => ({ ...when, kind: "pause", node: node() }), longerThanLease);
  if (ends.length > 0) {
    draw(
      "cut",
      (when) => {
        const from = node();
        return {
          ...when,
          kind: "cut",
          node: from,
          end: drawEnd(prng, ends, from, nodes),
          direction: drawDirection(prng),
        };
      },
      () => prng.between(leaseMs / 4, 2 * leaseMs),
    );
  }
  const how = () => prng.pick(["kill", "fast", "immediate"] as const);
  draw(
    "database",
    (when) => ({ ...when, kind: "database", how: how() }),
    () => prng.between(0, 1_500),
  );
  return faults.sort((one, other) => one.atMs - other.atMs);
}

function drawEnd(prng: Prng, ends: readonly End["kind"][], from: number, nodes: number): End {
  const kind = prng.pick(ends);
  if (kind !== "node") return { kind };
  return { kind, index: (from + 1 + prng.integer(nodes - 1)) % nodes };
}

function drawDirection(prng: Prng): Direction {
  return prng.pick(["out", "in", "both"] as const);
}
