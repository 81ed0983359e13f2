/**
 * Many runs on one PostgreSQL and one network, and the sums over them.
 *
 * Invariant: each run has a database and processes of its own, and its seed; what failed is kept in a file, from which the checks can be
 * made again.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { startPostgres } from "../../../src/adapters/postgres/server.harness.ts";
import { temporaryDirectory } from "../../../src/adapters/system/temporary.ts";
import { type Network, networkSkipReason, openNetwork } from "./network.ts";
import { type RunOptions, type RunResult, runOnce } from "./run.ts";
import { type Evidence, type Judgement, judge } from "./verdict.ts";

export interface CampaignOptions {
  readonly arrangement: RunOptions["arrangement"];
  readonly runs: number;
  readonly ms: number;
  /** Of the first run; each further one has the next. */
  readonly seed: number;
  readonly nodes: number;
  readonly leaseMs: number;
  readonly recoveryMs: number;
  /** Folder for the histories of runs that failed. */
  readonly keepIn?: string;
  readonly planted?: NonNullable<RunOptions["planted"]>;
  readonly print: (line: string) => void;
  readonly trace?: (line: string) => void;
}

export interface CampaignSums {
  runs: number;
  failed: number;
  kills: number;
  pauses: number;
  cuts: number;
  databases: number;
  acknowledged: number;
  queries: number;
  shown: number;
  unknown: number;
  notRun: number;
  searched: number;
  undecided: number;
  hands: number;
  claims: number;
  servedAgainMsMax: number;
  readonly violations: string[];
  /** Why nothing was cut. */
  readonly notCut: string | undefined;
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignSums> {
  const notCut = networkSkipReason();
  if (notCut !== undefined) options.print(`SKIPPED: no node is cut off: ${notCut}`);
  const network = notCut === undefined ? openNetwork(options.nodes) : undefined;
  using directory = temporaryDirectory();
  const sums = emptySums(notCut);
  const server = await startPostgres(settingsFor(network, directory.path));
  try {
    for (let run = 0; run < options.runs; run++) {
      const seed = options.seed + run;
      try {
        const result = await runOnce({ ...options, seed, server, network });
        add(sums, result);
        options.print(`seed ${seed}: ${describe(result)}`);
        sums.violations.push(...result.violations);
        if (result.violations.length > 0) report(result, seed, options);
      } catch (error) {
        sums.runs += 1;
        sums.failed += 1;
        sums.violations.push(`the run could not be finished: ${String(error)}`);
        options.print(`seed ${seed}: VIOLATION: ${sums.violations.at(-1)}`);
      }
    }
    return sums;
  } finally {
    await server.stop();
    network?.close();
  }
}

/** PostgreSQL is asked from the nodes' networks, too; by default it lets in this machine alone. */
function settingsFor(network: Network | undefined, directory: string): string[] {
  const settings = ["max_connections=200"];
  if (network === undefined) return settings;
  // The server may run as another user.
  chmodSync(directory, 0o755);
  const allowed = join(directory, "allowed.conf");
  writeFileSync(allowed, "host all all 127.0.0.1/32 trust\nhost all all 10.0.0.0/8 trust\n", { mode: 0o644 });
  return [...settings, `listen_addresses=127.0.0.1,${network.host}`, `hba_file=${allowed}`];
}

/** Makes the checks again from the file of a run that failed. */
export function judgeFile(path: string): Judgement {
  return judge(JSON.parse(gunzipSync(readFileSync(path)).toString()) as Evidence);
}

function report({ violations, evidence, ends }: RunResult, seed: number, { keepIn, print }: CampaignOptions): void {
  for (const violation of violations.slice(0, 20)) print(`VIOLATION: ${violation}`);
  for (const end of ends.slice(0, 5)) print(`  ${end}`);
  if (keepIn === undefined) return;
  mkdirSync(keepIn, { recursive: true });
  const path = join(keepIn, `seed-${seed}.json.gz`);
  writeFileSync(path, gzipSync(JSON.stringify(evidence)));
  print(`  history: ${path} (--check ${path} makes the checks again)`);
}

function describe(result: RunResult): string {
  const { kills, pauses, cuts, databases } = result.counts;
  return [
    `${kills} kills, ${pauses} pauses, ${cuts} cuts, ${databases} database restarts`,
    `${result.acknowledged} acknowledged, ${result.queries} read, ${result.shown} shown, ${result.unknown} unknown, ${result.notRun} not run`,
    `${result.searched} histories searched (${result.undecided} undecided), ${result.hands} hands, ${result.claims} claims`,
    `served again in ${result.servedAgainMs.toFixed(0)} ms`,
    result.violations.length === 0 ? "ok" : `${result.violations.length} VIOLATIONS`,
  ].join("; ");
}

export function describeSums(sums: CampaignSums): string {
  const { kills, pauses, cuts, databases } = sums;
  return [
    `${sums.runs} runs: ${kills} kills, ${pauses} pauses, ${cuts} cuts, ${databases} database restarts`,
    `${sums.acknowledged} commands acknowledged, ${sums.queries} reads, ${sums.shown} views shown, ${sums.unknown} unknown, ${sums.notRun} told as not run`,
    `${sums.searched} histories searched (${sums.undecided} undecided), ${sums.hands} hands, ${sums.claims} claims`,
    `served again after at most ${sums.servedAgainMsMax.toFixed(0)} ms`,
    `${sums.failed} runs with violations`,
  ].join("\n");
}

function emptySums(notCut: string | undefined): CampaignSums {
  const faults = { kills: 0, pauses: 0, cuts: 0, databases: 0 };
  const asked = { acknowledged: 0, queries: 0, shown: 0, unknown: 0, notRun: 0 };
  const checked = { searched: 0, undecided: 0, hands: 0, claims: 0, servedAgainMsMax: 0 };
  return { runs: 0, failed: 0, ...faults, ...asked, ...checked, violations: [], notCut };
}

function add(sums: CampaignSums, result: RunResult): void {
  sums.runs += 1;
  if (result.violations.length > 0) sums.failed += 1;
  for (const name of ["kills", "pauses", "cuts", "databases"] as const) sums[name] += result.counts[name];
  const added = [
    "acknowledged",
    "queries",
    "shown",
    "unknown",
    "notRun",
    "searched",
    "undecided",
    "hands",
    "claims",
  ] as const;
  for (const name of added) sums[name] += result[name];
  sums.servedAgainMsMax = Math.max(sums.servedAgainMsMax, result.servedAgainMs);
}
