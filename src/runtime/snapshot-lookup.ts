/**
 * The images of a snapshot that is held in memory as it was fetched: asked one by one, before they are in the state store.
 *
 * A shard is served from its snapshot as soon as the log's tail is replayed. An entity that is asked for is looked up in the
 * compressed parts (a block of each layer is read for it: some tenths of a millisecond); meanwhile all of them go into the
 * state store.
 *
 * Invariant: it answers what the snapshot's images are, of several of one entity the one that was touched last.
 */
import type { StoredImage } from "../model/images.ts";
import type { Layer, PartRef } from "../wire/snapshot.ts";
import { PartLookup } from "../wire/snapshot-part.ts";

export class SnapshotLookup {
  /** Of each layer, in the order of their names; they do not overlap. */
  readonly #layers: readonly (readonly PartLookup[])[];

  constructor(layers: readonly Layer[], bytesOf: (part: PartRef) => Uint8Array) {
    this.#layers = layers.map(({ parts }) => parts.map((part) => new PartLookup(part, bytesOf(part))));
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
        for (const images of part.blocks()) {
          for (const { name, busy } of images) if (busy) names.add(name);
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
