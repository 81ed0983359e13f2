/**
 * A directory of the machine's file system as a `Disk`.
 *
 * Invariants: a write is resolved only when the device has it (`O_DSYNC`; `fdatasync` where that flag is missing or,
 * as on macOS, does not reach the device). A short write is a failure. The lock dies with the process: SQLite holds it
 * with the system's byte-range locks, on every platform, and refuses a second opening inside one process too.
 */
import * as fs from "node:fs";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HoldfastError } from "../../model/errors.ts";
import type { Disk, DiskEntry, DiskFile, DiskLock } from "../../ports/disk.ts";

/** Zeros are written in pieces of this size, so that a log write in between does not wait for all of them. */
const zeroBytes = 1024 * 1024;

const lockName = "lock";
const holderName = "lock.pid";
const writesAreSynced = process.platform === "linux";

/** Opens a directory; makes it if it is missing. */
export function openDirectory(path: string): Disk {
  const place = resolve(path);
  try {
    const topmost = mkdirSync(place, { recursive: true });
    if (topmost !== undefined) syncParents(place, dirname(topmost));
  } catch (cause) {
    throw translate("make", place, cause);
  }
  return new Directory(place);
}

/**
 * An existing directory, to be looked at while somebody else may be writing in it: nothing is made, locked or written.
 * @throws `invalid-configuration` there is no such directory
 */
export function openDirectoryToRead(path: string): Disk {
  const place = resolve(path);
  if (fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) {
    const text = `There is no directory ${place}. Name the data directory of a service.`;
    throw new HoldfastError("invalid-configuration", text, { details: { place } });
  }
  return new ReadOnlyDirectory(place);
}

/** A new directory is durable when the one that names it is synced. */
function syncParents(place: string, topmost: string): void {
  if (process.platform === "win32") return;
  for (let parent = dirname(place); ; parent = dirname(parent)) {
    const descriptor = fs.openSync(parent, "r");
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
    if (parent === topmost || parent === dirname(parent)) return;
  }
}

class Directory implements Disk {
  readonly place: string;

  constructor(place: string) {
    this.place = place;
  }

  async lock(): Promise<DiskLock> {
    const path = join(this.place, lockName);
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(path);
      database.exec(
        "PRAGMA busy_timeout=0; PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE",
      );
    } catch (cause) {
      if (database?.isOpen === true) database.close();
      throw isBusy(cause) ? inUse(this.place) : translate("lock", path, cause);
    }
    const held = database;
    noteHolder(this.place);
    return {
      async release() {
        if (held.isOpen) held.close();
      },
    };
  }

  async list(): Promise<readonly DiskEntry[]> {
    try {
      const entries = await readdir(this.place, { withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile() && entry.name !== lockName && entry.name !== holderName);
      return await Promise.all(
        files.map(async ({ name }) => ({ name, bytes: (await stat(join(this.place, name))).size })),
      );
    } catch (cause) {
      throw translate("list", this.place, cause);
    }
  }

  async names(): Promise<readonly string[]> {
    try {
      return (await readdir(this.place)).filter((name) => name !== lockName && name !== holderName);
    } catch (cause) {
      throw translate("list", this.place, cause);
    }
  }

  async open(name: string): Promise<DiskFile> {
    return openFile(join(this.place, name), fs.constants.O_RDWR | (writesAreSynced ? fs.constants.O_DSYNC : 0));
  }

  async create(name: string, bytes: number): Promise<void> {
    const path = join(this.place, name);
    try {
      const file = await open(path, "w");
      try {
        const zeros = new Uint8Array(Math.min(bytes, zeroBytes));
        for (let position = 0; position < bytes; position += zeros.length) {
          const length = Math.min(zeros.length, bytes - position);
          const { bytesWritten } = await file.write(zeros, 0, length, position);
          if (bytesWritten !== length) throw Object.assign(new Error("short write"), { code: "ENOSPC" });
          await file.datasync();
        }
      } finally {
        await file.close();
      }
    } catch (cause) {
      await rm(path, { force: true }).catch(() => undefined);
      throw translate("create", path, cause);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(join(this.place, from), join(this.place, to));
    } catch (cause) {
      throw translate("rename", join(this.place, from), cause);
    }
  }

  async remove(name: string): Promise<void> {
    try {
      await rm(join(this.place, name), { force: true });
    } catch (cause) {
      throw translate("remove", join(this.place, name), cause);
    }
  }

  async syncDirectory(): Promise<void> {
    if (process.platform === "win32") return; // directories cannot be opened there; NTFS logs names itself
    try {
      const directory = await open(this.place, "r");
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (cause) {
      throw translate("sync", this.place, cause);
    }
  }
}

/** Files are opened without the right to write, so that not even a bug could. */
class ReadOnlyDirectory extends Directory {
  /** Whoever writes here may rename a file between the listing and the look at its size: such a one is left out. */
  override async list(): Promise<readonly DiskEntry[]> {
    const names = fs.readdirSync(this.place).filter((name) => name !== lockName && name !== holderName);
    return names.flatMap((name) => {
      const found = fs.statSync(join(this.place, name), { throwIfNoEntry: false });
      return found?.isFile() === true ? [{ name, bytes: found.size }] : [];
    });
  }

  override async open(name: string): Promise<DiskFile> {
    return openFile(join(this.place, name), fs.constants.O_RDONLY);
  }

  override lock(): Promise<DiskLock> {
    return refuseChange();
  }

  override create(): Promise<void> {
    return refuseChange();
  }

  override rename(): Promise<void> {
    return refuseChange();
  }

  override remove(): Promise<void> {
    return refuseChange();
  }
}

async function refuseChange(): Promise<never> {
  throw new HoldfastError("internal", "Broken invariant: a directory that was opened to read is not changed");
}

/** Plain callbacks: `FileHandle` costs 20 microseconds more per write, a fifth of the commit. */
function openFile(path: string, flags: number): Promise<DiskFile> {
  return new Promise((done, reject) => {
    fs.open(path, flags, (error, descriptor) => {
      if (error === null) done(new SystemFile(path, descriptor));
      else reject(translate("open", path, error));
    });
  });
}

class SystemFile implements DiskFile {
  readonly #path: string;
  readonly #descriptor: number;
  #closed = false;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return new Promise((done, reject) => {
      let filled = 0;
      const next = () => {
        fs.read(this.#descriptor, target, filled, target.length - filled, position + filled, (error, bytes) => {
          if (error !== null) return reject(translate("read", this.#path, error));
          filled += bytes;
          if (bytes === 0 || filled === target.length) done(filled);
          else next();
        });
      };
      next();
    });
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((done, reject) => {
      fs.write(this.#descriptor, bytes, 0, bytes.length, position, (error, written) => {
        if (error !== null) return reject(translate("write", this.#path, error));
        if (written !== bytes.length) return reject(shortWrite(this.#path, written, bytes.length));
        if (writesAreSynced) return done();
        fs.fdatasync(this.#descriptor, (failed) => {
          if (failed === null) done();
          else reject(translate("sync", this.#path, failed));
        });
      });
    });
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    return new Promise((done, reject) => {
      fs.close(this.#descriptor, (error) => {
        if (error === null || error === undefined) done();
        else reject(translate("close", this.#path, error));
      });
    });
  }
}

function shortWrite(path: string, written: number, wanted: number): HoldfastError {
  return new HoldfastError(
    "disk-full",
    `Only ${written} of ${wanted} bytes were written to ${path}; the disk is full.`,
    {
      details: { path, written, wanted },
    },
  );
}

function isBusy(cause: unknown): boolean {
  const code = (cause as { errcode?: number }).errcode ?? 0;
  return (code & 0xff) === 5 || (code & 0xff) === 6; // SQLITE_BUSY, SQLITE_LOCKED
}

/** For the message of the one who is refused. The lock does not rest on it. */
function noteHolder(place: string): void {
  try {
    writeFileSync(join(place, holderName), `${process.pid}\n`);
  } catch {
    // a full disk must not keep a log from being opened
  }
}

function inUse(place: string): HoldfastError {
  let pid: number | undefined;
  try {
    pid = Number.parseInt(readFileSync(join(place, holderName), "utf8"), 10);
  } catch {
    pid = undefined;
  }
  const known = pid !== undefined && Number.isSafeInteger(pid);
  const holder = !known ? "another process" : pid === process.pid ? `this process (pid ${pid})` : `process ${pid}`;
  return new HoldfastError(
    "directory-in-use",
    `The data directory ${place} is in use by ${holder}. Stop it, or give this one a directory of its own; ` +
      "the lock goes away with the process that holds it, so there is nothing to delete.",
    { details: known ? { place, pid } : { place } },
  );
}

const fullCodes: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);
const settingCodes: ReadonlySet<unknown> = new Set([
  "EACCES",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "ENOENT",
  "EMFILE",
  "ENFILE",
]);

function translate(verb: string, path: string, cause: unknown): HoldfastError {
  const systemCode = (cause as { code?: unknown }).code;
  const why = cause instanceof Error ? cause.message : String(cause);
  const options = { cause, details: { path, verb, systemCode: String(systemCode) } };
  if (fullCodes.has(systemCode)) {
    return new HoldfastError("disk-full", `Could not ${verb} ${path}: no space is left (${why}).`, options);
  }
  if (settingCodes.has(systemCode)) {
    return new HoldfastError("invalid-configuration", `Could not ${verb} ${path}: ${why}.`, options);
  }
  return new HoldfastError("log-failed", `Could not ${verb} ${path}: ${why}.`, options);
}
