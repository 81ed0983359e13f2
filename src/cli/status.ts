/** `holdfast status --url …`: how a running node is. Exit code 1 unless it serves. */
import type { Command } from "commander";
import { statusPath } from "../gateway/http-operator.ts";
import type { ClusterFigures } from "../model/cluster-view.ts";
import type { ProjectionStatus } from "../model/projection-status.ts";
import type { Behind, Figures } from "../runtime/service.ts";
import { duration, grouped, progressLine } from "../std/progress.ts";
import { print, printJson, safe } from "./print.ts";
import { askNode, type RemoteOptions, withRemote } from "./remote.ts";

export function addStatus(program: Command): void {
  const command = program
    .command("status")
    .description("shows how a running node is: entities, hit rate, checkpoints, quarantine, recovery");
  withRemote(command).action(status);
}

async function status(options: RemoteOptions): Promise<void> {
  const figures = (await askNode(options, statusPath)) as Figures;
  if (options.json === true) printJson(figures);
  else for (const line of statusLines(figures)) print(line);
  if (figures.phase !== "serving") process.exitCode = 1;
}

export function statusLines(figures: Figures): string[] {
  const { phase, shards, hot, stored, hotBytes, lookups, activations, evictions, log } = figures;
  const present = Object.entries(shards).filter(([, count]) => count > 0);
  const rows: [string, string][] = [
    ["phase", `${safe(phase)}${figures.readOnly ? ", read only: the log has no space" : ""}`],
    ["shards", present.map(([name, count]) => `${count} ${safe(name)}`).join(", ")],
  ];
  if (figures.cluster !== undefined) rows.push(["cluster", part(figures.cluster)]);
  if (phase === "recovering") {
    const { recovered, toRecover, etaMs } = figures;
    rows.push(["recovery", progressLine("", recovered, toRecover, etaMs).trim()]);
  }
  const bytes = hotBytes === undefined ? "" : `, ${megabytes(hotBytes)}`;
  const hits = lookups === 0 ? "" : `, hit rate ${(100 * (1 - activations / lookups)).toFixed(1)} %`;
  rows.push(
    ["entities", `${grouped(hot)} in memory${bytes}, ${grouped(stored)} in the state store`],
    ["lookups", `${grouped(lookups)}${hits}, ${grouped(evictions)} evicted`],
    ["commands", `${grouped(figures.commands)}, queries ${grouped(figures.queries)}`],
    ["answers", answers(figures)],
    ["appends", `${grouped(figures.commits.count)} of ${grouped(figures.commits.records)} records`],
    ["checkpoint", behind(figures.checkpoint)],
    ["snapshot", `${behind(figures.snapshot)}, ${megabytes(figures.snapshots.writtenBytes)} written`],
  );
  if (log !== undefined) rows.push(["log", `${grouped(log.records)} records, ${grouped(log.trimmed)} trimmed`]);
  rows.push(
    ["quarantine", `${grouped(figures.quarantined)} parked${heldBack(figures)}`],
    ["calls", `${grouped(figures.calls)} not settled, ${grouped(figures.callsParked)} parked`],
  );
  for (const each of figures.projections ?? []) rows.push(["projection", projection(each)]);
  if (figures.overBudget > 0) rows.push(["over budget", `${grouped(figures.overBudget)} decides`]);
  return rows.map(([name, text]) => `${name.padEnd(12)}${text}`);
}

function part({
  node,
  coordinates,
  owned,
  followed,
  lagRecords,
  peers,
  failovers,
  movesTaken,
}: ClusterFigures): string {
  const behind = lagRecords === 0 ? "" : ` (the worst ${grouped(lagRecords)} records behind)`;
  const does = coordinates ? ", coordinates" : "";
  return `${safe(node)} owns ${owned}, follows ${followed}${behind}, ${peers} peers${does}; ${grouped(movesTaken)} moves, ${grouped(failovers)} failovers`;
}

function answers({ replies }: Figures): string {
  const codes = Object.entries(replies).sort(([, one], [, other]) => other - one);
  return codes.map(([code, count]) => `${safe(code)} ${grouped(count)}`).join(", ") || "none";
}

function behind({ lagRecords, ageMs }: Behind): string {
  if (lagRecords === 0) return "up to date";
  return `${grouped(lagRecords)} records behind, ${duration(ageMs)} old (the worst shard)`;
}

function projection({ name, phase, served, version, documents, lag, error }: ProjectionStatus): string {
  const behind = lag === undefined ? "" : `, ${grouped(lag.records)} records behind`;
  const old = served === undefined ? ", nothing served yet" : served === version ? "" : ", an older version is served";
  const why = error === undefined ? "" : `: ${safe(error.code)} ${safe(error.detail)}`;
  return `${safe(name)} ${safe(phase)}, ${grouped(documents)} documents${behind}${old}${why}`;
}

function heldBack({ checkpoint: { withheld } }: Figures): string {
  return withheld === 0 ? "" : `; ${withheld} shards are not trimmed until they are dealt with`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
