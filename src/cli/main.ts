/**
 * The command line: which verbs there are, and how it ends.
 *
 * Exit codes: 0 done; 1 the answer is no (a divergence, no such entity) or an error of the catalogue; 2 it was called
 * wrongly. Invariant: errors go to the error stream and say what to do; nothing is cut off by the end of the process.
 */
import { Command, CommanderError } from "commander";
import { isHoldfastError } from "../model/errors.ts";
import { addBackup } from "./backup.ts";
import { addCalls } from "./calls.ts";
import { addCluster } from "./cluster.ts";
import { addErase } from "./erase.ts";
import { addEvents } from "./events.ts";
import { addFork } from "./fork.ts";
import { addInspect } from "./inspect.ts";
import { addMigrate } from "./migrate.ts";
import { addQuarantine } from "./quarantine.ts";
import { addReplay } from "./replay.ts";
import { explain, UsageError } from "./settings.ts";
import { addShards } from "./shards.ts";
import { addStart } from "./start.ts";
import { addStatus } from "./status.ts";
import { addSubscribers } from "./subscribers.ts";
import { addVerify } from "./verify.ts";

const after = `
Exit codes: 0 done; 1 the answer is no, or an error that its code explains; 2 wrong usage.
Nothing here but start, erase and migrate writes into a log, and a node may be running on it meanwhile; what operators do, the node records.`;

export async function main(argv: readonly string[]): Promise<void> {
  // The reader of our output may have seen enough: `holdfast events table/42 | head`.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  const program = new Command("holdfast")
    .description("Runs a Holdfast service, looks into its log, backs it up, and deals with what is out of order.")
    .addHelpText("after", after)
    .exitOverride()
    .showHelpAfterError("(holdfast --help shows what there is)");
  for (const add of [
    addStart,
    addInspect,
    addEvents,
    addFork,
    addShards,
    addStatus,
    addVerify,
    addBackup,
    addQuarantine,
    addReplay,
    addCalls,
    addSubscribers,
    addErase,
    addMigrate,
    addCluster,
  ])
    add(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    process.exitCode = fail(error);
  }
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it
  if (error instanceof UsageError) {
    console.error(`error: ${error.message}`);
    return 2;
  }
  if (isHoldfastError(error)) {
    console.error(explain(error));
    return 1;
  }
  console.error(error);
  return 1;
}
