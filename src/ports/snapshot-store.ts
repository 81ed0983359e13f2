/**
 * The snapshot store: named objects of bytes outside the node, in a directory or an S3 bucket.
 *
 * Names are 1 to 512 characters of `a-z`, `0-9`, `-`, `.` and `/` (no empty, `.` or `..` part). Objects are written whole
 * or not at all; a reader never sees a part of one.
 */

/** What a version of an object is told from another by; opaque, never empty. */
export type ObjectTag = string;

export interface StoredObject {
  readonly bytes: Uint8Array;
  readonly tag: ObjectTag;
}

export type PutResult =
  | { readonly ok: true; readonly tag: ObjectTag }
  | { readonly ok: false; readonly reason: "changed" };

/** Every method may throw `unavailable`: no answer in time after bounded retries; what it asked for may have happened. */
export interface SnapshotStore {
  /** Writes an object whose name says its content (it has a digest in it): there already is as good as written. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /**
   * Writes an object if it is still the version `expected`, or does not exist if that is undefined. One of several that
   * do this at the same time succeeds. Resolved means durable.
   */
  replace(name: string, bytes: Uint8Array, expected: ObjectTag | undefined): Promise<PutResult>;
  /** The object, or undefined if there is none. */
  get(name: string): Promise<StoredObject | undefined>;
  /** Names that begin with `prefix`, in ascending order of their code units. */
  list(prefix: string): AsyncIterable<string>;
  /** Deletes what is there of these. */
  delete(names: readonly string[]): Promise<void>;
  close(): Promise<void>;
}
