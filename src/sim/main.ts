/**
 * `npm run sim`: one seed, many seeds, or the search for planted bugs.
 *
 * Invariant: exits with 1 if anything was violated, or if a planted bug was not found.
 */
import { appendFileSync } from "node:fs";
import { type Arguments, readArguments, usage } from "./arguments.ts";
import { type CampaignResult, runCampaign } from "./campaign.ts";
import { runClusterSeed } from "./cluster/cluster-run.ts";
import { huntPlanted, type PlantedResult } from "./planted/hunt.ts";
import { writeReport } from "./report.ts";
import { runSeed } from "./run.ts";
import { readSeeds, seedsFile, simKinds } from "./seeds.ts";
import type { SeedReport } from "./worker.ts";

async function main(): Promise<boolean> {
  const given = readArguments(process.argv.slice(2));
  if (given.seed !== undefined) return runOne(given, given.seed);
  if (given.seeds === 0 && !given.planted) {
    console.log(usage);
    return true;
  }
  const campaign = given.seeds > 0 ? await runMany(given) : undefined;
  const planted = given.planted ? await hunt(given) : undefined;
  if (given.report !== undefined) writeReport(given.report, { campaign, planted, from: given.from });
  return (campaign?.failures.length ?? 0) === 0 && (planted ?? []).every(({ found }) => found !== undefined);
}

async function runOne(given: Arguments, seed: number): Promise<boolean> {
  const tell = given.trace ? { tell: (line: string) => console.log(line) } : {};
  const { engine } = given;
  if (engine === "cluster") return runOneCluster(seed, tell);
  const result = await runSeed(seed, { ...tell, ...(engine === undefined ? {} : { engine }) });
  for (const { promise, detail, atMs } of result.violations)
    console.log(`violated at ${atMs} ms: ${promise}: ${detail}`);
  const { calls, records, restarts, faults, early, lost } = result.counts;
  console.log(
    `seed ${seed} on the ${result.engine}: ${calls} calls, ${records} records, ${faults} faults, ${restarts} restarts, ${early} early answers, ${lost} lost, ` +
      `${(result.simulatedMs / 1000).toFixed(1)} s simulated, ${result.violations.length === 0 ? "nothing violated" : "FAILED"}`,
  );
  console.log(`trace ${result.traceHash}`);
  return result.violations.length === 0;
}

async function runOneCluster(seed: number, options: Parameters<typeof runClusterSeed>[1]): Promise<boolean> {
  const { violations, counts, simulatedMs, servedMs, traceHash } = await runClusterSeed(seed, options);
  for (const { promise, detail, atMs } of violations) console.log(`violated at ${atMs} ms: ${promise}: ${detail}`);
  const { calls, records, restarts, faults } = counts;
  console.log(
    `seed ${seed} of a cluster: ${calls} calls, ${records} records, ${faults} faults, ${restarts} restarts, all served ${servedMs.toFixed(0)} ms after the last fault, ` +
      `${(simulatedMs / 1000).toFixed(1)} s simulated, ${violations.length === 0 ? "nothing violated" : "FAILED"}`,
  );
  console.log(`trace ${traceHash}`);
  return violations.length === 0;
}

async function runMany(given: Arguments): Promise<CampaignResult> {
  const { from, seeds, engine, workers } = given;
  let ran = 0;
  const onSeed = (report: SeedReport) => {
    if (report.promise !== undefined) tellFailure(report);
    if (++ran % 1_000 === 0) console.log(`${ran} seeds`);
  };
  const result = await runCampaign({ from, seeds, engine, workers, onSeed });
  const counted = simKinds.map((kind) => `${result.byEngine[kind]} ${kind}`).join(", ");
  const hours = result.simulatedMs / 3_600_000;
  const perSecond = result.seeds / (result.elapsedMs / 1000);
  console.log(
    `${result.seeds} seeds (${counted}) in ${(result.elapsedMs / 1000).toFixed(0)} s, ` +
      `${perSecond.toFixed(1)} seeds/s with ${workers} workers, ${hours.toFixed(1)} h simulated: ${result.failures.length} failed`,
  );
  return result;
}

function tellFailure({ seed, engine, promise, detail }: SeedReport): void {
  console.log(`seed ${seed} on the ${engine} violated "${promise}": ${detail}`);
  console.log(`  npm run sim -- --seed ${seed} --engine ${engine} --trace`);
  const known = readSeeds().some((line) => line.seed === seed && line.engine === engine);
  if (!known) appendFileSync(seedsFile, `${engine} ${seed} # ${promise}\n`);
}

async function hunt(given: Arguments): Promise<readonly PlantedResult[]> {
  const results = await huntPlanted({ only: given.only, workers: given.workers, seedsMax: 20_000 }, (result) => {
    const told = result.found === undefined ? "NOT FOUND" : `seed ${result.found.seed}: ${result.found.promise}`;
    console.log(`${result.name}: ${result.seeds} seeds, ${(result.elapsedMs / 1000).toFixed(1)} s, ${told}`);
  });
  console.log(`${results.filter(({ found }) => found !== undefined).length} of ${results.length} planted bugs found`);
  return results;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  console.error(usage);
  process.exitCode = 2;
}
