/**
 * `holdfast verify --service ./entities.ts`: replays the whole log against this code before it is deployed.
 *
 * Invariant: it ends with 0 only if everything fitted; hashes are written only then.
 */
import { readFileSync, writeFileSync } from "node:fs";
import type { Command } from "commander";
import { readHashes, type StateHashes, writeHashes } from "../history/hash.ts";
import { type Divergence, type Verification, verifyHistory } from "../history/verify.ts";
import { HoldfastError } from "../model/errors.ts";
import { grouped } from "../std/progress.ts";
import { print, printJson, safe } from "./print.ts";
import {
  type LogOptions,
  loadService,
  openSource,
  type ServiceOptions,
  UsageError,
  withLog,
  withProgress,
  withService,
} from "./settings.ts";

interface VerifyOptions extends LogOptions, ServiceOptions {
  readonly against?: string;
  readonly write?: string;
}

const divergencesShown = 100;

export function addVerify(program: Command): void {
  const command = program
    .command("verify")
    .description("replays a whole log against code and reports every divergence; exit code 1 if there is one")
    .option("--against <file>", "compares the states with the hashes in this file")
    .option("--write <file>", "writes the hashes of the states, to compare with later");
  withService(withLog(command)).action(verify);
}

async function verify(options: VerifyOptions): Promise<void> {
  const definitions = await loadService(options);
  const against = options.against === undefined ? undefined : readFile(options.against);
  const source = await openSource(options);
  const result = await withProgress("Replaying", (progress) =>
    verifyHistory(source, definitions, { progress, ...(against === undefined ? {} : { against }) }),
  );
  const fits = result.divergenceCount === 0;
  if (!fits) process.exitCode = 1;
  if (options.write !== undefined && fits) writeFile(options.write, result.hashes);
  if (options.json === true) {
    const { hashes: _hashes, ...told } = result;
    return printJson(told);
  }
  printResult(result, against !== undefined);
  if (options.write === undefined) return;
  print(fits ? `Hashes are in ${options.write}.` : "No hashes were written.");
}

function printResult(result: Verification, compared: boolean): void {
  const { records, entities, divergences, divergenceCount } = result;
  for (const divergence of divergences.slice(0, divergencesShown)) print(line(divergence));
  const more = divergenceCount - Math.min(divergences.length, divergencesShown);
  if (more > 0) print(`and ${grouped(more)} more`);
  const read = `${grouped(records)} records of ${grouped(entities)} entities were replayed`;
  const hashes = compared ? `, ${grouped(result.compared)} states compared` : "";
  const found = divergenceCount === 0 ? "no divergence" : `${grouped(divergenceCount)} divergence(s)`;
  print(`${read}${hashes}: ${found}.`);
  if (divergenceCount > 0)
    print("Do not deploy this code on this log: docs/patterns/evolution.md says how to mend each kind.");
}

function line({ kind, shard, entity, offset, detail }: Divergence): string {
  const where = offset === 0 ? `shard ${shard}` : `shard ${shard}, offset ${offset}`;
  return `${kind}  ${entity ?? "-"}  (${where})  ${safe(detail)}`;
}

function readFile(path: string): StateHashes {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`--against: ${(error as Error).message}.`);
  }
  return readHashes(text);
}

function writeFile(path: string, hashes: StateHashes): void {
  try {
    writeFileSync(path, writeHashes(hashes));
  } catch (cause) {
    throw new HoldfastError("invalid-configuration", `The hashes could not be written: ${(cause as Error).message}.`);
  }
}
