/**
 * What a feed has to give, told from the records that the witness saw, without any of the feeds' code.
 *
 * Invariant: what it says of a range of records does not change any more once the witness has seen them.
 */
import type { FeedFilter } from "../../model/feeds.ts";
import { type EntityRef, formatRef, type Offset, type ShardId, shardOf } from "../../model/ids.ts";
import type { LogRecord } from "../../model/records.ts";
import { canonicalJson } from "../../std/canonical.ts";
import type { Plain } from "../../std/plain.ts";
import { viewFrom } from "../model.ts";
import { type SaplingFacts, saplingStates } from "../sapling.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";

/** One event, as it must be told. */
export interface ToldChange {
  readonly shard: ShardId;
  readonly offset: Offset;
  readonly index: number;
  readonly text: string;
}

export interface Due {
  readonly entity: EntityRef;
  /** The version that must be told at least. */
  readonly version: Offset;
}

export class FeedTruth {
  readonly #world: World;
  readonly #witness: Witness;

  constructor(world: World, witness: Witness) {
    this.#world = world;
    this.#witness = witness;
  }

  /** First offset that is not durable. */
  next(shard: ShardId): Offset {
    return this.#witness.shards[shard]?.next ?? 1;
  }

  /** Checksum of the frame with the record before this offset. */
  chainBefore(shard: ShardId, offset: Offset): number {
    return offset <= 1 ? 0 : (this.#witness.shards[shard]?.chains[offset - 2] ?? -1);
  }

  *#records(shard: ShardId, from: Offset, until: Offset): Generator<readonly [Offset, LogRecord]> {
    const records = this.#witness.shards[shard]?.records ?? [];
    for (let offset = Math.max(1, from); offset < until; offset++)
      yield [offset, records[offset - 1] as LogRecord] as const;
  }

  /** The events of these records, in order. */
  changes(filter: FeedFilter, sinceMs: number, shard: ShardId, range: readonly [Offset, Offset]): ToldChange[] {
    const told: ToldChange[] = [];
    for (const [offset, record] of this.#records(shard, ...range)) {
      if (record.kind === "claim" || record.time < sinceMs || !isAsked(filter, record.entity)) continue;
      const { time, entity } = record;
      const tell = (index: number, event: string, version: number, payload: unknown, by: readonly unknown[]) => {
        if (filter.events?.includes(event) === false) return;
        told.push({
          shard,
          offset,
          index,
          text: textOf([offset, index, time, formatRef(entity), event, version, payload, by]),
        });
      };
      if (record.kind === "mark") {
        if (record.state !== null) tell(0, "@state-set", 1, record.state.value, [record.verb, null]);
        continue;
      }
      const { cause, command } = record;
      const by = [command, cause.kind === "request" ? cause.requestId : null];
      for (const [index, { name, version, payload }] of record.events.entries())
        tell(index, name, version, payload, by);
    }
    return told;
  }

  /** The entities that these records changed, each with the version of its last change. */
  due(filter: FeedFilter, sinceMs: number, shard: ShardId, range: readonly [Offset, Offset]): Map<string, Due> {
    const due = new Map<string, Due>();
    for (const [offset, record] of this.#records(shard, ...range)) {
      if (record.kind === "claim" || record.time < sinceMs || !isAsked(filter, record.entity)) continue;
      const name = formatRef(record.entity);
      const { entity } = record;
      const before = due.get(name)?.version ?? 0;
      if (record.kind === "mark") {
        const isShownAgain = record.verb === "skip" || record.verb === "repair" || record.verb === "resume";
        if (isShownAgain) due.set(name, { entity, version: record.state === null ? before : offset });
      } else if (record.events.some((event) => filter.events?.includes(event.name) ?? true))
        due.set(name, { entity, version: offset });
    }
    return due;
  }

  /** Every entity of the shard that has a version, and is asked for. */
  entities(filter: FeedFilter, shard: ShardId, below: Offset): Map<string, Due> {
    const found = new Map<string, Due>();
    const { events: _, ...whatever } = filter;
    for (const [name, due] of this.due(whatever, 0, shard, [1, below])) if (due.version > 0) found.set(name, due);
    return found;
  }

  hadVersion(entity: string, version: Offset): boolean {
    return this.#witness.entity(entity).states.has(version);
  }

  lastVersion(entity: string): Offset {
    return this.#witness.entity(entity).version;
  }

  /** Whether this is what is to be seen of the entity at that version. */
  isShown(
    entity: EntityRef,
    version: Offset,
    value: Plain,
    view: { name: string | undefined; viewer: string },
  ): boolean {
    const model = this.#witness.entity(formatRef(entity));
    const state = model.states.get(version);
    if (state === undefined) return false;
    if (entity.type === "sapling") {
      const { deployments, swarm } = this.#world;
      const trimmed = deployments.isTrimmed(shardOf(entity.type, entity.key, swarm.shardCount));
      const states = saplingStates(deployments.generation, JSON.parse(state) as SaplingFacts, trimmed);
      return states.some((one) => textOf(JSON.parse(one)) === textOf(value));
    }
    const shown = view.name === undefined ? state : viewFrom(entity.type, state, view.viewer);
    return textOf(JSON.parse(shown)) === textOf(value);
  }

  /** Shards of the filter; of one entity, its own. */
  shards(filter: FeedFilter): ShardId[] {
    const { shardCount } = this.#world.swarm;
    const all = filter.shards ?? Array.from({ length: shardCount }, (_, shard) => shard);
    if (filter.key === undefined) return [...all];
    const own = shardOf(filter.types?.[0] ?? "", filter.key, shardCount);
    return all.filter((shard) => shard === own);
  }
}

function isAsked({ types, key, keyPrefix }: FeedFilter, entity: EntityRef): boolean {
  if (entity.type.startsWith("holdfast-")) return false;
  if (types !== undefined && !types.includes(entity.type)) return false;
  return (key ?? entity.key) === entity.key && entity.key.startsWith(keyPrefix ?? "");
}

export function textOf(value: unknown): string {
  return canonicalJson(value as Plain);
}
