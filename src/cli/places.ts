/** The place of backups that a verb was given. */
import { isHoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { openBackupPlace } from "../presets/backup-place.ts";
import { UsageError } from "./settings.ts";

export interface Place {
  readonly option: string;
  readonly place: string;
  readonly use: "read" | "write";
}

/** Runs work with a place, and lets go of it. @throws UsageError the place cannot be one of backups */
export async function withPlace<T>(place: Place, work: (store: SnapshotStore) => Promise<T>): Promise<T> {
  const store = await open(place);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

async function open({ option, place, use }: Place): Promise<SnapshotStore> {
  try {
    return await openBackupPlace(place, use);
  } catch (error) {
    if (isHoldfastError(error) && error.code === "invalid-input") throw new UsageError(`${option}: ${error.message}`);
    throw error;
  }
}
