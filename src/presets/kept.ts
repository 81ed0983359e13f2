/**
 * What stands beside the log in a data directory: `state`, the state store; `snapshots`, the snapshot store; and `archive`,
 * what was trimmed from the log, apart since it grows with the years and who looks for snapshots lists all that is beside them.
 *
 * Invariant: where they stand is said here alone.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openFileSnapshots, openFileSnapshotsToRead } from "../adapters/files/snapshot-store.ts";
import { openLmdbStateStore } from "../adapters/lmdb/open.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { openDirectory, openDirectoryToRead } from "../adapters/system/disk.ts";
import { systemRandom as random } from "../adapters/system/random.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";

export interface Kept {
  readonly state: StateStore;
  readonly snapshots: SnapshotStore;
  readonly archive: SnapshotStore;
}

/** Stores that stand elsewhere, because the log outlives this directory. Closed by who they are given to. */
export interface GivenStores {
  readonly snapshots?: SnapshotStore;
  readonly archive?: SnapshotStore;
  /** The keys of personal data. */
  readonly keys?: KeyStore;
}

export async function openKept(directory: string, given: GivenStores = {}): Promise<Kept> {
  const snapshots = given.snapshots ?? (await openSnapshots(directory));
  const archive =
    given.archive ?? (await openFileSnapshots({ disk: openDirectory(archiveIn(directory)), clock, random }));
  return { snapshots, archive, state: await openLmdbStateStore({ directory: join(directory, "state") }) };
}

export function openSnapshots(directory: string): Promise<SnapshotStore> {
  return openFileSnapshots({ disk: openDirectory(snapshotsIn(directory)), clock, random });
}

/** Undefined if there are none. */
export function openSnapshotsToRead(directory: string): SnapshotStore | undefined {
  return openToRead(snapshotsIn(directory));
}

/** Undefined if there is none. */
export function openArchiveToRead(directory: string): SnapshotStore | undefined {
  return openToRead(archiveIn(directory));
}

function openToRead(place: string): SnapshotStore | undefined {
  if (!existsSync(place)) return undefined;
  return openFileSnapshotsToRead({ disk: openDirectoryToRead(place), clock, random });
}

function archiveIn(directory: string): string {
  return join(directory, "archive");
}

function snapshotsIn(directory: string): string {
  return join(directory, "snapshots");
}
