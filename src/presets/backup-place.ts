/**
 * Where backups are: a directory, or `s3://bucket/prefix` with what the environment says of region, endpoint and credentials.
 *
 * Invariant: the S3 client is loaded only when one is named, so that it need not be installed for anything else.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openFileSnapshots, openFileSnapshotsToRead } from "../adapters/files/snapshot-store.ts";
import { systemClock as clock } from "../adapters/system/clock.ts";
import { openDirectory, openDirectoryToRead } from "../adapters/system/disk.ts";
import { systemRandom as random } from "../adapters/system/random.ts";
import { HoldfastError } from "../model/errors.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";

/**
 * Opens a place of backups.
 * @param use `read` needs no right to write there
 * @throws `invalid-input` it cannot be a place of backups; `invalid-configuration` it is not there, or must not be used
 */
export async function openBackupPlace(place: string, use: "read" | "write" = "write"): Promise<SnapshotStore> {
  if (place.startsWith("s3://")) return openBucket(place, use);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(place))
    throw refused(`A place of backups is a directory or s3://bucket/prefix, not "${place}".`);
  if (existsSync(join(place, "format")))
    throw refused(`${place} is a data directory. Keep backups elsewhere, best on another disk.`);
  if (use === "read") return openFileSnapshotsToRead({ disk: openDirectoryToRead(place), clock, random });
  return openFileSnapshots({ disk: openDirectory(place), clock, random });
}

const bucketPattern = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([a-z0-9./-]*))?$/;

async function openBucket(place: string, use: "read" | "write"): Promise<SnapshotStore> {
  const [, bucket, path = ""] = bucketPattern.exec(place) ?? [];
  if (bucket === undefined)
    throw refused(`A bucket is s3://bucket/prefix, of a-z, 0-9, -, . and / behind the bucket; not "${place}".`);
  const { openS3Snapshots } = await loadClient();
  const prefix = path === "" || path.endsWith("/") ? path : `${path}/`;
  // Region, credentials and endpoint are read from the environment by the client itself.
  const ownEndpoint = process.env["AWS_ENDPOINT_URL_S3"] ?? process.env["AWS_ENDPOINT_URL"];
  const client = { forcePathStyle: ownEndpoint !== undefined };
  return await openS3Snapshots({ bucket, prefix, client, readOnly: use === "read", clock, random });
}

async function loadClient() {
  try {
    return await import("../adapters/s3/snapshot-store.ts");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw refused("For s3:// install @aws-sdk/client-s3 beside holdfast, then run this again.");
  }
}

function refused(text: string): HoldfastError {
  return new HoldfastError("invalid-input", text);
}
