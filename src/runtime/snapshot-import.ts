/**
 * A snapshot on its way into the state store: asked for single entities meanwhile, if it is small enough to be held.
 *
 * Invariant: the store gets an image of the snapshot only where it has none, since what it has was written later.
 */
import { isHoldfastError } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { StoredImage } from "../model/images.ts";
import { stateDamaged } from "../ports/state-store.ts";
import type { Manifest } from "../wire/snapshot.ts";
import type { Lent } from "../wire/snapshot-part-lookup.ts";
import type { ShardImages } from "./shard-images.ts";
import type { LoadedSnapshot } from "./snapshot-load.ts";
import type { SnapshotLookup } from "./snapshot-lookup.ts";

/** Between attempts at an import that failed. */
const pauseMs = 10_000;
/** Images of one transaction while commands go on. */
const sliceImages = 64;
/** Images of one transaction while nothing else has to go on. */
const sliceImagesHasty = 2_048;

/** What one shard takes of the memory that the node lends. */
class Loan implements Lent {
  readonly #pool: Lent;
  #taken = 0;
  #ended = false;

  constructor(pool: Lent) {
    this.#pool = pool;
  }

  get bytes(): number {
    return this.#ended ? 0 : this.#pool.bytes;
  }

  set bytes(left: number) {
    this.#taken += this.#pool.bytes - left;
    this.#pool.bytes = left;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pool.bytes += this.#taken;
  }
}

/** Above the last record that the snapshot contains: its images may be newer than its offset. */
export function highOf({ at, layers }: Manifest): Offset {
  return layers.reduce((most, { parts }) => parts.reduce((high, part) => Math.max(high, part.high ?? 0), most), at);
}

export interface SnapshotImportParts {
  readonly snapshot: LoadedSnapshot;
  readonly convert: (stored: StoredImage) => StoredImage;
  readonly images: ShardImages;
  /** Shared by the shards of the node. */
  readonly lent: Lent;
}

export class SnapshotImport {
  readonly #snapshot: LoadedSnapshot;
  readonly #convert: (stored: StoredImage) => StoredImage;
  readonly #images: ShardImages;
  readonly #loan: Loan;
  #afterMs = 0;

  constructor({ snapshot, convert, images, lent }: SnapshotImportParts) {
    this.#snapshot = snapshot;
    this.#convert = convert;
    this.#images = images;
    this.#loan = new Loan(lent);
  }

  /** From now on the shard can be served. @returns false if it must wait for all of it: there is no memory to hold it in */
  async begin(): Promise<boolean> {
    const { heldBytes } = this.#snapshot;
    if (heldBytes > this.#loan.bytes) return false;
    const lookup = this.#snapshot.lookup(this.#loan);
    if (lookup === undefined) return false;
    this.#loan.bytes -= heldBytes;
    const busy = await lookup.busy(() => this.#snapshot.turn());
    this.#images.begin({ find: (name) => this.#find(lookup, name), busy }, highOf(this.#snapshot.manifest));
    return true;
  }

  #find(lookup: SnapshotLookup, name: string): StoredImage | undefined {
    try {
      const found = lookup.find(name);
      return found && this.#convert(found);
    } catch (cause) {
      // It was verified when it was fetched: the shard starts over, and fetches again.
      throw isHoldfastError(cause) && cause.code === "snapshot-damaged"
        ? stateDamaged(this.#snapshot.manifest.shard, name)
        : cause;
    }
  }

  /** All images, in the present code's form, so many at a time. */
  async *slices(count: number): AsyncGenerator<StoredImage[]> {
    let slice: StoredImage[] = [];
    for await (const batch of this.#snapshot.batches()) {
      for (const stored of batch) {
        if (slice.push(this.#convert(stored)) < count) continue;
        yield slice;
        slice = [];
      }
    }
    if (slice.length > 0) yield slice;
  }

  /** Stores all images, slice by slice, with a rest after each that is told how long it took. */
  async run(
    store: (slice: readonly StoredImage[]) => Promise<void>,
    rest: (busyMs: number) => Promise<void>,
    nowMs: () => number,
  ): Promise<void> {
    for await (const slice of this.slices(sliceImages)) {
      const startedMs = nowMs();
      await store(slice);
      await rest(nowMs() - startedMs);
    }
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#afterMs;
  }

  /** It failed: it is not tried again at once. */
  delay(nowMs: number): void {
    this.#afterMs = nowMs + pauseMs;
  }

  /** Gives the memory back. Idempotent. */
  end(): undefined {
    this.#loan.end();
  }

  /** Writes all of it; there is nothing newer. */
  async all(): Promise<void> {
    for await (const slice of this.slices(sliceImagesHasty)) await this.#images.write(slice, slice.length);
  }
}
