/**
 * A snapshot store in one flat directory: an object is a file, its name with `/` as `_`.
 *
 * A write goes to a temporary file, which is synced, renamed, and the directory synced. `replace` compares and renames
 * under the directory's lock, which the system takes from a process that ends, so there is nothing to clear up after one.
 *
 * Invariants: a file of an object's name is whole; a temporary one is never read. It knows the directory by the `Disk` port
 * alone, so the simulator can run it. The directory is its own: not the log's, which is locked for as long as it is open.
 */
import { createHash } from "node:crypto";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { Clock, Random } from "../../ports/clock.ts";
import type { Disk, DiskLock } from "../../ports/disk.ts";
import {
  checkObjectName,
  checkObjectPrefix,
  type ObjectTag,
  type PutResult,
  type SnapshotStore,
  type StoredObject,
} from "../../ports/snapshot-store.ts";
import { Permits } from "./permits.ts";

export interface FileSnapshotsOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** For names of temporary files and for the pauses of who waits for the lock. */
  readonly random: Random;
}

const objectEnding = ".object";
const temporaryEnding = ".temporary";
/** How often the lock is tried; with the pauses that is about 5 s, where it is held for some milliseconds. */
const lockTriesMax = 100;
const lockPauseMs = 25;
/** A temporary file may be taken away by an opening that finds it; then it is written again. */
const writeTriesMax = 4;

/** Opens the store, and removes what writers left that were ended. */
export async function openFileSnapshots(options: FileSnapshotsOptions): Promise<SnapshotStore> {
  const store = new FileSnapshotStore(options);
  await store.sweep();
  return store;
}

/** For who only loads: over a disk that was opened to read, beside a node that may be writing. */
export function openFileSnapshotsToRead(options: FileSnapshotsOptions): SnapshotStore {
  return new FileSnapshotStore(options);
}

class FileSnapshotStore implements SnapshotStore {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #permits = new Permits(operationsMax);
  /** Those of this opening take the lock one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ disk, clock, random }: FileSnapshotsOptions) {
    this.#disk = disk;
    this.#clock = clock;
    this.#random = random;
  }

  async sweep(): Promise<void> {
    const left = (await this.#names()).filter((name) => name.endsWith(temporaryEnding));
    for (const name of left) await this.#disk.remove(name);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    checkObjectName(name);
    const file = fileOf(name);
    await this.#permits.use(async () => {
      if (await this.#exists(file))
        await this.#disk.syncDirectory(); // its writer may not have come to that
      else await this.#write(file, bytes);
    });
  }

  async replace(name: string, bytes: Uint8Array, expected: ObjectTag | undefined): Promise<PutResult> {
    checkObjectName(name);
    return await this.#locked(async (): Promise<PutResult> => {
      if ((await this.#read(fileOf(name)))?.tag !== expected) return { ok: false, reason: "changed" };
      const tag = digestOf(bytes);
      await this.#write(fileOf(name), bytes);
      return { ok: true, tag };
    });
  }

  async get(name: string): Promise<StoredObject | undefined> {
    checkObjectName(name);
    return await this.#permits.use(() => this.#read(fileOf(name)));
  }

  async *list(prefix: string): AsyncIterable<string> {
    checkObjectPrefix(prefix);
    const files = (await this.#names()).filter((name) => name.endsWith(objectEnding));
    const names = files.map((name) => name.slice(0, -objectEnding.length).replaceAll("_", "/"));
    yield* names.filter((name) => name.startsWith(prefix)).sort();
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) checkObjectName(name);
    if (names.length === 0) return;
    await this.#permits.use(async () => {
      for (const name of names) await this.#disk.remove(fileOf(name));
      await this.#disk.syncDirectory();
    });
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => undefined);
  }

  async #names(): Promise<readonly string[]> {
    return (await this.#disk.names?.()) ?? (await this.#disk.list()).map(({ name }) => name);
  }

  async #exists(file: string): Promise<boolean> {
    const opened = await this.#open(file);
    await opened?.close();
    return opened !== undefined;
  }

  /** The file, or undefined if there is none. */
  async #open(file: string) {
    try {
      return await this.#disk.open(file);
    } catch (error) {
      if (!isMissing(error)) throw error;
      return undefined;
    }
  }

  async #read(file: string): Promise<StoredObject | undefined> {
    const opened = await this.#open(file);
    if (opened === undefined) return undefined;
    try {
      const pieces: Uint8Array[] = [];
      for (let position = 0; ; ) {
        const piece = new Uint8Array(readBytes);
        const filled = await opened.read(piece, position);
        pieces.push(piece.subarray(0, filled));
        position += filled;
        if (filled < readBytes) break;
      }
      const bytes = pieces.length === 1 ? (pieces[0] as Uint8Array).slice() : Buffer.concat(pieces);
      // Most readers want the bytes alone, and a digest of megabytes takes milliseconds.
      return {
        bytes,
        get tag() {
          return digestOf(bytes);
        },
      };
    } finally {
      await opened.close();
    }
  }

  async #write(file: string, bytes: Uint8Array): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const temporary = `${Buffer.from(this.#random.bytes(12)).toString("hex")}${temporaryEnding}`;
      try {
        await this.#writeOnce(temporary, file, bytes);
        return;
      } catch (error) {
        await this.#disk.remove(temporary).catch(() => undefined);
        if (!isMissing(error) || attempt === writeTriesMax) throw error;
      }
    }
  }

  async #writeOnce(temporary: string, file: string, bytes: Uint8Array): Promise<void> {
    await this.#disk.create(temporary, 0);
    const opened = await this.#disk.open(temporary);
    try {
      if (bytes.length > 0) await opened.write(bytes, 0);
    } finally {
      await opened.close();
    }
    await this.#disk.rename(temporary, file);
    await this.#disk.syncDirectory();
  }

  /** Runs `work` while nobody else holds the directory. */
  #locked<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#turn.then(async () => {
      const lock = await this.#lock();
      try {
        return await this.#permits.use(work);
      } finally {
        await lock.release();
      }
    });
    this.#turn = run.catch(() => undefined);
    return run;
  }

  async #lock(): Promise<DiskLock> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#disk.lock();
      } catch (cause) {
        if (!isHoldfastError(cause) || cause.code !== "directory-in-use") throw cause;
        if (attempt === lockTriesMax) throw locked(this.#disk.place, cause);
        const [chance = 0] = this.#random.bytes(1);
        const pauseMs = 1 + Math.floor((Math.min(lockPauseMs, attempt * 2) * 2 * chance) / 256);
        await new Promise<void>((done) => this.#clock.after(pauseMs, done));
      }
    }
  }
}

const readBytes = 1024 * 1024;
/** Operations on the directory at once: two of Node's four threads stay free for the log. */
const operationsMax = 2;

/** The tag of a file is that of its content, whoever wrote it and when. */
function digestOf(bytes: Uint8Array): ObjectTag {
  return createHash("sha256").update(bytes).digest("hex");
}

function fileOf(name: string): string {
  return `${name.replaceAll("/", "_")}${objectEnding}`;
}

/** The `Disk` port has one code for what is missing and what is refused; a real disk says which in the details. */
function isMissing(error: unknown): boolean {
  if (!isHoldfastError(error) || error.code !== "invalid-configuration") return false;
  return (error.details?.["systemCode"] ?? "ENOENT") === "ENOENT";
}

function locked(place: string, cause: unknown): HoldfastError {
  return new HoldfastError("unavailable", `The snapshot directory ${place} was locked by others all the time.`, {
    cause,
  });
}
