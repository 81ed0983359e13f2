/**
 * What a record means to a feed: the changes in it, and the entity that it changed.
 *
 * Invariant: a function of the record and the filter alone, so that the same record gives the same items, whoever reads it and
 * whenever. What Holdfast keeps for itself (entity types whose names begin with `holdfast-`) is nobody's news.
 */
import type { ChangeItem, FeedFilter } from "../../model/feeds.ts";
import { type EntityRef, isOwnType, type Offset, type ShardId } from "../../model/ids.ts";
import type { MarkRecord } from "../../model/marks.ts";
import type { LogRecord } from "../../model/records.ts";

/** What a filter asks, ready to be asked of each record. */
export interface Sieve {
  readonly types: ReadonlySet<string> | undefined;
  readonly events: ReadonlySet<string> | undefined;
  readonly key: string | undefined;
  readonly keyPrefix: string | undefined;
}

export function sieveOf(filter: FeedFilter): Sieve {
  return {
    types: filter.types && new Set(filter.types),
    events: filter.events && new Set(filter.events),
    key: filter.key,
    keyPrefix: filter.keyPrefix,
  };
}

export function isOfInterest({ types, key, keyPrefix }: Sieve, entity: EntityRef): boolean {
  if (types === undefined ? isOwnType(entity.type) : !types.has(entity.type)) return false;
  if (key !== undefined && entity.key !== key) return false;
  return keyPrefix === undefined || entity.key.startsWith(keyPrefix);
}

/** Marks after which an entity shows another state, or shows one again. */
const dealtWith: ReadonlySet<MarkRecord["verb"]> = new Set(["skip", "repair", "resume"]);

/** The entity whose state this record changed, if it is of interest. */
export function changedBy(record: LogRecord, sieve: Sieve): EntityRef | undefined {
  if (record.kind === "claim" || !isOfInterest(sieve, record.entity)) return undefined;
  if (record.kind === "mark") return dealtWith.has(record.verb) ? record.entity : undefined;
  const { events } = sieve;
  const changed = events === undefined ? record.events.length > 0 : record.events.some(({ name }) => events.has(name));
  return changed ? record.entity : undefined;
}

/** The version that the entity has reached by this record; 0 if the record gives it none. */
export function versionAfter(record: LogRecord, offset: Offset): Offset {
  if (record.kind === "step") return record.events.length > 0 ? offset : 0;
  return record.kind === "mark" && record.state !== null ? offset : 0;
}

/** Adds the record's changes, in order. */
export function addChanges(record: LogRecord, shard: ShardId, offset: Offset, sieve: Sieve, items: ChangeItem[]): void {
  if (record.kind === "claim" || !isOfInterest(sieve, record.entity)) return;
  if (record.kind === "mark") return addMark(record, shard, offset, sieve, items);
  const { time: timeMs, entity, command, cause, events } = record;
  const requestId = cause.kind === "request" ? cause.requestId : undefined;
  for (let index = 0; index < events.length; index++) {
    const { name, version, payload } = events[index] as (typeof events)[number];
    if (sieve.events?.has(name) === false) continue;
    items.push({
      kind: "change",
      shard,
      offset,
      index,
      timeMs,
      entity,
      event: name,
      eventVersion: version,
      payload,
      command,
      requestId,
    });
  }
}

/** What a consumer has to know of a mark: a state that an operator set, or that personal data were erased. */
function markEvent(mark: MarkRecord): "@state-set" | "@erased" | undefined {
  if (mark.verb === "erase") return "@erased";
  return mark.state === null ? undefined : "@state-set";
}

function addMark(mark: MarkRecord, shard: ShardId, offset: Offset, sieve: Sieve, items: ChangeItem[]): void {
  const event = markEvent(mark);
  if (event === undefined || sieve.events?.has(event) === false) return;
  items.push({
    kind: "change",
    shard,
    offset,
    index: 0,
    timeMs: mark.time,
    entity: mark.entity,
    event,
    eventVersion: 1,
    payload: mark.state === null ? null : mark.state.value,
    command: mark.verb,
    requestId: undefined,
  });
}
