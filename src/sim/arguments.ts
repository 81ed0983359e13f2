/**
 * The command line of the simulator.
 *
 * Invariant: what is not understood is refused, with what there is.
 */
import { parseArgs } from "node:util";
import { type SimKind, simKinds } from "./seeds.ts";

export interface Arguments {
  readonly seed: number | undefined;
  readonly seeds: number;
  readonly from: number;
  readonly engine: SimKind | undefined;
  readonly workers: number;
  readonly trace: boolean;
  readonly planted: boolean;
  readonly only: readonly string[];
  readonly report: string | undefined;
}

export const usage = `Simulates one node, or a cluster, under faults.
  --seed N               runs one seed and prints its trace hash (--trace: the whole trace)
  --seeds N [--from M]   runs many; a failing one goes to src/sim/seeds.txt
  --engine log|disk      the faulty log, or the segment log on a simulated disk; default: the seed decides
  --cluster              a cluster over one log and one coordination, not one node (also --engine cluster)
  --planted [name ...]   looks for each planted bug (or those named) until a seed finds it
  --workers N            processes, default 2
  --report FILE          writes the results down`;

/** @throws Error with what is wrong */
export function readArguments(given: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...given],
    allowPositionals: true,
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      from: { type: "string" },
      engine: { type: "string" },
      cluster: { type: "boolean" },
      workers: { type: "string" },
      trace: { type: "boolean" },
      planted: { type: "boolean" },
      report: { type: "string" },
    },
  });
  const named = values.cluster === true ? "cluster" : values.engine;
  const engine = simKinds.find((kind) => kind === named);
  if (named !== engine) throw new Error(`--engine is one of ${simKinds.join(", ")}`);
  if (positionals.length > 0 && values.planted !== true) throw new Error(`what is "${positionals[0]}"?`);
  return {
    seed: values.seed === undefined ? undefined : whole("--seed", values.seed),
    seeds: whole("--seeds", values.seeds ?? "0"),
    from: whole("--from", values.from ?? "1"),
    engine,
    workers: Math.max(1, whole("--workers", values.workers ?? "2")),
    trace: values.trace === true,
    planted: values.planted === true,
    only: positionals,
    report: values.report,
  };
}

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} takes a whole number, not "${text}"`);
  return value;
}
