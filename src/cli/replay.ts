/**
 * `holdfast replay file.json --service ./entities.ts`: what the code here does with what broke an entity there.
 *
 * Invariant: it ends with 0 only if nothing threw.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { type EvolvedEvents, readCapture, replayCapture } from "../history/capture.ts";
import { definitionOf } from "../history/replay.ts";
import { formatRef } from "../model/ids.ts";
import { makeChance } from "../runtime/chance.ts";
import { Prng } from "../std/prng.ts";
import { asJson, printFork } from "./fork.ts";
import { pretty, print, printJson, printPatch, safe, shown } from "./print.ts";
import { loadService, parseJson, type ServiceOptions, UsageError, withService } from "./settings.ts";

interface ReplayOptions extends ServiceOptions {
  readonly seed: string;
  readonly json?: boolean;
}

export function addReplay(program: Command): void {
  const command = program
    .command("replay <file>")
    .description("runs what `quarantine show --out` wrote against the code that is here, on a copy")
    .option("--seed <number>", "of the decide's random, which is another than it was", "1")
    .option("--json", "prints JSON for programs");
  withService(command).action(replay);
}

async function replay(file: string, options: ReplayOptions): Promise<void> {
  if (!/^\d{1,15}$/.test(options.seed)) throw new UsageError(`--seed is a number, not "${options.seed}".`);
  const capture = readCapture(parseJson(file, readText(file)));
  const definition = definitionOf(await loadService(options), capture.entity.type);
  const prng = new Prng(Number(options.seed));
  const chance = makeChance({ bytes: (count) => prng.bytes(count) });
  const replayed = replayCapture(definition, capture, chance);
  const { command, input } = capture.captured;
  if (replayed.kind === "command") {
    const { fork } = replayed;
    if (fork.faults.length > 0) process.exitCode = 1;
    if (options.json === true) return printJson({ kind: "command", ...asJson(fork) });
    print(`${formatRef(capture.entity)} at version ${capture.version}: ${command} ${shown(input)}`);
    if (capture.error !== null) print(`then: ${safe(capture.error.split("\n")[0] ?? "")}`);
    return printFork(fork, command);
  }
  if (replayed.evolved.failed !== undefined) process.exitCode = 1;
  if (options.json === true) return printJson({ kind: "events", ...replayed.evolved });
  print(`${formatRef(capture.entity)} at version ${capture.version}: the events of ${command}`);
  printEvolved(replayed.evolved);
}

function printEvolved({ failed, patch, after }: EvolvedEvents): void {
  if (failed !== undefined) return print(`"${failed.event}" cannot be evolved: ${safe(failed.error)}`);
  print("all of them are evolved");
  printPatch(patch);
  print("state after:");
  print(pretty(after));
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}.`);
  }
}
