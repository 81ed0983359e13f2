/**
 * `holdfast backup`: makes, lists, verifies, tries out, restores and deletes backups of a data directory.
 *
 * Invariant: the service's own directory is only read. What is written is the place of backups, or a directory that was empty.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../adapters/system/clock.ts";
import { HoldfastError } from "../model/errors.ts";
import { backUpDirectory, restoreDirectory } from "../presets/backup.ts";
import { BackupArea, listBackups } from "../runtime/backup-area.ts";
import { keysExtra } from "../runtime/backup-sealed.ts";
import { type BackupReport, readBackup, verifyBackup } from "../runtime/backup-verify.ts";
import { duration, grouped } from "../std/progress.ts";
import { confirm } from "./ask.ts";
import { addDrill } from "./drill.ts";
import { withPlace } from "./places.ts";
import { print, printJson, time } from "./print.ts";
import { withProgress } from "./settings.ts";

interface FromOptions {
  readonly from: string;
  readonly json?: boolean;
}

export function addBackup(program: Command): void {
  const backup = program.command("backup").description("backs a service up, verifies, tries out and restores backups");
  backup
    .command("create <name>")
    .description("copies a service as of one moment, beside a node that runs, and verifies the copy")
    .option("--data <directory>", "data directory of the service", ".data")
    .requiredOption("--to <place>", "where backups go: a directory, or s3://bucket/prefix")
    .option("--json", "prints JSON for programs")
    .action(create);
  withFrom(backup.command("list").description("lists the backups of a place")).action(list);
  withFrom(backup.command("verify <name>").description("reads every object of a backup again and checks it")).action(
    verify,
  );
  addDrill(withFrom(backup.command("drill <name>")));
  withFrom(backup.command("restore <name>").description("restores a backup into an empty directory"))
    .requiredOption("--data <directory>", "data directory to make; missing or empty")
    .option("--extras <directory>", "where to write what others put into the backup; keys go into the data directory")
    .option("--erased-from <directory>", "data directory of the service: what was erased there since stays erased")
    .action(restore);
  withFrom(
    backup.command("delete <name>").description("deletes a backup, or what is left of one that was not finished"),
  )
    .option("--yes", "does not ask")
    .action(remove);
}

function withFrom(command: Command): Command {
  return command
    .requiredOption("--from <place>", "where backups are: a directory, or s3://bucket/prefix")
    .option("--json", "prints JSON for programs");
}

async function create(name: string, options: { data: string; to: string; json?: boolean }): Promise<void> {
  const { data: directory, to: place, json } = options;
  const began = systemClock.monotonic();
  const report = await withPlace({ option: "--to", place, use: "write" }, (to) =>
    withProgress("Copying", (progress) => backUpDirectory({ name, to, directory, progress }), "bytes"),
  );
  if (json === true) return printJson(report);
  const took = duration(systemClock.monotonic() - began);
  print(`Backup ${name} of ${time(report.madeMs)} was made and verified in ${took}.`);
  printSizes(report);
}

function printSizes({ shards, shardCount, records, objects, bytes, extras }: BackupReport): void {
  const snapshots = shards.filter(({ at }) => at !== undefined).length;
  print(
    `${shards.length} of ${shardCount} shards have records: ${snapshots} snapshots, ${grouped(records)} records in frames.`,
  );
  print(`${grouped(objects)} objects, ${grouped(bytes)} bytes.`);
  if (extras.length > 0) print(`with ${extras.join(", ")}`);
}

async function list({ from: place, json }: FromOptions): Promise<void> {
  const reports = await withPlace({ option: "--from", place, use: "read" }, async (store) => {
    const found = await listBackups(store);
    const read = async ({ name, finished }: (typeof found)[number]) =>
      finished ? { ...(await readBackup({ name, from: store, clock: systemClock })), finished } : { name, finished };
    return await Promise.all(found.map(read));
  });
  if (json === true) return printJson(reports);
  if (reports.length === 0) return print("No backups there.");
  for (const report of reports) {
    if ("madeMs" in report) {
      const { name, madeMs, objects, bytes } = report;
      print(`${time(madeMs)}  ${grouped(objects).padStart(9)} objects  ${grouped(bytes).padStart(15)} bytes  ${name}`);
    } else print(`not finished: ${report.name}  (holdfast backup delete removes what is left of it)`);
  }
}

async function verify(name: string, { from: place, json }: FromOptions): Promise<void> {
  const report = await withPlace({ option: "--from", place, use: "read" }, (store) =>
    withProgress("Verifying", (progress) => verifyBackup({ name, from: store, clock: systemClock, progress }), "bytes"),
  );
  if (json === true) return printJson(report);
  print(`Backup ${name} of ${time(report.madeMs)} is whole: every object was read and checked.`);
  printSizes(report);
}

interface RestoreOptions extends FromOptions {
  readonly data: string;
  readonly extras?: string;
  readonly erasedFrom?: string;
}

async function restore(name: string, options: RestoreOptions): Promise<void> {
  const { data: directory, from: place, extras, erasedFrom, json } = options;
  const takeExtra =
    extras === undefined ? undefined : async (extra: string, bytes: Uint8Array) => writeExtra(extras, extra, bytes);
  const report = await withPlace({ option: "--from", place, use: "read" }, (from) => {
    const optional = {
      ...(takeExtra === undefined ? {} : { takeExtra }),
      ...(erasedFrom === undefined ? {} : { erasedFrom }),
    };
    const request = { name, from, directory, ...optional };
    return withProgress("Restoring", (progress) => restoreDirectory({ ...request, progress }), "bytes");
  });
  if (json === true) return printJson(report);
  print(`Backup ${name} of ${time(report.madeMs)} is restored in ${directory}.`);
  printSizes(report);
  if (report.extras.includes(keysExtra) && erasedFrom === undefined)
    print("Erasures that never reached this backup are to be repeated: holdfast erase <subject> --data <directory>.");
  print("Before a service starts there, see to it that the one it was taken from has ended for good.");
}

/** Readable to its owner alone: it may be keys. */
function writeExtra(directory: string, name: string, bytes: Uint8Array): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(join(directory, name), bytes, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const text = `--extras: ${name} could not be written: ${(cause as Error).message}.`;
    throw new HoldfastError("invalid-configuration", text, { cause });
  }
}

async function remove(name: string, { from: place, yes, json }: FromOptions & { yes?: boolean }): Promise<void> {
  const objects = await withPlace({ option: "--from", place, use: "write" }, async (store) => {
    const area = new BackupArea({ store, name, clock: systemClock });
    await confirm(`This deletes backup ${name} in ${place} for good.`, yes);
    return await area.remove();
  });
  if (json === true) printJson({ name, objects });
  else print(objects === 0 ? `There was nothing of a backup ${name}.` : `Backup ${name} is deleted.`);
  if (objects === 0) process.exitCode = 1;
}
