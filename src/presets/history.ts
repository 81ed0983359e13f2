/**
 * Time travel in one call: the past of an embedded service's data directory, for programs. The command line shows the
 * same to people.
 *
 * Invariant: the directory is read and never written; a node may be running on it. What is shown is the log as it was when
 * it was opened.
 */
import { type Fork, type ForkCommand, forkEntity } from "../history/fork.ts";
import {
  diffBetween,
  type EntityDiff,
  type EntityPast,
  eventsOf,
  type PastRecord,
  type Range,
  type ShardPast,
  shardAt,
  stateAt,
} from "../history/history.ts";
import { definitionOf, indexDefinitions } from "../history/replay.ts";
import type { Moment } from "../history/source.ts";
import { type Verification, type VerifyOptions, verifyHistory } from "../history/verify.ts";
import type { AnyEntity } from "../model/entity.ts";
import type { EntityRef, ShardId } from "../model/ids.ts";
import { openPast } from "./snapshot-source.ts";

export interface History {
  readonly shardCount: number;
  /** The records of an entity, as they stand in the log. */
  events(entity: EntityRef, range?: Range): AsyncIterable<PastRecord>;
  /** An entity at a moment; without one, at the end of the log. */
  stateAt(entity: EntityRef, moment?: Moment): Promise<EntityPast>;
  /** Every entity of a shard at a moment. */
  shardAt(shard: ShardId, moment?: Moment): Promise<ShardPast>;
  /** What changed from one moment to another, or to the end of the log. */
  diff(entity: EntityRef, from: Moment, to?: Moment): Promise<EntityDiff>;
  /** Runs a command on a copy. */
  fork(entity: EntityRef, moment: Moment | undefined, command: ForkCommand): Promise<Fork>;
  /** Replays the whole log against these entities. */
  verify(options?: VerifyOptions): Promise<Verification>;
}

/**
 * @throws `invalid-configuration` there is no log there
 * @throws `log-damaged` bytes that were once durable fail their checks
 */
export async function openHistory(options: {
  readonly directory: string;
  readonly entities: readonly AnyEntity[];
}): Promise<History> {
  const source = await openPast(options.directory);
  const definitions = indexDefinitions(options.entities);
  return {
    shardCount: source.shardCount,
    events: (entity, range) => eventsOf(source, entity, range),
    stateAt: (entity, moment) => stateAt(source, definitions, entity, moment),
    shardAt: (shard, moment) => shardAt(source, definitions, shard, moment),
    diff: (entity, from, to) => diffBetween(source, definitions, entity, [from, to]),
    async fork(entity, moment, command) {
      const past = await stateAt(source, definitions, entity, moment);
      return forkEntity(past, definitionOf(definitions, entity.type), command);
    },
    verify: (verifyOptions) => verifyHistory(source, definitions, verifyOptions),
  };
}
