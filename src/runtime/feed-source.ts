/**
 * What a node gives its feeds.
 *
 * Invariant: nothing in it changes the node.
 */
import type { EntityDefinition } from "../model/entity.ts";
import type { EntityRef, Offset, ShardId } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, LookCall } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogReader } from "../ports/log.ts";
import type { Door, DoorOptions } from "./door.ts";
import type { RecentFrames } from "./recent-frames.ts";

export interface FeedSource {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  readonly clock: Clock;
  /** The node's time, ms since 1970. */
  readonly now: () => number;
  readonly shardCount: number;
  /** The log, and what was trimmed of it. */
  readonly past: LogReader;
  readonly recent: RecentFrames;
  /**
   * All entities of a shard, as its owner knows them that has all records below this offset; undefined where everything is in the
   * log anyway.
   * @throws `unavailable` they are not known at the moment, also while they are iterated
   */
  entities(shard: ShardId, below: Offset): Iterable<EntityRef> | AsyncIterable<EntityRef> | undefined;
  /**
   * From now on `recent` knows how far these shards are, wherever they are served.
   * @param what `frames`: it gets their frames, to go through them; `tails`: to know how far behind somebody is
   * @returns ends it
   */
  heed(shards: readonly ShardId[], what: "frames" | "tails"): () => void;
  /** The present state of an entity, when what it rests on is durable. */
  look(call: LookCall, done: (result: CallResult) => void): void;
  /** A door for values that are made of what entities recorded; it is told of every erasure. */
  openDoor(definitions: DoorOptions["definitions"]): Door;
}
