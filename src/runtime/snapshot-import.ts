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
import type { ShardImages } from "./shard-images.ts";
import type { LoadedSnapshot } from "./snapshot-load.ts";
import type { SnapshotLookup } from "./snapshot-lookup.ts";

/** Images of one transaction while nothing else has to go on. */
const sliceImagesHasty = 2_048;

/** Above the last record that the snapshot contains: its images may be newer than its offset. */
export function highOf({ at, layers }: Manifest): Offset {
  return layers.reduce((most, { parts }) => parts.reduce((high, part) => Math.max(high, part.high ?? 0), most), at);
}

export class SnapshotImport {
  readonly #snapshot: LoadedSnapshot;
  readonly #convert: (stored: StoredImage) => StoredImage;
  readonly #images: ShardImages;

  constructor(snapshot: LoadedSnapshot, convert: (stored: StoredImage) => StoredImage, images: ShardImages) {
    this.#snapshot = snapshot;
    this.#convert = convert;
    this.#images = images;
  }

  /** From now on the shard can be served. @returns false if it must wait for all of it */
  async begin(): Promise<boolean> {
    const lookup = this.#snapshot.lookup();
    if (lookup === undefined) return false;
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

  /** Writes all of it; there is nothing newer. */
  async all(): Promise<void> {
    for await (const slice of this.slices(sliceImagesHasty)) await this.#images.write(slice, slice.length);
  }
}
