/**
 * Time travel: what an entity or a shard was at a moment of its past. A follower of the log that stops early.
 *
 * Invariants: nothing is written, neither to the log nor to what is handed out; what is shown at an offset is what the
 * owner held when that record was its last.
 */
import { apart, imageOf } from "../core/image.ts";
import { makeSlot } from "../core/slot.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, isKey, isTypeName, type Offset, type ShardId, shardOf } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { StepRecord } from "../model/records.ts";
import { diff, type PatchOperation } from "../std/patch.ts";
import { definitionOf, PastSlots } from "./replay.ts";
import {
  type Definitions,
  findStarts,
  type HistorySource,
  isUntil,
  type Moment,
  type ReadProgress,
  readRecords,
  type ShardStart,
} from "./source.ts";

/** One record of an entity, and where it stands. */
export interface PastRecord {
  readonly offset: Offset;
  readonly epoch: number;
  readonly record: StepRecord | MarkRecord;
}

/** An entity as it was. */
export interface EntityPast {
  readonly shard: ShardId;
  /** The last record of the shard that is contained; 0 before the first. */
  readonly offset: Offset;
  /** Recorded time of that record. */
  readonly timeMs: number;
  /** False: no record up to then brought it into being. The image is then that of a new entity. */
  readonly exists: boolean;
  readonly image: EntityImage;
}

export interface ShardPast {
  readonly shard: ShardId;
  readonly offset: Offset;
  readonly timeMs: number;
  /** By `type/key`. */
  readonly entities: ReadonlyMap<string, EntityImage>;
}

export interface EntityDiff {
  readonly before: EntityPast;
  readonly after: EntityPast;
  /** RFC 6902: turns the state before into the state after. */
  readonly patch: readonly PatchOperation[];
}

export interface Range {
  /** First and last moment, both contained. */
  readonly from?: Moment;
  readonly to?: Moment;
}

/**
 * The records of one entity as they stand in the log: no code of the service is needed.
 * @throws `log-damaged` as the log's `read` does; also if the beginning was trimmed and `from` does not say where to begin
 */
export async function* eventsOf(
  source: HistorySource,
  entity: EntityRef,
  range: Range = {},
  progress?: ReadProgress,
): AsyncGenerator<PastRecord> {
  const shard = shardOfEntity(source, entity);
  const [position] = await source.positions([shard]);
  if (position === undefined) return;
  const first = range.from !== undefined && "offset" in range.from ? range.from.offset : 1;
  const from = Math.max(first, position.trimmed);
  const start = { shard, begin: position.trimmed, from, tail: position.tail, start: undefined };
  for await (const { at, epoch, records } of readRecords(source, [start], progress)) {
    for (const [index, record] of records.entries()) {
      const offset = at + index;
      if (!isUntil(range.to, offset, record.time)) return;
      if (record.kind === "claim" || !isSame(record.entity, entity)) continue;
      if (range.from !== undefined && "timeMs" in range.from && record.time < range.from.timeMs) continue;
      yield { offset, epoch, record };
    }
  }
}

/**
 * One entity at a moment; without one, at the end of the log. Other entities' records are left out, so that an event of
 * theirs that this code does not know hinders nobody.
 * @throws `unknown-type`, `unknown-event`, `evolve-failed` the code does not fit this entity's records
 * @throws `invalid-input` the log does not reach so far
 */
export async function stateAt(
  source: HistorySource,
  definitions: Definitions,
  entity: EntityRef,
  moment?: Moment,
  progress?: ReadProgress,
): Promise<EntityPast> {
  const definition = definitionOf(definitions, entity.type);
  const shard = shardOfEntity(source, entity);
  const { slots, offset, timeMs } = await replayShard({
    source,
    definitions,
    shard,
    moment,
    progress,
    only: entity,
  });
  const slot = slots.get(entity);
  return {
    shard,
    offset,
    timeMs,
    exists: slot !== undefined,
    image: apart(imageOf(slot ?? makeSlot(entity, definition))),
  };
}

/** Every entity of a shard at a moment; without one, at the end of the log. Throws as `stateAt` does. */
export async function shardAt(
  source: HistorySource,
  definitions: Definitions,
  shard: ShardId,
  moment?: Moment,
  progress?: ReadProgress,
): Promise<ShardPast> {
  const { slots, offset, timeMs } = await replayShard({ source, definitions, shard, moment, progress });
  const images = [...slots.values()].map((slot) => [formatRef(slot.ref), apart(imageOf(slot))] as const);
  return { shard, offset, timeMs, entities: new Map(images) };
}

/** What changed between two moments. Throws as `stateAt` does. */
export async function diffBetween(
  source: HistorySource,
  definitions: Definitions,
  entity: EntityRef,
  moments: readonly [Moment, Moment | undefined],
  progress?: ReadProgress,
): Promise<EntityDiff> {
  const before = await stateAt(source, definitions, entity, moments[0], progress);
  const after = await stateAt(source, definitions, entity, moments[1], progress);
  return { before, after, patch: diff(before.image.state, after.image.state) };
}

interface ReplayFacts {
  readonly source: HistorySource;
  readonly definitions: Definitions;
  readonly shard: ShardId;
  readonly moment: Moment | undefined;
  readonly progress: ReadProgress | undefined;
  /** Leaves all other entities out. */
  readonly only?: EntityRef;
}

async function replayShard(facts: ReplayFacts) {
  const { source, definitions, shard, moment } = facts;
  const [from] = await findStarts(source, [shard], moment, definitions);
  if (from === undefined) throw new HoldfastError("internal", "Broken invariant: a shard has a start");
  if (moment !== undefined && "offset" in moment && moment.offset >= from.tail) {
    const text = `The log of shard ${shard} ends at offset ${from.tail - 1}; ask for that or an earlier one.`;
    throw new HoldfastError("invalid-input", text, { details: { shard, offset: moment.offset, last: from.tail - 1 } });
  }
  const past = await replayFrom(facts, from);
  if (moment === undefined || isExact(past)) return past;
  if (from.begin > 1) throw notExact(past, shard);
  // The archive tells it record by record.
  return replayFrom(facts, { ...from, from: 1, start: undefined });
}

interface Replayed {
  readonly slots: PastSlots;
  readonly offset: Offset;
  readonly timeMs: number;
}

async function replayFrom(facts: ReplayFacts, from: ShardStart): Promise<Replayed> {
  const { source, definitions, moment, progress, only } = facts;
  const slots = new PastSlots(definitions);
  if (from.start !== undefined) await slots.load(from.start, only);
  let offset = from.from - 1;
  let timeMs = from.start?.shard.timeMs ?? 0;
  read: for await (const { at, records } of readRecords(source, [from], progress)) {
    for (const [index, record] of records.entries()) {
      if (!isUntil(moment, at + index, record.time)) break read;
      offset = at + index;
      timeMs = record.time;
      if (record.kind !== "claim" && (only === undefined || isSame(record.entity, only))) slots.replay(offset, record);
    }
  }
  for (const { error } of slots.broken.values()) throw error;
  return { slots, offset, timeMs };
}

/** Images are taken while commands go on, so one may contain more than the moment that was asked for. */
function isExact({ slots, offset }: Replayed): boolean {
  for (const { touched } of slots.values()) if (touched > offset) return false;
  return true;
}

function notExact({ slots, offset }: Replayed, shard: ShardId): HoldfastError {
  const slot = [...slots.values()].find(({ touched }) => touched > offset);
  const name = slot === undefined ? "an entity" : formatRef(slot.ref);
  const text = `The log before offset ${offset} of shard ${shard} was trimmed, and the snapshot at hand has ${name} as of ${slot?.touched}.`;
  const details = { shard, touched: slot?.touched };
  return new HoldfastError("log-damaged", `${text} Ask for that moment or a later one.`, { details });
}

/** @throws `invalid-key` it cannot be an entity */
function shardOfEntity(source: HistorySource, { type, key }: EntityRef): ShardId {
  if (isTypeName(type) && isKey(key)) return shardOf(type, key, source.shardCount);
  throw new HoldfastError(
    "invalid-key",
    "An entity is written type/key: a type name, and 1 to 128 of letters, digits, _ and -.",
  );
}

function isSame(a: EntityRef, b: EntityRef): boolean {
  return a.key === b.key && a.type === b.type;
}
