/**
 * The entities of a shard that exist at a moment, for who needs all of them whatever the log still tells.
 *
 * Invariant: an entity whose first record was durable when the list was begun is in it, once; later ones may be. The owner has every
 * record below the offset that is asked for, and a list that outlives its incarnation ends with `unavailable`.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, type Offset, parseRef } from "../model/ids.ts";
import type { FeedSource } from "./feed-source.ts";
import type { Keep } from "./keep.ts";

/**
 * @returns undefined where nothing is kept beside the log, which then has all records
 * @throws `unavailable` the shard is not served now, by who has all records below, or its state store is still being filled
 */
export function entitiesOf(keep: Keep | undefined, below: Offset): Iterable<EntityRef> | undefined {
  return keep && listOf(keep, below);
}

/** An image that cannot be read ends the incarnation, as when its entity is asked for. */
function* namesOf({ images, host }: Keep): Generator<string> {
  try {
    yield* images.names();
  } catch (error) {
    if (!isHoldfastError(error) || error.code !== "state-damaged") throw error;
    host.abandon(error);
    throw new HoldfastError("unavailable", `The state store of shard ${host.shard} is damaged; ask again.`);
  }
}

function* listOf(keep: Keep, below: Offset): Generator<EntityRef> {
  const { owner } = keep.host;
  const check = () => {
    const isKnown = keep.host.owner === owner && owner.phase === "serving" && owner.durable >= below;
    if (!isKnown || keep.isImporting)
      throw new HoldfastError("unavailable", `What shard ${keep.host.shard} holds is not known yet; ask again.`);
  };
  check();
  const hot = new Map(owner.slots.values().map(({ ref }) => [formatRef(ref), ref]));
  for (const ref of hot.values()) {
    yield ref;
    check();
  }
  for (const name of namesOf(keep)) {
    // Images of an incarnation that has ended may have gone meanwhile.
    check();
    if (!hot.has(name)) yield parseRef(name);
  }
  check();
}

export type EntityIterator = Iterator<EntityRef> | AsyncIterator<EntityRef>;

/** Of a list that is here, or comes from its owner page by page. Undefined: of none. */
export function iteratorOf(list: ReturnType<FeedSource["entities"]>): EntityIterator | undefined {
  if (list === undefined) return undefined;
  return Symbol.iterator in list ? list[Symbol.iterator]() : list[Symbol.asyncIterator]();
}
