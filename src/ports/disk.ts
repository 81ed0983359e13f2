/**
 * What the segment log needs of a file system: one flat directory of files, written at given positions.
 *
 * Failures, for every verb:
 * - `disk-full`              no space. Nothing of a `create` stays behind.
 * - `log-failed`             the device refused a read, a write or a sync. Never tried again: after a failed sync the
 *                            system may have thrown the bytes away and report success the second time.
 * - `invalid-configuration`  no such directory, or no right to use it
 */

export interface DiskEntry {
  readonly name: string;
  readonly bytes: number;
}

export interface Disk {
  /** The directory, for messages to people. */
  readonly place: string;
  /**
   * Takes the directory for this opening alone, until it is unlocked or the process ends in any way.
   * @throws `directory-in-use` somebody holds it: another process, or another opening in this one
   */
  lock(): Promise<DiskLock>;
  /** All files, in no order. */
  list(): Promise<readonly DiskEntry[]>;
  /** Their names alone, where that is cheaper: a directory with years of files in it is listed in one call. */
  names?(): Promise<readonly string[]>;
  /** Opens an existing file for reading and durable writing. */
  open(name: string): Promise<DiskFile>;
  /** Makes a file of zeros, with its space allocated and synced. An old file of this name is replaced. */
  create(name: string, bytes: number): Promise<void>;
  /** Durable only after `syncDirectory`, as is the name of a created file. Replaces a file of the new name. */
  rename(from: string, to: string): Promise<void>;
  /** Durable only after `syncDirectory`. */
  remove(name: string): Promise<void>;
  /** Resolved means: names created, renamed and removed before the call are on stable storage. */
  syncDirectory(): Promise<void>;
}

export interface DiskFile {
  /** Fills `target` from `position`. Returns the bytes read: fewer only where the file ends. */
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * Writes all of `bytes` at `position`, which may lie at the end of the file. Resolved means on stable storage, with
   * the file's length; rejected or in flight at a crash means that any of the 512-byte sectors may have been written.
   * The caller must not change the bytes until it is answered.
   */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Idempotent. No call may be in flight. */
  close(): Promise<void>;
}

export interface DiskLock {
  /** Idempotent. */
  release(): Promise<void>;
}

/** The unit that a crash leaves either old or new. */
export const sectorBytes = 512;
