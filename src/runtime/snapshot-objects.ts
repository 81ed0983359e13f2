/**
 * Objects of one shard in the snapshot store: how they are named, written and read back.
 *
 *   shards/<n>/head                                        replaced by compare-and-set
 *   shards/<n>/manifests/<epoch>-<generation>-<digest>
 *   shards/<n>/objects/<epoch>-<generation>-<digest>       parts and chunks
 *
 * Invariants: a name says who wrote it, so an owner deletes nothing that a later one is writing; what is read was checked by
 * length and SHA-256. Work between two turns of the event loop is bounded by `sliceBytes`.
 */
import { createHash } from "node:crypto";
import type { Epoch, ShardId } from "../model/ids.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { damaged, type ObjectRef } from "../wire/snapshot.ts";

const sliceBytes = 256 * 1024;
/** Work that is worth a rest; waiting for the store counts as at most this much work. */
const busyLeastMs = 0.2;
const busyMostMs = 2;
const restFactor = 4;
/** Objects of one shard that are under way to or from the store at once. */
const transfersMax = 4;

export type Area = "manifests" | "objects";

/** Who writes. */
export interface Stamp {
  readonly epoch: Epoch;
  readonly generation: number;
}

/** How work at a snapshot lets commands go on: a rest after a slice of reading, and whether the writing rests too. */
export interface SnapshotPace {
  readonly rest: () => Promise<void>;
  readonly easy: boolean;
}

export interface Uploaded {
  readonly objects: number;
  readonly bytes: number;
}

export class ShardObjects {
  readonly shard: ShardId;
  readonly headName: string;
  readonly store: SnapshotStore;
  readonly #clock: Clock;
  #objects = 0;
  #bytes = 0;
  /** When the last turn ended, by the monotonic clock. */
  #turnedMs = 0;
  /** Commands go on meanwhile, and come first. */
  easy = false;

  constructor(options: { readonly store: SnapshotStore; readonly shard: ShardId; readonly clock: Clock }) {
    this.store = options.store;
    this.shard = options.shard;
    this.#clock = options.clock;
    this.headName = `${this.prefix}head`;
  }

  get prefix(): string {
    return `shards/${this.shard}/`;
  }

  /** Since the start. */
  get uploaded(): Uploaded {
    return { objects: this.#objects, bytes: this.#bytes };
  }

  /** Lets everything run that has arrived; where commands go on, for longer than the work took. */
  async turn(): Promise<void> {
    const busyMs = this.easy ? Math.min(busyMostMs, this.#clock.monotonic() - this.#turnedMs) : 0;
    if (busyMs > busyLeastMs) await new Promise<void>((done) => this.#clock.after(busyMs * restFactor, done));
    else await new Promise<void>((done) => this.#clock.defer(done));
    this.#turnedMs = this.#clock.monotonic();
  }

  nameOf(area: Area, stamp: Stamp, sha256: string): string {
    return `${this.prefix}${area}/${stamp.epoch}-${stamp.generation}-${sha256.slice(0, 32)}`;
  }

  /** Who wrote what has this name; undefined for the head and for what is not of ours. */
  stampOf(name: string): (Stamp & { readonly area: Area }) | undefined {
    const match = /^(manifests|objects)\/(\d+)-(\d+)-[0-9a-f]{32}$/.exec(name.slice(this.prefix.length));
    if (match === null) return undefined;
    return { area: match[1] as Area, epoch: Number(match[2]), generation: Number(match[3]) };
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.store.put(name, bytes);
    this.#objects++;
    this.#bytes += bytes.length;
  }

  /** The object, checked. @throws `snapshot-damaged`, also if it is missing */
  async fetch(ref: ObjectRef): Promise<Uint8Array> {
    return await fetchChecked(this.store, ref, () => this.turn());
  }
}

/** An object, checked in slices with a turn after each. @throws `snapshot-damaged`, also if it is missing */
export async function fetchChecked(
  store: SnapshotStore,
  ref: ObjectRef,
  turn: () => Promise<void>,
): Promise<Uint8Array> {
  const found = await store.get(ref.name);
  if (found === undefined) throw damaged(ref.name, "is missing");
  const { bytes } = found;
  if (bytes.length !== ref.length) throw damaged(ref.name, `has ${bytes.length} bytes instead of ${ref.length}`);
  if ((await digestInSlices(bytes, turn)) !== ref.sha256) throw damaged(ref.name, "fails its SHA-256");
  return bytes;
}

/** SHA-256, hexadecimal. */
export async function digestInSlices(bytes: Uint8Array, turn: () => Promise<void>): Promise<string> {
  const hash = createHash("sha256");
  for (let from = 0; from < bytes.length; from += sliceBytes) {
    hash.update(bytes.subarray(from, from + sliceBytes));
    await turn();
  }
  return hash.digest("hex");
}

/** Runs transfers, a few at a time. After the first failure every call throws it. */
export class Transfers {
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** Waits until there is room, then starts. */
  async start(work: () => Promise<void>): Promise<void> {
    while (this.#running.size >= transfersMax) await Promise.race(this.#running);
    this.#check();
    const run = work().catch((error: unknown) => {
      this.#failure ??= { error };
    });
    const tracked = run.then(() => {
      this.#running.delete(tracked);
    });
    this.#running.add(tracked);
  }

  /** Waits for all that were started. */
  async settle(): Promise<void> {
    await Promise.all(this.#running);
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
