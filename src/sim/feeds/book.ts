/**
 * What a follower has been given, held to the truth batch by batch.
 *
 * Invariants checked: a batch begins where the one before ended. Changes are exactly the events of the records between its two
 * cursors, in order. Absolutes and deltas are of exactly the entities that these records changed, each at a durable version
 * that is not below its last change, with the value that the log says; a delta leads from the value that this feed gave last.
 */
import { samePlaces } from "../../core/changefeed/cursor.ts";
import type { ChangeItem, Cursor, FeedBatch, FeedItem, FeedStart, Place } from "../../model/feeds.ts";
import { formatRef, type Offset, type ShardId } from "../../model/ids.ts";
import type { AsideRecord } from "../../model/subscribers.ts";
import { applyPatch } from "../../std/patch.ts";
import type { Plain } from "../../std/plain.ts";
import { readCursorSince } from "../../wire/cursor.ts";
import { mayBeParked } from "../entities.ts";
import type { World } from "../world.ts";
import type { FollowerAsk } from "./feed-swarm.ts";
import { type Due, type FeedTruth, textOf } from "./truth.ts";

export interface Given {
  readonly version: Offset;
  readonly value: Plain;
}

/** What a follower keeps with a cursor. */
export interface Kept {
  readonly cursor: string;
  readonly given: ReadonlyMap<string, Given>;
  readonly owed: ReadonlyMap<string, Due>;
}

export interface BookFacts {
  readonly world: World;
  readonly truth: FeedTruth;
  readonly ask: FollowerAsk;
  readonly viewer: string;
  /** Name of the follower, for what is told. */
  readonly who: string;
}

/** A value that was set aside. */
const unknown: Plain = "set aside";

/** The node may know of records that the witness has not seen: those of an append without an answer. */
const unseenMax = 1_000;

export class Book {
  readonly #facts: BookFacts;
  #cursor: string;
  #places: Cursor = new Map();
  #sinceMs = 0;
  readonly #given: Map<string, Given>;
  /** Due once and not shown then: broken, and parked. They come when somebody has dealt with them. */
  readonly #owed: Map<string, Due>;
  /** Of what this feed, since it was opened, gave last. */
  #held = new Map<string, Given>();

  constructor(facts: BookFacts, kept: Kept) {
    this.#facts = facts;
    this.#given = new Map(kept.given);
    this.#owed = new Map(kept.owed);
    this.#cursor = kept.cursor;
    this.#move(kept.cursor);
  }

  get cursor(): string {
    return this.#cursor;
  }

  get places(): Cursor {
    return this.#places;
  }

  /** As it is, to be tried on. */
  fork(): Book {
    const other = new Book(this.#facts, this.keep());
    other.#held = new Map(this.#held);
    return other;
  }

  /** A feed that goes on from here to that cursor has it to give. */
  isDue({ kind, shard, offset, entity }: FeedItem, cursor: string): boolean {
    const { truth, ask } = this.#facts;
    const from = offsetIn(this.#places, shard);
    const to = Math.min(offsetIn(this.#read(cursor).places, shard), truth.next(shard));
    if (from === 0) return true;
    if (kind === "change") return offset >= from && offset < to;
    return truth.due(ask.filter, this.#sinceMs, shard, [from, to]).has(formatRef(entity));
  }

  /** Stands behind a record whose items nobody took. */
  pass(cursor: string, record: Pick<AsideRecord, "shard" | "offset" | "entity">): void {
    const { truth, ask } = this.#facts;
    const { places, sinceMs } = this.#read(cursor);
    this.#checkPlaces(this.#places, places, sinceMs);
    for (const [shard, { offset }] of ask.form === "changes" ? places : []) {
      const passed = truth.changes(ask.filter, sinceMs, shard, [offsetIn(this.#places, shard), offset]);
      const other = passed.find((change) => shard !== record.shard || change.offset !== record.offset);
      if (other !== undefined)
        this.#violated("what is set aside is one record", `${other.offset} of shard ${shard} too`);
    }
    this.#checkPassed(record, places);
    // No delta may lead from what nobody holds.
    this.#held.delete(record.entity);
    const passed = { version: record.offset, value: unknown };
    if (record.offset > (this.#given.get(record.entity)?.version ?? -1)) this.#given.set(record.entity, passed);
    this.#move(cursor);
  }

  /** States: it is the only entity that was due, and had this version once. */
  #checkPassed({ entity, offset }: Pick<AsideRecord, "offset" | "entity">, places: Cursor): void {
    const { truth, ask } = this.#facts;
    if (ask.form === "changes") return;
    if (!truth.hadVersion(entity, offset))
      this.#violated("what is set aside is one record", `${entity} had no version ${offset}`);
    for (const [shard, place] of places) {
      const from = offsetIn(this.#places, shard);
      if (from === 0) continue;
      const range = [from, Math.min(place.offset, truth.next(shard))] as const;
      for (const [name, due] of truth.due(ask.filter, this.#sinceMs, shard, range))
        if (name !== entity) this.#missed(name, due);
    }
  }

  keep(): Kept {
    return { cursor: this.#cursor, given: new Map(this.#given), owed: new Map(this.#owed) };
  }

  /** The feed was opened (again). */
  opened(start: FeedStart, cursor: string, nextBefore: ReadonlyMap<ShardId, Offset>): void {
    this.#held = new Map();
    if (this.#cursor !== "") {
      if (!samePlaces(this.#places, this.#read(cursor).places))
        this.#violated("a feed goes on from its cursor", `it stands at ${cursor}, not at ${this.#cursor}`);
    } else if (start === "now") {
      for (const [shard, { offset }] of this.#read(cursor).places)
        if (offset < (nextBefore.get(shard) ?? 1))
          this.#violated("a feed begins where it is asked to", `shard ${shard} begins at ${offset}, in the past`);
    }
    const since = typeof start === "object" && "timeMs" in start ? start.timeMs : 0;
    if (this.#cursor === "" && this.#read(cursor).sinceMs !== since)
      this.#violated("a cursor holds what its feed began with", `${cursor}, which began at ${since}`);
    this.#move(cursor);
  }

  take({ items, cursor, lag }: FeedBatch, itemsMax: number): void {
    const { truth, ask } = this.#facts;
    const { places, sinceMs } = this.#read(cursor);
    const before = this.#places;
    this.#checkPlaces(before, places, sinceMs);
    if (this.#facts.world.violations.length > 0) return;
    if (ask.form === "changes") this.#takeChanges(items, before, places, itemsMax);
    else this.#takeStates(items, before, places, itemsMax);
    let behind = 0;
    for (const [shard, { offset }] of places) behind += Math.max(0, truth.next(shard) - offset);
    if (lag.records < 0 || lag.records > behind + unseenMax)
      this.#violated("lag is told", `${lag.records} records, where ${behind} are durable`);
    this.#move(cursor);
  }

  /** Whatever is durable was given, as far as it is asked for. */
  describeOpen(): string | undefined {
    const { truth, ask } = this.#facts;
    for (const [name, { version }] of this.#owed) return `${name} at ${version} was never shown`;
    for (const [shard, { offset }] of this.#places) {
      if (offset === 0) {
        const open = this.#unseen(shard, truth.next(shard)).next().value;
        if (open !== undefined) return `${open[0]} was not given at the beginning`;
        continue;
      }
      const range = [offset, truth.next(shard)] as const;
      if (ask.form === "changes") {
        const [change] = truth.changes(ask.filter, this.#sinceMs, shard, range);
        if (change !== undefined) return `shard ${shard} ends before the change at ${change.offset}`;
        continue;
      }
      for (const [name, { version }] of truth.due(ask.filter, this.#sinceMs, shard, range))
        if ((this.#given.get(name)?.version ?? -1) < version) return `${name} at ${version} was not given`;
    }
    return undefined;
  }

  /** At rest: what was given last is what there is. */
  checkLast(): void {
    const { truth, ask } = this.#facts;
    if (ask.form === "changes" || ask.filter.events !== undefined) return;
    for (const [name, { version }] of this.#given)
      if (version !== truth.lastVersion(name))
        this.#violated(
          "feeds end with the last state",
          `${name} was given at ${version}, not ${truth.lastVersion(name)}`,
        );
  }

  #checkPlaces(before: Cursor, after: Cursor, sinceMs: number): void {
    const { truth } = this.#facts;
    if (sinceMs !== this.#sinceMs)
      this.#violated("a cursor holds what its feed began with", `since ${sinceMs}, not ${this.#sinceMs}`);
    for (const [shard, { offset, chain }] of after) {
      const from = before.get(shard);
      const next = truth.next(shard);
      if (from === undefined || (offset < from.offset && offset !== 0))
        this.#violated("cursors do not go back", `shard ${shard}: ${offset} after ${from?.offset}`);
      else if (from.offset > 0 && offset > from.offset && offset > next)
        this.#violated(
          "feeds rest on durable records",
          `shard ${shard}: a cursor at ${offset}, ${next} is not durable`,
        );
      else if (from.offset > 0 && offset === 0) this.#violated("cursors do not go back", `shard ${shard} begins again`);
      const moved = from !== undefined && from.offset > 0 && offset > from.offset;
      if (moved ? chain !== truth.chainBefore(shard, offset) : chain !== undefined && chain !== from?.chain)
        if (offset > next || chain !== truth.chainBefore(shard, offset))
          this.#violated("a cursor rests on the record before", `shard ${shard} at ${offset}: chain ${chain}`);
    }
    if (after.size !== before.size) this.#violated("cursors do not go back", `${after.size} shards of ${before.size}`);
  }

  #takeChanges(items: readonly FeedItem[], before: Cursor, after: Cursor, itemsMax: number): void {
    const { truth, ask } = this.#facts;
    for (const [shard, { offset }] of after) {
      const expected = truth.changes(ask.filter, this.#sinceMs, shard, [offsetIn(before, shard), offset]);
      const told = items.filter((item) => item.shard === shard);
      const length = Math.max(expected.length, told.length);
      for (let index = 0; index < length; index++) {
        const [wanted, item] = [expected[index]?.text, told[index]];
        const text = item?.kind === "change" ? textOfChange(item) : item?.kind;
        if (text === wanted) continue;
        this.#violated(
          "a change log is the events, each once and in order",
          `shard ${shard} from ${offsetIn(before, shard)} to ${offset}: number ${index} is ${text}, not ${wanted}`,
        );
        return;
      }
    }
    const last = items.at(-1);
    const whole = items.filter(({ shard, offset }) => shard !== last?.shard || offset !== last.offset).length;
    if (whole >= itemsMax) this.#violated("a batch keeps its limits", `${items.length} items of ${itemsMax}`);
  }

  #takeStates(items: readonly FeedItem[], before: Cursor, after: Cursor, itemsMax: number): void {
    const { truth, ask } = this.#facts;
    if (items.length > itemsMax) this.#violated("a batch keeps its limits", `${items.length} items of ${itemsMax}`);
    const due = new Map<string, Due>();
    for (const [shard, { offset }] of after) {
      const from = offsetIn(before, shard);
      if (from === 0) continue;
      const range = [from, Math.min(offset, truth.next(shard))] as const;
      for (const [name, one] of truth.due(ask.filter, this.#sinceMs, shard, range)) due.set(name, one);
    }
    const seen = new Set<string>();
    for (const item of items) {
      const name = formatRef(item.entity);
      if (seen.has(name)) this.#violated("a batch has an entity once", name);
      seen.add(name);
      if (!due.has(name) && offsetIn(before, item.shard) !== 0)
        this.#violated("what changed is what is given", `${name} at ${item.offset}, which no record made due`);
      this.#takeState(item, due.get(name));
    }
    for (const [name, one] of due) if (!seen.has(name)) this.#missed(name, one);
    for (const [shard, { offset }] of after)
      if (offsetIn(before, shard) === 0 && offset > 0) this.#checkWhole(shard, offset);
  }

  #takeState(item: FeedItem, due: Due | undefined): void {
    const { truth, ask, viewer } = this.#facts;
    const name = formatRef(item.entity);
    if (item.kind === "change") return this.#violated("a feed keeps its form", `${name}: a change`);
    const value = item.kind === "absolute" ? item.value : this.#patched(name, item);
    if (value === undefined) return;
    if (value !== unknown && !truth.isShown(item.entity, item.offset, value, { name: ask.view, viewer }))
      this.#violated("feeds give durable states", `${name} at ${item.offset} is given as ${JSON.stringify(value)}`);
    const given = { version: item.offset, value };
    this.#held.set(name, given);
    const before = this.#given.get(name)?.version ?? -1;
    if (item.offset < before && !mayBeParked.has(item.entity.type))
      this.#violated("versions do not go back", `${name}: ${item.offset} after ${before}`);
    this.#given.set(name, given);
    if (due !== undefined && item.offset < due.version) this.#missed(name, due);
    else if (item.offset >= (this.#owed.get(name)?.version ?? 0)) this.#owed.delete(name);
  }

  #patched(name: string, item: Extract<FeedItem, { kind: "delta" }>): Plain | undefined {
    const held = this.#held.get(name);
    if (held?.version === item.from) return held.value === unknown ? unknown : applyPatch(held.value, item.patch);
    this.#violated("a delta leads from what was given", `${name}: from ${item.from}, given was ${held?.version}`);
    return undefined;
  }

  #missed(name: string, due: Due): void {
    const held = this.#held.get(name)?.version ?? -1;
    // a feed of deltas gave it already
    if (this.#facts.ask.form === "deltas" && held >= due.version) return;
    if (mayBeParked.has(due.entity.type)) return void this.#owed.set(name, due);
    this.#violated("nothing newer is lost", `${name} changed at ${due.version}, given was ${held}`);
  }

  /** All entities of the shard were given once. */
  #checkWhole(shard: ShardId, offset: Offset): void {
    for (const [name, due] of this.#unseen(shard, Math.min(offset, this.#facts.truth.next(shard)))) {
      if (mayBeParked.has(due.entity.type)) this.#owed.set(name, due);
      else this.#violated("a feed begins with every entity", `${name} at ${due.version} was not given`);
    }
  }

  /** Entities of the shard that were not given since they changed last. */
  *#unseen(shard: ShardId, below: Offset): Generator<readonly [string, Due]> {
    const { truth, ask } = this.#facts;
    for (const [name, due] of truth.entities(ask.filter, shard, below)) {
      const given = this.#given.get(name)?.version ?? -1;
      if (given < due.version && (given < 0 || ask.filter.events === undefined)) yield [name, due];
    }
  }

  #move(cursor: string): void {
    this.#cursor = cursor;
    if (cursor === "") return;
    const { places, sinceMs } = this.#read(cursor);
    [this.#places, this.#sinceMs] = [places, sinceMs];
  }

  #read(cursor: string): ReturnType<typeof readCursorSince> {
    return readCursorSince(cursor, this.#facts.world.swarm.shardCount);
  }

  #violated(promise: string, detail: string): void {
    this.#facts.world.violated(promise, `${this.#facts.who}: ${detail}`);
  }
}

function offsetIn(cursor: Cursor, shard: ShardId): Offset {
  return (cursor.get(shard) as Place).offset;
}

function textOfChange(item: ChangeItem): string {
  const { offset, index, timeMs, entity, event, eventVersion, payload, command, requestId } = item;
  const by = [command, requestId ?? null];
  return textOf([offset, index, timeMs, formatRef(entity), event, eventVersion, payload, by]);
}
