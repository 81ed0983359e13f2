/**
 * The images of a snapshot that is held in memory as it was fetched: asked one by one, before they are in the state store.
 *
 * A shard is served from its snapshot as soon as the log's tail is replayed. An entity that is asked for is looked up in the
 * parts, of which blocks are decompressed when they are needed first; meanwhile all of them go into the state store.
 *
 * Invariant: it answers what the snapshot's images are, of several of one entity the one that was touched last.
 */
import type { StoredImage } from "../model/images.ts";
import type { Layer, PartRef } from "../wire/snapshot.ts";
import { type Lent, PartLookup } from "../wire/snapshot-part-lookup.ts";

export class SnapshotLookup {
  /** Of each layer, in the order of their names; they do not overlap. */
  readonly #layers: readonly (readonly PartLookup[])[];

  /** @param lent what may be taken for blocks that were decompressed */
  constructor(layers: readonly Layer[], bytesOf: (part: PartRef) => Uint8Array, lent: Lent) {
    this.#layers = layers.map(({ parts }) => parts.map((part) => new PartLookup(part, bytesOf(part), lent)));
  }

  /** @throws `snapshot-damaged` */
  find(name: string): StoredImage | undefined {
    let found: StoredImage | undefined;
    for (const parts of this.#layers) {
      const image = partOf(parts, name)?.find(name);
      if (image !== undefined && (found === undefined || image.touched > found.touched)) found = image;
    }
    return found;
  }

  /** Names of images that may be busy: of an entity in several layers an older image may have been. */
  async busy(turn: () => Promise<void>): Promise<Set<string>> {
    const names = new Set<string>();
    for (const parts of this.#layers) {
      for (const part of parts) {
        if (part.ref.busy === 0) continue;
        for (const busy of part.busy()) {
          for (const name of busy) names.add(name);
          await turn();
        }
      }
    }
    return names;
  }
}

function partOf(parts: readonly PartLookup[], name: string): PartLookup | undefined {
  let [low, high] = [0, parts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((parts[middle] as PartLookup).ref.last < name) low = middle + 1;
    else high = middle;
  }
  const part = parts[low];
  return part !== undefined && part.ref.first <= name ? part : undefined;
}
