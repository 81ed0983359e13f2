/**
 * The entities of a shard that exist at a moment, for who needs all of them whatever the log still tells.
 *
 * Invariant: an entity whose first record was durable when the list was begun is in it, once; later ones may be.
 */
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, parseRef } from "../model/ids.ts";
import type { Keep } from "./keep.ts";

/** @throws `unavailable` the shard is not served now, or its state store is still being filled */
export function* entitiesOf(keep: Keep): Generator<EntityRef> {
  const { owner } = keep.host;
  if (owner.phase !== "serving" || keep.isImporting)
    throw new HoldfastError("unavailable", `What shard ${keep.host.shard} holds is not known yet; ask again.`);
  const hot = new Map(owner.slots.values().map(({ ref }) => [formatRef(ref), ref]));
  yield* hot.values();
  for (const name of keep.images.names()) if (!hot.has(name)) yield parseRef(name);
}
