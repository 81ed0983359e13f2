/**
 * Keys of personal data in backups: put in without being asked for, put back by a restore, and reached by erasures.
 *
 * Invariant: when a backup is there for others to see, it has lost every key that was erased before somebody erased in the
 * backups of its place: either that found it there, or it was made with keys from after, or it looks once more itself.
 */
import { existsSync } from "node:fs";
import { openKeyFiles } from "../adapters/keys/files.ts";
import { readKeyFiles } from "../adapters/keys/read.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { openDirectory, openDirectoryToRead } from "../adapters/system/disk.ts";
import { systemRandom as random } from "../adapters/system/random.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { type BackupExtra, type BackupOptions, createBackup } from "../runtime/backup.ts";
import { changeAllKeys, changeKeys, type ErasedBackup } from "../runtime/backup-erase.ts";
import { nobodyTakes, type RestoreTarget } from "../runtime/backup-restore.ts";
import { keysExtra } from "../runtime/backup-sealed.ts";
import type { BackupReport } from "../runtime/backup-verify.ts";
import { beginsAlike, exportErasedBy, exportWithout } from "../wire/keys.ts";
import { keysDirectory } from "./keys.ts";

/** The keys of a data directory, of a service that runs or does not; undefined if it has none. @throws `keys-damaged` */
export async function keysOf(directory: string): Promise<Uint8Array | undefined> {
  const place = keysDirectory(directory);
  return existsSync(place) ? await readKeyFiles(openDirectoryToRead(place), clock) : undefined;
}

/** `createBackup` with what `readKeys` gives. It is asked when the frames were copied, and again at the end. */
export async function backUpWithKeys(
  options: Omit<BackupOptions, "clock" | "random">,
  readKeys: () => Promise<Uint8Array | undefined>,
): Promise<BackupReport> {
  const { name, to: from, extras = [] } = options;
  let first: Uint8Array | undefined;
  const readFirst = async () => {
    first = await readKeys();
    return first;
  };
  const keys: BackupExtra = { name: keysExtra, bytes: readFirst };
  const report = await createBackup({ ...options, extras: [keys, ...extras], clock, random });
  if (first === undefined) return report;
  const later = await readKeys();
  // Nearly always nothing was erased, and then the service does not have to look at a million keys.
  if (later !== undefined && !beginsAlike(first, later))
    await changeKeys({ name, from, clock, random, change: (bytes) => exportErasedBy(bytes, later) });
  return report;
}

/** Puts the keys of a backup into the directory that is restored; gives everything else to `others`. */
export function keysTaker(
  directory: string,
  others: RestoreTarget["takeExtra"],
  erasedFrom?: string,
): NonNullable<RestoreTarget["takeExtra"]> {
  return async (name, bytes) => {
    if (name === keysExtra) return await putKeys(directory, bytes, erasedFrom);
    if (others === undefined) throw nobodyTakes(name);
    await others(name, bytes);
  };
}

async function putKeys(directory: string, bytes: Uint8Array, erasedFrom: string | undefined): Promise<void> {
  const later = erasedFrom === undefined ? undefined : await keysOf(erasedFrom);
  if (erasedFrom !== undefined && later === undefined) {
    const text = `There is no key store in ${erasedFrom}. Name the data directory of the service that the backup is of.`;
    throw new HoldfastError("invalid-configuration", text);
  }
  const store = await openKeyFiles({ disk: openDirectory(keysDirectory(directory)), random });
  try {
    await store.import(later === undefined ? bytes : exportErasedBy(bytes, later));
  } finally {
    await store.close();
  }
}

export interface BackupErasure {
  /** A place of backups. It stays open. */
  readonly from: SnapshotStore;
  readonly subject: EntityRef;
  /** Who asks, for the log of a service that is restored from one of these backups. */
  readonly principal: Principal;
}

/**
 * Destroys the key of a subject in every backup of a place. Erase it in the service first: what is backed up later has no key
 * then. Idempotent; what is cut short is completed by the next call.
 * @returns what became of each backup. `failed` and `unfinished` may still have the key.
 */
export async function eraseInBackups({ from, subject, principal }: BackupErasure): Promise<readonly ErasedBackup[]> {
  const asked = { principal: { kind: principal.kind, id: principal.id }, atMs: clock.now() };
  const change = (keys: Uint8Array) => exportWithout(keys, formatRef(subject), asked);
  return await changeAllKeys({ from, clock, random, change });
}
