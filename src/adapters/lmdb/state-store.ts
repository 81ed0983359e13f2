/**
 * The state store on LMDB: values outside the V8 heap, synchronous reads from the memory map, one transaction per write,
 * committed by a thread of lmdb-js.
 *
 * Invariants:
 * 1. Bytes leave only after their checksum held; otherwise the answer is undefined and `damaged` is told.
 * 2. Writes and clears take effect in the order of their calls.
 * 3. No read transaction outlives a turn of the event loop, so old pages are free to be used again.
 */
import { statSync } from "node:fs";
import type { RootDatabase } from "lmdb";
import { assert, HoldfastError } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import { checkImageName, type StateStore, type StateWrite, stateDamaged } from "../../ports/state-store.ts";
import { endOf, openValue, prefixLength, prefixOf, sealValue, shardOfKey } from "./keys.ts";
import { syncFile } from "./seal.ts";

/** Told of an image, or of the shard's stamp if the name is undefined. */
export type Damaged = (shard: ShardId, name: string | undefined) => void;

export interface LmdbParts {
  readonly database: RootDatabase<Buffer, string>;
  readonly path: string;
  readonly bytesMax: number;
  readonly damaged: Damaged;
  /** Everything is on stable storage. */
  readonly closed: () => Promise<void>;
}

/** Keys of one step of an iteration: a moment's work, and no long transaction. */
const stepKeys = 256;
/** Keys that a clear removes in one transaction. */
const clearKeys = 2_000;
/** A stamp is kept in pieces, so that the file needs no long runs of free pages for it. */
const stampPieceBytes = 4 * 1024 * 1024;

/** A value to put, or undefined to remove what may be there. */
type Change = readonly [key: string, value: Buffer | undefined];

export class LmdbStateStore implements StateStore {
  readonly #parts: LmdbParts;
  readonly #database: RootDatabase<Buffer, string>;
  /** Keys of marks that may be in the file: a write that is not busy has to remove only these. */
  readonly #marks: Set<string>;
  /** Pieces that a shard's stamp may have in the file, of shards whose stamp was written since the opening. */
  readonly #pieces = new Map<ShardId, number>();
  /** Writes and clears that wait for a clear. */
  readonly #jobs: (() => void)[] = [];
  #clearing = false;
  #last: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(parts: LmdbParts) {
    this.#parts = parts;
    this.#database = parts.database;
    this.#marks = new Set(this.#database.getKeys({ start: "b", end: endOf("b") }));
  }

  get(shard: ShardId, name: string): Uint8Array | undefined {
    this.#checkOpen();
    return this.#read(prefixOf("image", shard) + name, shard, name);
  }

  async write(writes: readonly StateWrite[]): Promise<void> {
    this.#checkAccepting();
    // The bytes are the caller's again when this call returns, so they are copied before anything is awaited.
    const changes = encode(writes);
    if (changes.length > 0) await this.#inOrder(() => this.#commit(changes));
  }

  stamp(shard: ShardId): Uint8Array | undefined {
    this.#checkOpen();
    const prefix = prefixOf("stamp", shard);
    const head = this.#read(prefix, shard, undefined);
    if (head === undefined) return undefined;
    const whole = Buffer.alloc(Number(head.toString()));
    for (let piece = 0; piece < piecesOf(whole.length); piece++) {
      const from = piece * stampPieceBytes;
      const bytes = this.#read(pieceKey(prefix, piece), shard, undefined);
      if (bytes?.length !== Math.min(stampPieceBytes, whole.length - from)) return this.#damaged(shard, undefined);
      whole.set(bytes, from);
    }
    return whole;
  }

  *busy(shard: ShardId): Iterable<string> {
    for (const { key } of this.#walk(prefixOf("busy", shard))) yield key.slice(prefixLength);
  }

  *images(shard: ShardId): Iterable<readonly [name: string, bytes: Uint8Array]> {
    for (const { key, value } of this.#walk(prefixOf("image", shard))) {
      const name = key.slice(prefixLength);
      const bytes = openValue(key, value) ?? this.#damaged(shard, name);
      if (bytes !== undefined) yield [name, bytes];
    }
  }

  count(shard: ShardId): number {
    this.#checkOpen();
    const prefix = prefixOf("image", shard);
    return this.#database.getKeysCount({ start: prefix, end: endOf(prefix) });
  }

  bytes(): number {
    return statSync(this.#parts.path).size;
  }

  async clear(shard: ShardId): Promise<void> {
    this.#checkAccepting();
    await this.#inOrder(async () => {
      this.#clearing = true;
      try {
        // Reads see what is committed; what was written before must be among that.
        await this.#last.catch(() => undefined);
        // Without its stamp the rest of the shard means nothing, so the stamp goes first.
        for (const kind of ["stamp", "busy", "image"] as const) await this.#removeAll(prefixOf(kind, shard));
        this.#pieces.delete(shard);
      } finally {
        this.#clearing = false;
        this.#runJobs();
      }
    });
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#inOrder(async () => {
        this.#clearing = true; // nothing starts any more
        await this.#last.catch(() => undefined);
      });
      this.#closed = true;
      await this.#database.close();
      await syncFile(this.#parts.path);
      await this.#parts.closed();
    })();
    return this.#closing;
  }

  /** Starts jobs in the order of their calls; what a clear has under way is finished before the next starts. */
  #inOrder(start: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#jobs.push(() => void start().then(resolve, reject));
      this.#runJobs();
    });
  }

  #runJobs(): void {
    while (!this.#clearing) {
      const job = this.#jobs.shift();
      if (job === undefined) return;
      job();
    }
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    this.#checkRoom(changes);
    const removed: string[] = [];
    const committed = this.#transact(() => {
      for (const [key, value] of changes) {
        if (value !== undefined) this.#put(key, value);
        else if (this.#marks.delete(key)) {
          removed.push(key);
          void this.#database.remove(key);
        }
      }
    });
    try {
      await committed;
    } catch (cause) {
      for (const key of removed) this.#marks.add(key);
      throw cause;
    }
  }

  #put(key: string, value: Buffer): void {
    if (key.startsWith("b")) this.#marks.add(key);
    else if (key.startsWith("s") && key.length === prefixLength) this.#dropPieces(key, value);
    void this.#database.put(key, value);
  }

  /** Removes the pieces by which the stamp in the file is longer than the one that is put. */
  #dropPieces(prefix: string, head: Buffer): void {
    const shard = shardOfKey(prefix);
    const now = piecesOf(Number(openValue(prefix, head)?.toString()));
    const start = pieceKey(prefix, 0);
    const before = this.#pieces.get(shard) ?? this.#database.getKeysCount({ start, end: endOf(prefix) });
    for (let piece = now; piece < before; piece++) void this.#database.remove(pieceKey(prefix, piece));
    this.#pieces.set(shard, now);
  }

  async #removeAll(prefix: string): Promise<void> {
    for (;;) {
      const keys = [...this.#database.getKeys({ start: prefix, end: endOf(prefix), limit: clearKeys })];
      if (keys.length === 0) return;
      await this.#transact(() => {
        for (const key of keys) {
          this.#marks.delete(key);
          void this.#database.remove(key);
        }
      });
    }
  }

  /** All that `act` asks for, in one transaction, on the thread of lmdb-js. */
  #transact(act: () => void): Promise<void> {
    const committed = (async () => {
      try {
        await this.#database.batch(act);
      } catch (cause) {
        throw translate(this.#parts.path, cause);
      }
    })();
    this.#last = committed;
    return committed;
  }

  #read(key: string, shard: ShardId, name: string | undefined): Buffer | undefined {
    let value: Buffer | undefined;
    try {
      value = this.#database.getBinary(key);
    } catch {
      return this.#damaged(shard, name);
    }
    return value === undefined ? undefined : (openValue(key, value) ?? this.#damaged(shard, name));
  }

  #damaged(shard: ShardId, name: string | undefined): undefined {
    this.#parts.damaged(shard, name);
    if (name !== undefined) throw stateDamaged(shard, name);
  }

  *#walk(prefix: string): Generator<{ key: string; value: Buffer }> {
    let start = prefix;
    for (;;) {
      this.#checkOpen();
      const step = [...this.#database.getRange({ start, end: endOf(prefix), limit: stepKeys })];
      yield* step;
      const last = step.at(-1);
      if (last === undefined || step.length < stepKeys) return;
      start = `${last.key}\u0001`;
    }
  }

  #checkRoom(changes: readonly Change[]): void {
    const { bytesMax, path } = this.#parts;
    const bytes = changes.reduce((sum, [key, value]) => sum + key.length + (value?.length ?? 0), 0);
    if (this.bytes() + bytes <= bytesMax) return;
    throw new HoldfastError("disk-full", `The state store ${path} has reached its limit of ${bytesMax} bytes.`, {
      details: { path, bytesMax },
    });
  }

  #checkOpen(): void {
    assert(!this.#closed, "no call follows close()");
  }

  #checkAccepting(): void {
    assert(this.#closing === undefined, "no call follows close()");
  }
}

function encode(writes: readonly StateWrite[]): Change[] {
  const changes: Change[] = [];
  const put = (key: string, payload: Uint8Array) => changes.push([key, sealValue(key, payload)]);
  for (const { shard, images, stamp } of writes) {
    const [imagePrefix, busyPrefix] = [prefixOf("image", shard), prefixOf("busy", shard)];
    for (const { name, bytes, busy } of images) {
      checkImageName(name);
      put(imagePrefix + name, bytes);
      if (busy) put(busyPrefix + name, nothing);
      else changes.push([busyPrefix + name, undefined]);
    }
    if (stamp === undefined) continue;
    const prefix = prefixOf("stamp", shard);
    put(prefix, Buffer.from(String(stamp.length)));
    for (let piece = 0; piece < piecesOf(stamp.length); piece++) {
      const from = piece * stampPieceBytes;
      put(pieceKey(prefix, piece), stamp.subarray(from, from + stampPieceBytes));
    }
  }
  return changes;
}

const nothing = new Uint8Array(0);

function piecesOf(bytes: number): number {
  return Math.ceil(bytes / stampPieceBytes);
}

function pieceKey(prefix: string, piece: number): string {
  return prefix + String(piece).padStart(6, "0");
}

function translate(path: string, cause: unknown): HoldfastError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const full = /MDB_MAP_FULL|No space left|ENOSPC|quota/i.test(why);
  const text = full ? "has no space left" : "could not be written";
  return new HoldfastError(full ? "disk-full" : "log-failed", `The state store ${path} ${text} (${why}).`, { cause });
}
