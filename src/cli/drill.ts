/** `holdfast backup drill`: tries a backup out in a temporary directory, and compares it with the service's own log. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { type DrillReport, drill } from "../presets/drill.ts";
import { duration, grouped } from "../std/progress.ts";
import { withPlace } from "./places.ts";
import { print, printJson, safe, time } from "./print.ts";
import { loadService, type ServiceOptions, withProgress, withService } from "./settings.ts";

interface DrillOptions extends ServiceOptions {
  readonly from: string;
  readonly data: string;
  readonly scratch?: string;
  readonly json?: boolean;
}

const shownMax = 100;

export function addDrill(command: Command): void {
  withService(command)
    .description(
      "restores a backup into a temporary directory, recovers a node from it, compares every state; deletes the directory",
    )
    .option("--data <directory>", "data directory of the live service, which is read, to compare with", ".data")
    .option("--scratch <directory>", "where the temporary directory is made; default: the system's")
    .action(run);
}

async function run(name: string, options: DrillOptions): Promise<void> {
  const definitions = await loadService(options);
  const { from: place, data, scratch } = options;
  const live = existsSync(data) ? data : undefined;
  const report = await withPlace({ option: "--from", place, use: "read" }, (from) =>
    withProgress("Trying out", (progress) => drill({ name, from, definitions, live, scratch, progress }), "bytes"),
  );
  if (report.divergences.length + report.differences.length > 0) process.exitCode = 1;
  if (options.json === true) return printJson(report);
  printReport(name, report);
}

function printReport(name: string, report: DrillReport): void {
  const { backup, entities, records, divergences, differences } = report;
  for (const { kind, entity, offset, detail } of divergences.slice(0, shownMax))
    print(`${kind}  ${entity ?? "-"}  (offset ${offset})  ${safe(detail)}`);
  for (const { where, entity, detail } of differences.slice(0, shownMax))
    print(`differs from the ${where === "live" ? "live log" : "recovered node"}  ${entity}  ${detail}`);
  print(
    `Backup ${name} of ${time(backup.madeMs)}: ${grouped(backup.objects)} objects, ${grouped(backup.bytes)} bytes.`,
  );
  print(`verified in ${duration(report.verifyMs)}, restored in ${duration(report.restoreMs)}`);
  print(
    `a node served ${grouped(entities)} entities after ${duration(report.serveMs)}; ${grouped(records)} records were replayed`,
  );
  print(`${grouped(report.comparedNode)} states of the node compared with a replay`);
  const live = report.comparedLive;
  if (live === undefined) print(`not compared with a live log: ${safe(report.notCompared ?? "")}`);
  else print(`${grouped(live)} states compared with the live log at the cut`);
  const wrong = divergences.length + differences.length;
  print(wrong === 0 ? "The drill succeeded." : `The drill failed: ${grouped(wrong)} differences.`);
}
