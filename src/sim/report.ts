/**
 * Writes a campaign's results down for `docs/results`.
 *
 * Invariant: every figure in it was measured in this run, and it says on which commit.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { systemClock } from "../adapters/system/clock.ts";
import type { CampaignResult } from "./campaign.ts";
import { damagePromise } from "./damage.ts";
import type { PlantedResult } from "./planted/hunt.ts";
import type { SeedReport } from "./worker.ts";

export interface Results {
  readonly campaign: CampaignResult | undefined;
  readonly planted: readonly PlantedResult[] | undefined;
  readonly from: number;
}

export function writeReport(file: string, { campaign, planted, from }: Results): void {
  const date = new Date(systemClock.now()).toISOString().slice(0, 10);
  const lines = [
    `# Simulation, ${date}`,
    "",
    `Commit ${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "src") === "" ? "" : ", with changes in src"}, ` +
      `Node ${process.version}, ${availableParallelism()} cores.`,
    "",
    ...(campaign === undefined ? [] : campaignLines(campaign, from)),
    ...(campaign === undefined ? [] : damageLines(campaign)),
    ...(planted === undefined ? [] : plantedLines(planted)),
  ];
  writeFileSync(file, `${lines.join("\n").trimEnd()}\n`);
}

function campaignLines(campaign: CampaignResult, from: number): string[] {
  const { seeds, byEngine, failures, elapsedMs, counts } = campaign;
  const hours = (campaign.simulatedMs / 3_600_000).toFixed(0);
  return [
    `## Campaign: \`npm run sim -- --seeds ${seeds} --from ${from}\``,
    "",
    "| | |",
    "|---|---|",
    `| seeds | ${from} to ${from + seeds - 1}: ${byEngine.log} on the faulty log, ${byEngine.disk} on the segment log over the simulated disk |`,
    `| violated | ${failures.length === 0 ? "nothing" : failures.map(({ seed, engine, promise }) => `${engine} ${seed}: ${promise}`).join("; ")} |`,
    `| calls, records | ${counts.calls}, ${counts.records} |`,
    `| planned faults, restarts | ${counts.faults}, ${counts.restarts} |`,
    `| snapshots, trims | ${counts.snapshots}, ${counts.trims} |`,
    `| starts of older code, refused | ${counts.refusals} |`,
    `| time | ${(elapsedMs / 1000).toFixed(0)} s for ${hours} h of simulated time, ${(seeds / (elapsedMs / 1000)).toFixed(0)} seeds/s |`,
    "",
  ];
}

function damageLines({ damage, failures }: CampaignResult): string[] {
  if (Object.keys(damage).length === 0) return [];
  return [
    "## Damage, in the same campaign",
    "",
    "At the end of some runs one thing of what is stored was damaged on a copy, and a node started over it, twice. Detected: it refused",
    "to start, or told what it did without. Harmless: it shows what the log said. Shorter: the log's end is gone, and nothing else on the",
    "node had ever held it; it shows what the shorter log says. Wrong: anything else.",
    "",
    "| damage | injected | detected | harmless | shorter | wrong |",
    "|---|---|---|---|---|---|",
    ...Object.entries(damage)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([kind, { detected, harmless, shorter }]) => {
        const isOfKind = ({ promise, detail }: SeedReport) =>
          promise === damagePromise && detail?.startsWith(`${kind}: `);
        const wrong = failures.filter(isOfKind).length;
        const injected = detected + harmless + shorter + wrong;
        return `| ${kind} | ${injected} | ${detected} | ${harmless} | ${shorter} | ${wrong} |`;
      }),
    "",
  ];
}

function plantedLines(planted: readonly PlantedResult[]): string[] {
  return [
    "## Planted bugs: `npm run sim -- --planted`",
    "",
    "Seeds from 1 on, until one failed. The same seeds pass without the bug.",
    "",
    "| bug | what it does | seeds | seconds | violated |",
    "|---|---|---|---|---|",
    ...planted.map(
      ({ name, what, seeds, elapsedMs, found }) =>
        `| ${name} | ${what} | ${seeds} | ${(elapsedMs / 1000).toFixed(1)} | ${found?.promise ?? "**not found**"} |`,
    ),
    "",
  ];
}

function git(...command: string[]): string {
  try {
    return execFileSync("git", command, { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
