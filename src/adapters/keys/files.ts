/**
 * The key store of a service in one process: the files `keys` and `notes` of a directory of its own. Not disposable: without it
 * personal data cannot be read any more.
 *
 * Invariant: the directory is locked while the store is open.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Random } from "../../ports/clock.ts";
import type { Disk } from "../../ports/disk.ts";
import type { KeyStore } from "../../ports/key-store.ts";
import { emptyKeys } from "../../wire/keys.ts";
import { type KeyFile, KeyTable } from "./table.ts";

export const keysName = "keys";
export const notesName = "notes";
/** Zeros to begin with: a first key then changes no file's length. */
const firstBytes = 64 * 1024;

export interface KeyFilesOptions {
  readonly disk: Disk;
  readonly random: Random;
  /** Make the store if there is none. False: that is an error. */
  readonly create?: boolean;
}

/**
 * @throws `directory-in-use` a node, or an erasure on the command line, has it open
 * @throws `keys-damaged` the files fail their checks, or one is missing
 */
export async function openKeyFiles({ disk, random, create = true }: KeyFilesOptions): Promise<KeyStore> {
  const lock = await disk.lock();
  const opened: KeyFile[] = [];
  try {
    await make(disk, random, create);
    for (const name of [keysName, notesName]) opened.push(await openFile(disk, name));
    const [keys, notes] = opened as [KeyFile, KeyFile];
    return await KeyTable.open({ keys, notes, random, release: () => lock.release() });
  } catch (error) {
    for (const file of opened) await file.close();
    await lock.release();
    throw error;
  }
}

/** `keys` comes last and whole: where it is, `notes` is too. */
async function make(disk: Disk, random: Random, create: boolean): Promise<void> {
  const names = new Set((await disk.list()).map(({ name }) => name));
  if (names.has(keysName)) {
    if (names.has(notesName)) return;
    throw new HoldfastError("keys-damaged", `${disk.place} has no file ${notesName}. Restore it from a backup.`);
  }
  if (names.has(notesName) && !(await isBlank(disk, notesName)))
    throw new HoldfastError("keys-damaged", `${disk.place} has no file ${keysName}. Restore it from a backup.`);
  if (!create) {
    const remedy = "Name the data directory of a service that has personal data.";
    throw new HoldfastError("invalid-configuration", `${disk.place} holds no key store. ${remedy}`);
  }
  await disk.create(notesName, firstBytes);
  await disk.create(`${keysName}.new`, firstBytes);
  const file = await disk.open(`${keysName}.new`);
  await file.write(emptyKeys(random.bytes(16)), 0);
  await file.close();
  await disk.rename(`${keysName}.new`, keysName);
  await disk.syncDirectory();
}

async function isBlank(disk: Disk, name: string): Promise<boolean> {
  const file = await openFile(disk, name);
  await file.close();
  return file.bytes.every((byte) => byte === 0);
}

export async function openFile(disk: Disk, name: string): Promise<KeyFile> {
  const size = (await disk.list()).find((entry) => entry.name === name)?.bytes ?? 0;
  const file = await disk.open(name);
  const bytes = new Uint8Array(size);
  const read = await file.read(bytes, 0);
  return {
    place: `The file ${name} of the key store ${disk.place}`,
    bytes: bytes.subarray(0, read),
    write: (written, position) => file.write(written, position),
    close: () => file.close(),
  };
}
