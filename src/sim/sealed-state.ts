/**
 * The simulated state store's values as the real one keeps them: each ends with a checksum over key and payload, which is
 * checked by the real code at each read.
 *
 * Invariant: what a bit was turned in is told as damaged, by an image with an error, by a stamp as if there were none.
 */
import { openValue, prefixOf, sealValue } from "../adapters/lmdb/keys.ts";
import type { ShardId } from "../model/ids.ts";
import type { StoredImage } from "../model/images.ts";
import { type StateStore, type StateWrite, stateDamaged } from "../ports/state-store.ts";

export function sealStateStore(store: StateStore): StateStore {
  const openImage = (shard: ShardId, name: string, bytes: Uint8Array): Uint8Array => {
    const payload = openValue(prefixOf("image", shard) + name, Buffer.from(bytes));
    if (payload === undefined) throw stateDamaged(shard, name);
    return payload;
  };
  return {
    get: (shard, name) => {
      const bytes = store.get(shard, name);
      return bytes && openImage(shard, name, bytes);
    },
    write: (writes) => store.write(writes.map(sealWrite)),
    stamp: (shard) => {
      const bytes = store.stamp(shard);
      return bytes && openValue(prefixOf("stamp", shard), Buffer.from(bytes));
    },
    busy: (shard) => store.busy(shard),
    *images(shard) {
      for (const [name, bytes] of store.images(shard)) yield [name, openImage(shard, name, bytes)] as const;
    },
    count: (shard) => store.count(shard),
    bytes: () => store.bytes(),
    clear: (shard) => store.clear(shard),
    close: () => store.close(),
  };
}

function sealWrite({ shard, images, stamp }: StateWrite): StateWrite {
  const seal = (image: StoredImage): StoredImage => ({
    ...image,
    bytes: sealValue(prefixOf("image", shard) + image.name, image.bytes),
  });
  const sealed = { shard, images: images.map(seal) };
  return stamp === undefined ? sealed : { ...sealed, stamp: sealValue(prefixOf("stamp", shard), stamp) };
}
