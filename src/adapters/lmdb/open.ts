/**
 * Opens the state store: takes the directory, decides whether what is there can be believed, and begins anew if not.
 *
 * Invariant: LMDB, which trusts its pages and would end the process on wrong ones, is only shown a file that was
 * verified before: by its checksum after a close, page by page after a kill.
 */
import { existsSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HoldfastError } from "../../model/errors.ts";
import { limitsDefault } from "../../model/limits.ts";
import type { StateStore } from "../../ports/state-store.ts";
import { openDirectory } from "../system/disk.ts";
import { bootId, checksumOf, type EmptiedReason, identityOf, readSeal, sealName, writeSeal } from "./seal.ts";
import { type Damaged, LmdbStateStore } from "./state-store.ts";
import { verifyPages } from "./verify.ts";

export interface LmdbStateStoreOptions {
  /** Made if it is not there. The store has it for itself. */
  readonly directory: string;
  /** Default: `stateStoreBytesMax` of the limits. */
  readonly bytesMax?: number;
  /** Told of each image (of a stamp if the name is undefined) whose bytes are not what was written. */
  readonly damaged?: Damaged;
  /** Told why what was there is not used. */
  readonly emptied?: (reason: EmptiedReason) => void;
  /** The id of the machine's run; for tests. */
  readonly boot?: string | undefined;
}

const dataName = "state.mdb";

/**
 * @throws `directory-in-use` another opening holds the directory
 * @throws `invalid-configuration` the directory cannot be used
 */
export async function openLmdbStateStore(options: LmdbStateStoreOptions): Promise<StateStore> {
  const disk = openDirectory(options.directory);
  const lock = await disk.lock();
  try {
    const { open } = await loadLmdb();
    const directory = options.directory;
    const path = join(directory, dataName);
    const boot = "boot" in options ? options.boot : bootId();
    const reason = await doubt(directory, path, boot);
    if (reason !== undefined) {
      await rm(join(directory, sealName), { force: true });
      await rm(path, { force: true });
      if (reason !== "new") options.emptied?.(reason);
    }
    // Locks of a process that is gone; ours is the directory's.
    await rm(`${path}-lock`, { force: true });
    const bytesMax = options.bytesMax ?? limitsDefault.stateStoreBytesMax;
    const begin = () =>
      open<Buffer, string>({
        path,
        encoding: "binary",
        keyEncoder: latinKeys,
        // Windows would allocate all of it; there the map grows by itself.
        ...(process.platform === "win32" ? {} : { mapSize: bytesMax }),
        // A power cut empties the store anyway; the end of the process takes nothing from the system's memory.
        noSync: true,
        overlappingSync: false,
      });
    let database: ReturnType<typeof begin>;
    try {
      database = begin();
    } catch (cause) {
      if (reason !== undefined) throw cause;
      // Verified and yet refused: another version's file, say. What is in it can be had elsewhere.
      for (const name of [path, `${path}-lock`]) await rm(name, { force: true });
      options.emptied?.("damaged");
      database = begin();
    }
    const identity = identityOf(directory, path);
    await writeSeal(directory, { identity, boot, closed: undefined });
    return new LmdbStateStore({
      database,
      path,
      bytesMax,
      damaged: options.damaged ?? (() => {}),
      async closed() {
        await writeSeal(directory, { identity, boot, closed: await sealOf(path) });
        await lock.release();
      },
    });
  } catch (cause) {
    await lock.release();
    throw cause;
  }
}

/** Why what is there cannot be believed; undefined if it can. */
async function doubt(
  directory: string,
  path: string,
  boot: string | undefined,
): Promise<EmptiedReason | "new" | undefined> {
  if (!existsSync(path)) return existsSync(join(directory, sealName)) ? "damaged" : "new";
  const seal = readSeal(directory);
  if (seal === undefined) return "unsealed";
  const { directory: itsDirectory, data } = identityOf(directory, path);
  if (seal.identity.directory !== itsDirectory || seal.identity.data !== data) return "copied";
  if (seal.closed === undefined) {
    if (boot === undefined || seal.boot !== boot) return "power-cut";
    return isLarge(path) || verifyPages(path) ? undefined : "damaged";
  }
  const { bytes, crc } = await sealOf(path);
  return bytes === seal.closed.bytes && crc === seal.closed.crc ? undefined : "damaged";
}

/**
 * Reading a large file whole would cost the time that the store is there to save (2 s for 2,000,000 entities). The end of a
 * process leaves the system's memory as it is, and each image carries its own checksum; what is not seen before it is read
 * is a page of a large file that turned bad on a disk in between.
 */
function isLarge(path: string): boolean {
  return statSync(path).size > limitsDefault.stateStoreVerifyBytesMax;
}

async function sealOf(path: string): Promise<{ bytes: number; crc: number }> {
  return isLarge(path) ? { bytes: statSync(path).size, crc: 0 } : await checksumOf(path);
}

/** Loaded when a store is opened, so that a service without one needs no native code. */
async function loadLmdb() {
  try {
    return await import("lmdb");
  } catch (cause) {
    throw new HoldfastError(
      "invalid-configuration",
      "The state store needs the package `lmdb`, which could not be loaded. Install it with its platform package " +
        "(npm leaves that out with `--no-optional`), or run without a state store.",
      { cause },
    );
  }
}

const latinKeys = {
  writeKey(key: string, target: Buffer, start: number): number {
    return start + target.write(key, start, "latin1");
  },
  readKey(source: Buffer, start: number, end: number): string {
    return source.toString("latin1", start, end);
  },
};
