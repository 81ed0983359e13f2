/**
 * The snapshot store: named objects of bytes outside the node, in a directory or an S3 bucket.
 *
 * Invariants: an object is written whole or not at all, and a reader never sees a part of one. Names are what
 * `checkObjectName` takes, so that each is a file's name and an S3 key as it is.
 */
import { HoldfastError } from "../model/errors.ts";

/** What a version of an object is told from another by; opaque, never empty. Equal bytes may have equal tags. */
export type ObjectTag = string;

export interface StoredObject {
  /** The caller's own: the store does not touch them again. */
  readonly bytes: Uint8Array;
  readonly tag: ObjectTag;
}

export type PutResult =
  | { readonly ok: true; readonly tag: ObjectTag }
  | { readonly ok: false; readonly reason: "changed" };

/**
 * Every method may throw
 * - `unavailable`            no answer in time after bounded retries; what it asked for may have happened
 * - `invalid-configuration`  the place does not exist, or the credentials do not allow it
 * - `internal`               a name or prefix that `checkObjectName` or `checkObjectPrefix` refuses: a mistake of ours
 * and, where it writes, `disk-full`. Calls may overlap.
 */
export interface SnapshotStore {
  /**
   * Writes an object whose name says its content (it has a digest in it): there already is as good as written. Resolved
   * means durable. The caller must not change the bytes until it is answered.
   */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /**
   * Writes an object if it is still the version `expected`, or does not exist if that is undefined. One of several that
   * do this at the same time succeeds. Resolved means durable.
   */
  replace(name: string, bytes: Uint8Array, expected: ObjectTag | undefined): Promise<PutResult>;
  /** The object, or undefined if there is none. */
  get(name: string): Promise<StoredObject | undefined>;
  /**
   * Names that begin with `prefix` (which may end anywhere in a name), in ascending order of their code units. Those written
   * or deleted meanwhile may be among them or not.
   */
  list(prefix: string): AsyncIterable<string>;
  /** Deletes what is there of these. Not atomic: after a throw some may be gone. */
  delete(names: readonly string[]): Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Longest name: with the ending that a directory gives it, it is still a file's name on every system. */
export const objectNameCharsMax = 200;

const partPattern = /^[a-z0-9.-]+$/;

function isNamePart(part: string): boolean {
  return partPattern.test(part) && part !== "." && part !== "..";
}

/**
 * Names are 1 to 200 of `a-z`, `0-9`, `-`, `.` and `/`, with no empty, `.` or `..` part. Not checked: nobody uses both `a`
 * and `a/b`, because some S3 servers keep objects as files.
 * @throws `internal`
 */
export function checkObjectName(name: string): void {
  if (name.length <= objectNameCharsMax && name.split("/").every(isNamePart)) return;
  throw new HoldfastError("internal", `Broken invariant: ${JSON.stringify(name)} is a name of an object.`);
}

/** A prefix is empty or what a name may begin with. @throws `internal` */
export function checkObjectPrefix(prefix: string): void {
  if (prefix === "") return;
  checkObjectName(/[/]$|^$/.test(prefix) ? `${prefix}x` : prefix.replace(/(^|\/)\.\.?$/, "$1x"));
}
