/**
 * The seal: a small file beside the state store's data that says whether the data can be believed.
 *
 * Invariants: `open` is on stable storage before the data is changed, `closed` only after all of the data is. A seal that
 * cannot be read, is another directory's, or was left open by an earlier run of the machine means: believe nothing.
 */
import { readFileSync, statSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";

export const sealName = "seal.json";
const formatVersion = 1;

/** Why a store came up empty. */
export type EmptiedReason =
  /** No seal, or one that is damaged or of another format. */
  | "unsealed"
  /** The files are not those that were sealed: a copy, or restored from one. */
  | "copied"
  /** The machine was started anew, or cannot say whether it was, and the store had not been closed. */
  | "power-cut"
  /** The data is not what was written. */
  | "damaged";

/** Which files these are: numbers that a copy of them does not have. */
export interface Identity {
  readonly directory: string;
  readonly data: string;
}

export interface Seal {
  readonly identity: Identity;
  /** The machine's run, where it can be known. */
  readonly boot: string | undefined;
  /** What the closed data file was; undefined while the store is open. */
  readonly closed: { readonly bytes: number; readonly crc: number } | undefined;
}

export function identityOf(directory: string, data: string): Identity {
  const number = (path: string) => statSync(path, { bigint: true }).ino.toString();
  return { directory: number(directory), data: number(data) };
}

/** The id of this run of the machine; a container has its host's. Undefined where there is none. */
export function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim() || undefined;
  } catch {
    return undefined;
  }
}

/** @returns undefined if there is none that can be believed */
export function readSeal(directory: string): Seal | undefined {
  try {
    const { version, crc, seal } = JSON.parse(readFileSync(join(directory, sealName), "utf8"));
    return version === formatVersion && crc === crc32(JSON.stringify(seal)) ? (seal as Seal) : undefined;
  } catch {
    return undefined;
  }
}

/** Resolved means on stable storage, the name included. */
export async function writeSeal(directory: string, seal: Seal): Promise<void> {
  const crc = crc32(JSON.stringify(seal));
  const next = join(directory, `${sealName}.next`);
  const file = await open(next, "w");
  try {
    await file.writeFile(JSON.stringify({ version: formatVersion, crc, seal }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, join(directory, sealName));
  await syncDirectory(directory);
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return; // directories cannot be opened there; NTFS logs names itself
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Length and checksum of a whole file, in windows that leave the event loop free between them. */
export async function checksumOf(path: string): Promise<{ bytes: number; crc: number }> {
  const file = await open(path, "r");
  try {
    const window = Buffer.allocUnsafe(4 * 1024 * 1024);
    let [bytes, crc] = [0, 0];
    for (;;) {
      const { bytesRead } = await file.read(window, 0, window.length, bytes);
      if (bytesRead === 0) return { bytes, crc };
      crc = crc32(window.subarray(0, bytesRead), crc);
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

/** Everything of a file on stable storage, whoever wrote it. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
