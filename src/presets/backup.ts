/**
 * Backup and restore of a data directory as `embedded` makes it.
 *
 * Invariants: a directory that is backed up is read and never written; a node may be running on it. One that is restored
 * was empty, and until the restore is done a file in it has every start refused.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { restoringName } from "../adapters/segments/format.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { openSegmentLogToRead } from "../adapters/segments/reader.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { openDirectory } from "../adapters/system/disk.ts";
import { gatherWrites } from "../adapters/system/gathered.ts";
import { HoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { BackupExtra } from "../runtime/backup.ts";
import type { BackupProgress } from "../runtime/backup-area.ts";
import { type RestoreTarget, restoreBackup } from "../runtime/backup-restore.ts";
import { type BackupReport, readBackup } from "../runtime/backup-verify.ts";
import { backUpWithKeys, keysOf, keysTaker } from "./backup-keys.ts";
import { openSnapshots, openSnapshotsToRead } from "./kept.ts";

export interface BackupRequest {
  /** 1 to 64 of `a-z`, `0-9`, `-`, `.`; one that is not there yet. */
  readonly name: string;
  /** Where backups go: a store of its own, on another disk or in another building. It stays open. */
  readonly to: SnapshotStore;
  /** What else belongs to the service. Its keys go along without being named. */
  readonly extras?: readonly BackupExtra[];
  readonly progress?: BackupProgress;
}

/** What a directory may hold and be empty all the same: file systems put it at the place where they are mounted. */
const lostName = "lost+found";

/**
 * Backs up a data directory, whether a node runs on it or not.
 * @throws what `createBackup` does; `invalid-configuration` there is no log
 */
export async function backUpDirectory(request: BackupRequest & { readonly directory: string }): Promise<BackupReport> {
  const { directory, ...options } = request;
  const { shardCount } = await openSegmentLogToRead({ directory });
  const snapshots = openSnapshotsToRead(directory);
  const look = () => openSegmentLogToRead({ directory });
  return await backUpWithKeys({ ...options, from: { shardCount, snapshots, look } }, () => keysOf(directory));
}

export interface RestoreRequest {
  readonly name: string;
  readonly from: SnapshotStore;
  /** Made if it is missing; must be empty. */
  readonly directory: string;
  /** Size of one file of the log. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Takes what else is in the backup. Keys go into the directory. */
  readonly takeExtra?: RestoreTarget["takeExtra"];
  /** Data directory of the service that the backup is of: what was erased there since is erased in what is restored. */
  readonly erasedFrom?: string;
  readonly progress?: BackupProgress;
}

/**
 * Restores a backup into an empty directory, from which a service can be started. After an error the directory is empty
 * again; after a crash it says what it is.
 * @throws `invalid-configuration` the directory is not empty, or there is no such backup
 * @throws `snapshot-damaged`, `log-damaged` the backup is not what was written
 */
export async function restoreDirectory(request: RestoreRequest): Promise<BackupReport> {
  const { directory, segmentBytes, takeExtra, erasedFrom, progress, name, from } = request;
  const place = { name, from, clock: systemClock, ...(progress === undefined ? {} : { progress }) };
  // Whatever is wrong with it shows before anything is made.
  await readBackup(place);
  const disk = openDirectory(directory);
  await begin(directory, name);
  await disk.syncDirectory();
  try {
    const snapshots = await openSnapshots(directory);
    const sizes = segmentBytes === undefined ? {} : { segmentBytes };
    const to: RestoreTarget = {
      snapshots,
      makeLog: (shardCount, first) => openSegmentLog({ disk: gatherWrites(disk), shardCount, begin: first, ...sizes }),
      takeExtra: keysTaker(directory, takeExtra, erasedFrom),
    };
    const report = await restoreBackup({ ...place, to });
    await disk.syncDirectory();
    await disk.remove(restoringName);
    await disk.syncDirectory();
    return report;
  } catch (error) {
    clear(directory);
    throw error;
  }
}

/** Takes an empty directory. @throws `invalid-configuration` */
async function begin(directory: string, name: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const entries = readdirSync(directory);
  const found = entries.find((entry) => entry !== lostName);
  if (entries.includes(restoringName)) {
    const text = `A restore into ${directory} was begun and not finished, or runs still. If none runs, delete what is in the directory, then restore again.`;
    throw new HoldfastError("restore-unfinished", text);
  }
  if (found !== undefined) {
    const text = `${directory} is not empty (${found} is there). Restore into an empty directory; nothing was changed.`;
    throw new HoldfastError("invalid-configuration", text, { details: { found } });
  }
  const text = `The restore of backup ${name} into this directory is not done; do not use it.\n`;
  writeFileSync(join(directory, restoringName), text, { flag: "wx", flush: true });
}

/** Everything in it was made by this restore; the file that says so goes last. */
function clear(directory: string): void {
  const entries = readdirSync(directory).filter((entry) => entry !== lostName && entry !== restoringName);
  for (const entry of [...entries, restoringName]) rmSync(join(directory, entry), { recursive: true, force: true });
}
