/**
 * `holdfast erase player/7`: destroys the key of a subject's personal data. Of a service that runs through its door; of one that
 * is stopped in its data directory, and the log is told at the next start. Then in every backup of the places that are named.
 *
 * Invariant: nothing is destroyed before somebody said yes and every place of backups was found.
 */
import { existsSync } from "node:fs";
import { userInfo } from "node:os";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { openKeyFiles } from "../adapters/keys/files.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { openDirectory } from "../adapters/system/disk.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { eraseInBackups } from "../presets/backup-keys.ts";
import { keysDirectory } from "../presets/keys.ts";
import type { ErasedBackup } from "../runtime/backup-erase.ts";
import { askDoor } from "./door.ts";
import { withPlace } from "./places.ts";
import { print, printJson } from "./print.ts";
import { parseEntity, UsageError } from "./settings.ts";

interface EraseOptions {
  readonly url?: string;
  readonly token?: string;
  readonly data?: string;
  readonly backups: readonly string[];
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function addErase(program: Command): void {
  program
    .command("erase <subject>")
    .description("destroys the key of a subject's personal data, for good")
    .option("--url <address>", "a service that runs: its address")
    .option("--token <token>", "an operator's token; default: the variable HOLDFAST_TOKEN")
    .option("--data <directory>", "a service that is stopped: its data directory")
    .option(
      "--backups <place>",
      "a place of backups: erases in each of them too; may be repeated",
      (place: string, places: readonly string[]) => [...places, place],
      [],
    )
    .option("--yes", "does not ask")
    .option("--json", "prints JSON for programs")
    .action(erase);
}

async function erase(text: string, options: EraseOptions): Promise<void> {
  const subject = parseEntity(text);
  const { url, data, json, yes } = options;
  if ((url === undefined) === (data === undefined))
    throw new UsageError("give --url <address> of the service, or --data <directory> if it is stopped.");
  const { erased, backups } = await withPlaces(options.backups, async (places) => {
    if (yes !== true) await confirm(text);
    // the service first: what is backed up from now on has no key
    const done = data === undefined ? await eraseAt(subject, url as string, options) : await eraseIn(subject, data);
    if (json !== true) printErased(text, done, data !== undefined);
    const reached: PlacedBackup[] = [];
    for (const { place, store } of places) {
      const results = await eraseInBackups({ from: store, subject, principal: operator() });
      for (const result of results) reached.push({ place, ...result });
      if (json !== true) printPlace(text, place, results);
    }
    return { erased: done, backups: reached };
  });
  if (json === true)
    printJson({ subject: text, erased, ...(backups.length > 0 ? { backups: backups.map(toJson) } : {}) });
  if (backups.some(({ outcome }) => outcome === "failed" || outcome === "unfinished")) process.exitCode = 1;
}

function printErased(text: string, erased: boolean, stopped: boolean): void {
  if (!erased) print(`There was nothing of ${text} to erase.`);
  else if (stopped) print(`${text} is erased: its key is destroyed. The log will say so when the service has started.`);
  else print(`${text} is erased: its key is destroyed, and the log says so.`);
}

type PlacedBackup = ErasedBackup & { readonly place: string };

function printPlace(text: string, place: string, results: readonly ErasedBackup[]): void {
  if (results.length === 0) print(`${place}: no backups there.`);
  for (const result of results) print(`${place}: backup ${result.name}: ${told(text, result)}`);
}

function told(text: string, result: ErasedBackup): string {
  switch (result.outcome) {
    case "erased":
      return `the key of ${text} is destroyed`;
    case "nothing-to-erase":
      return `had no key of ${text}`;
    case "no-keys":
      return "holds no personal data";
    case "unfinished":
      return `NOT DONE: not finished. If nobody is making it, delete it (holdfast backup delete); else repeat this when it is made`;
    case "failed":
      return `NOT DONE: ${result.error.code}: ${result.error.message} Repeat this, or delete the backup.`;
  }
  return result satisfies never;
}

function toJson(backup: PlacedBackup) {
  if (backup.outcome !== "failed") return backup;
  const { error, ...rest } = backup;
  return { ...rest, code: error.code, detail: error.message };
}

/** Opens them all before any work is done. */
async function withPlaces<T>(
  names: readonly string[],
  work: (places: readonly { readonly place: string; readonly store: SnapshotStore }[]) => Promise<T>,
  opened: readonly { readonly place: string; readonly store: SnapshotStore }[] = [],
): Promise<T> {
  const [place, ...rest] = names;
  if (place === undefined) return await work(opened);
  if (!place.startsWith("s3://") && !existsSync(place))
    throw new UsageError(`--backups: there is no directory ${place}.`);
  return await withPlace({ option: "--backups", place, use: "write" }, (store) =>
    withPlaces(rest, work, [...opened, { place, store }]),
  );
}

function operator(): Principal {
  return { kind: "operator", id: `cli:${userInfo().username}` };
}

async function confirm(text: string): Promise<void> {
  if (!process.stdin.isTTY) throw new UsageError("this cannot be taken back; add --yes.");
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await asking.question(`Erase the personal data of ${text} for good? Type its name to go on: `);
    if (answer.trim() !== text) throw new UsageError("nothing was erased.");
  } finally {
    asking.close();
  }
}

/** @returns whether there was something to erase */
async function eraseAt({ type, key }: EntityRef, url: string, { token }: EraseOptions): Promise<boolean> {
  const bearer = token ?? process.env["HOLDFAST_TOKEN"];
  const door = bearer === undefined ? { url } : { url, token: bearer };
  const answer = (await askDoor(door, { method: "POST", path: ["erasures", type, key] })) as {
    readonly value?: { readonly erased?: unknown };
  } | null;
  const erased = answer?.value?.erased;
  if (typeof erased !== "boolean") {
    const detail = `What answered at ${url} is no node of Holdfast: nothing is known of an erasure. Name its door with --url.`;
    throw new HoldfastError("disconnected", detail);
  }
  return erased;
}

async function eraseIn(subject: EntityRef, data: string): Promise<boolean> {
  const place = keysDirectory(data);
  if (!existsSync(place)) {
    const remedy = "Name the data directory of a service that has personal data.";
    throw new HoldfastError("invalid-configuration", `There is no key store at ${place}. ${remedy}`);
  }
  const store = await openKeyFiles({ disk: openDirectory(place), random: systemRandom, create: false });
  try {
    return (await store.erase(formatRef(subject), { principal: operator(), atMs: systemClock.now() })) !== undefined;
  } finally {
    await store.close();
  }
}
