/**
 * The keys of a service that may be running, read beside it: no lock, no write.
 *
 * Invariants: what is read passes every check of an opening. A slot or note that was being written fails them, and all is read
 * again. Keys are read before notes, so none whose erasure was noted by then is given out.
 */
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Disk } from "../../ports/disk.ts";
import { keysDamaged } from "../../wire/keys.ts";
import { keysName, notesName, openFile } from "./files.ts";
import { type KeyFile, KeyTable } from "./table.ts";

/** A write takes a millisecond, and one slot is written once or twice in its life: what fails so often is damage. */
const triesMax = 20;
const pauseMs = 25;

/**
 * What `KeyStore.export` gives, or undefined if there is no key store.
 * @throws `keys-damaged`
 */
export async function readKeyFiles(disk: Disk, clock: Clock): Promise<Uint8Array | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(disk);
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "keys-damaged" || attempt === triesMax) throw error;
    }
    await new Promise<void>((done) => void clock.after(pauseMs, done));
  }
}

async function readOnce(disk: Disk): Promise<Uint8Array | undefined> {
  const names = new Set((await disk.list()).map(({ name }) => name));
  if (!names.has(keysName)) return undefined;
  if (!names.has(notesName)) throw keysDamaged(disk.place, `has no file ${notesName}`);
  const keys = await readFile(disk, keysName);
  const notes = await readFile(disk, notesName);
  const random = {
    bytes(): never {
      throw new HoldfastError("internal", "Broken invariant: no key is made where keys are only read");
    },
  };
  // What was begun and not ended is completed in memory alone.
  const table = await KeyTable.open({ keys, notes, random, release: async () => {} });
  const bytes = await table.export();
  await table.close();
  return bytes;
}

async function readFile(disk: Disk, name: string): Promise<KeyFile> {
  const file = await openFile(disk, name);
  await file.close();
  return { ...file, write: async () => {}, close: async () => {} };
}
