/**
 * Process chaos: real nodes and a real PostgreSQL, killed, paused and cut off from each other while clients record what they are told.
 *
 *     npm run chaos -- --runs 200 --seconds 30 --seed 1
 *     npm run chaos -- --check artefacts/chaos/seed-7.json.gz     the checks once more, over a run that failed
 *
 * Prints a line per run and the sums; ends with 1 if any run had a violation. docs/chaos.md says what is done and checked.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { postgresSkipReason } from "../../../src/adapters/postgres/server.harness.ts";
import { artefacts } from "../../../src/adapters/system/program.harness.ts";
import { describeSums, judgeFile, runCampaign } from "./campaign.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: {
    runs: text,
    seconds: text,
    seed: text,
    nodes: text,
    lease: text,
    check: text,
    arrangement: text,
    trace: { type: "boolean" },
  },
});

function number(name: string, given: string | undefined, fallback: number): number {
  const value = Number(given ?? fallback);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${name} is a whole number above 0.`);
}

if (values.check !== undefined) {
  const { violations, ...counts } = judgeFile(values.check);
  console.log(counts);
  for (const violation of violations) console.log(`VIOLATION: ${violation}`);
  process.exit(violations.length === 0 ? 0 : 1);
}

const missing = postgresSkipReason();
if (missing !== undefined) throw new Error(missing);
// So that nodes, network and database go with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
const beganMs = performance.now();
const { arrangement = "cluster" } = values;
if (arrangement !== "cluster" && arrangement !== "takeover") throw new Error("--arrangement is cluster or takeover.");
const sums = await runCampaign({
  arrangement,
  runs: number("runs", values.runs, 10),
  ms: number("seconds", values.seconds, 30) * 1_000,
  seed: number("seed", values.seed, 1),
  nodes: number("nodes", values.nodes, 3),
  leaseMs: number("lease", values.lease, 2_000),
  recoveryMs: 20_000,
  keepIn: join(artefacts, "chaos"),
  print: (line) => console.log(line),
  ...(values.trace === true ? { trace: (line: string) => console.log(line) } : {}),
});
console.log(`\n${describeSums(sums)}\n${((performance.now() - beganMs) / 60_000).toFixed(1)} min`);
process.exit(sums.failed === 0 ? 0 : 1);
