/**
 * One feed: a follower's records turned into batches of items.
 *
 * Invariants: the cursor of a batch stands behind exactly what its items and those before rest on, in each shard. A batch that
 * could not be made whole moves nothing: the next call begins where it began. Absolutes are read after the records that made
 * them due, so none is older than the cursor; of deltas, each one's `from` is the version that this feed gave before.
 */
import { addChanges, changedBy, isOfInterest, type Sieve, versionAfter } from "../core/changefeed/changes.ts";
import { HoldfastError } from "../model/errors.ts";
import type {
  AbsoluteItem,
  BatchLimits,
  ChangeItem,
  FeedAsk,
  FeedBatch,
  FeedItem,
  FeedLag,
  Place,
} from "../model/feeds.ts";
import { type EntityRef, formatRef, type Offset, type ShardId, shardOf } from "../model/ids.ts";
import type { CallResult } from "../model/records.ts";
import { type EntityIterator, iteratorOf } from "../runtime/entity-list.ts";
import type { FeedSource } from "../runtime/feed-source.ts";
import { copyPlain } from "../std/plain.ts";
import { writeCursor } from "../wire/cursor.ts";
import type { Feed } from "./feed.ts";
import type { Follower, Stretch } from "./follower.ts";
import { HeldValues } from "./held-values.ts";
import { lagOf } from "./places.ts";

/** What a state is taken for until some were looked at, in bytes: a first batch of large ones is not too large. */
const valueBytesFirst = 16 * 1024;
/** States of a batch that are measured to know the next ones by. */
const measuredMax = 64;
const measure = { depthMax: Number.MAX_SAFE_INTEGER, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };
/** Looks that wait for owners at once. */
const looksMax = 256;
/** A shard that is not served is asked again, this often and this long. */
const lookRetryMs = 20;
const lookTriesMax = 500;
/** Records that are gone through between two turns of the event loop. */
const turnRecords = 1_024;

export interface ReaderOptions {
  readonly ask: FeedAsk;
  readonly source: FeedSource;
  readonly sieve: Sieve;
  readonly follower: Follower;
  /** Changes before this recorded time are passed over. */
  readonly sinceMs: number;
  /** Shards whose entities are all due before any of their records: the log does not tell of all of them any more. */
  readonly whole: readonly ShardId[];
  /** @throws `forbidden` */
  readonly checkAccess: () => void;
  readonly closed: () => void;
}

/** An entity to be looked at, and the version that the records tell of. */
interface Due {
  readonly entity: EntityRef;
  readonly least: Offset;
}

/** What one `next` has gathered. */
interface Gathering {
  readonly limits: Required<BatchLimits>;
  readonly changes: ChangeItem[];
  readonly due: Map<string, Due>;
  bytes: number;
  scanned: number;
}

export class FeedReader implements Feed {
  readonly #options: ReaderOptions;
  readonly #held: HeldValues | undefined;
  #stretch: Stretch | undefined;
  /** Of `whole`, the shards whose entities were not all handed out; of the first of them, those that were not. */
  #whole: readonly ShardId[];
  #entities: EntityIterator | undefined;
  /** Behind what was handed out. */
  #cursor: string;
  #gathering: Gathering | undefined;
  /** Recorded time of the record that was read last. */
  #readMs = 0;
  /** Of a state or view, about. */
  #valueBytes = valueBytesFirst;
  #closed = false;
  #wake: () => void = () => {};
  #busy = false;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#whole = options.whole;
    const { ask, source } = options;
    this.#held = ask.form === "deltas" ? new HeldValues(source.limits.feedHeldBytesMax) : undefined;
    this.#cursor = this.#cursorNow();
  }

  /** While a batch is being made the places run ahead of what was handed out; a feed that waits has passed nobody's news only. */
  get cursor(): string {
    return this.#gathering !== undefined && !isSome(this.#gathering) ? this.#cursorNow() : this.#cursor;
  }

  #cursorNow(): string {
    const { follower, source, sinceMs } = this.#options;
    if (this.#whole.length === 0) return writeCursor(follower.places, source.shardCount, sinceMs);
    const places = new Map(follower.places);
    for (const shard of this.#whole) places.set(shard, { offset: 0, chain: undefined });
    return writeCursor(places, source.shardCount);
  }

  async next(limits: BatchLimits): Promise<FeedBatch> {
    if (this.#busy) throw new HoldfastError("internal", "A feed is asked for one batch at a time.");
    this.#busy = true;
    const from = new Map(this.#options.follower.places);
    const [whole, readMs] = [this.#whole, this.#readMs];
    try {
      this.#checkOpen();
      this.#options.checkAccess();
      return await this.#next(this.#checked(limits));
    } catch (error) {
      this.#stretch = undefined;
      this.#whole = whole;
      // The shard under way begins again: what was not handed out must come.
      this.#entities = undefined;
      this.#readMs = readMs;
      await this.#options.follower.seek(from);
      throw error;
    } finally {
      this.#gathering = undefined;
      this.#busy = false;
    }
  }

  forget(entity: EntityRef): void {
    this.#held?.forget(entity);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake();
    void this.#options.follower.close();
    this.#options.closed();
  }

  #checked(limits: BatchLimits): Required<BatchLimits> {
    const { feedBatchItemsMax, feedBatchBytesMax } = this.#options.source.limits;
    const { itemsMax, bytesMax = feedBatchBytesMax, waitMs = 0, lingerMs = 0 } = limits;
    const fits = (value: number, least: number, most: number) => value >= least && value <= most;
    if (!Number.isInteger(itemsMax) || !fits(itemsMax, 1, feedBatchItemsMax))
      throw new HoldfastError("invalid-input", `A batch has 1 to ${feedBatchItemsMax} items.`);
    if (!fits(bytesMax, 1, feedBatchBytesMax))
      throw new HoldfastError("invalid-input", `A batch has 1 to ${feedBatchBytesMax} bytes.`);
    if (!fits(waitMs, 0, 86_400_000) || !fits(lingerMs, 0, 86_400_000))
      throw new HoldfastError("invalid-input", "A batch waits 0 to 86,400,000 ms.");
    return { itemsMax, bytesMax, waitMs, lingerMs };
  }

  async #next(limits: Required<BatchLimits>): Promise<FeedBatch> {
    const { clock } = this.#options.source;
    const startedMs = clock.monotonic();
    const gathering: Gathering = { limits, changes: [], due: new Map(), bytes: 0, scanned: 0 };
    this.#gathering = gathering;
    let firstMs = 0;
    for (;;) {
      const state = this.#whole.length > 0 ? await this.#gatherEntities(gathering) : this.#gather(gathering);
      if (state === "full" || this.#closed) break;
      if (state === "turn") await new Promise<void>((resolve) => clock.defer(resolve));
      if (state === "turn" || (await this.#options.follower.refill())) continue;
      const some = isSome(gathering);
      if (some && firstMs === 0) firstMs = clock.monotonic();
      const untilMs = some ? firstMs + limits.lingerMs : startedMs + limits.waitMs;
      const leftMs = untilMs - clock.monotonic();
      if (leftMs <= 0) break;
      await this.#news(leftMs);
    }
    const items = this.#options.ask.form === "changes" ? gathering.changes : await this.#absolutes(gathering);
    this.#cursor = this.#cursorNow();
    return { items, cursor: this.#cursor, lag: this.lag };
  }

  async #gatherEntities(gathering: Gathering): Promise<"full" | "turn"> {
    const { source, sieve } = this.#options;
    for (let looked = 0; this.#whole.length > 0 && looked < turnRecords; looked++) {
      if (this.#isFull(gathering)) return "full";
      const [shard, ...rest] = this.#whole as [ShardId, ...ShardId[]];
      const { offset } = this.#options.follower.places.get(shard) as Place;
      this.#entities ??= iteratorOf(source.entities(shard, offset));
      const asked = this.#entities?.next();
      // Of a shard that is served here there is nothing to wait for.
      const next = asked instanceof Promise ? await asked : asked;
      if (next === undefined || next.done === true) {
        this.#whole = rest;
        this.#entities = undefined;
      } else if (isOfInterest(sieve, next.value))
        gathering.due.set(formatRef(next.value), { entity: next.value, least: 0 });
    }
    return "turn";
  }

  /** Takes what is at hand, for as long as commands may be kept waiting. */
  #gather(gathering: Gathering): "full" | "turn" | "empty" {
    const { follower, source } = this.#options;
    const turnAt = gathering.scanned + turnRecords;
    for (;;) {
      this.#stretch ??= follower.take();
      if (this.#stretch === undefined) return this.#isFull(gathering) ? "full" : "empty";
      this.#gatherFrom(this.#stretch, gathering);
      if (this.#isFull(gathering) || gathering.scanned >= source.limits.feedScanRecordsMax) return "full";
      if (gathering.scanned >= turnAt) return "turn";
    }
  }

  #gatherFrom(stretch: Stretch, gathering: Gathering): void {
    const { sieve, follower, ask, sinceMs } = this.#options;
    const { records, shard, at, from } = stretch;
    let index = from;
    while (index < records.length && !this.#isFull(gathering)) {
      const record = records[index] as (typeof records)[number];
      const offset = at + index - from;
      index++;
      gathering.scanned++;
      this.#readMs = record.time;
      if (record.time < sinceMs) continue;
      if (ask.form === "changes") {
        const { length } = gathering.changes;
        addChanges(record, shard, offset, sieve, gathering.changes);
        if (gathering.changes.length > length) gathering.bytes += stretch.recordBytes;
      } else {
        const entity = changedBy(record, sieve);
        if (entity !== undefined) addDue(gathering.due, entity, versionAfter(record, offset));
      }
    }
    follower.advance(stretch, index);
    this.#stretch = index === records.length ? undefined : { ...stretch, at: at + index - from, from: index };
  }

  async #absolutes({ due }: Gathering): Promise<FeedItem[]> {
    const absolutes: AbsoluteItem[] = [];
    const entities = [...due.values()];
    for (let from = 0; from < entities.length; from += looksMax) {
      const found = await Promise.all(entities.slice(from, from + looksMax).map((due) => this.#look(due)));
      for (const absolute of found) if (absolute !== undefined) absolutes.push(absolute);
    }
    this.#measure(absolutes);
    const held = this.#held;
    if (held === undefined) return absolutes;
    // Only now, when nothing can fail any more: what is held was handed out.
    return absolutes.map((absolute) => held.lead(absolute)).filter((item) => item !== undefined);
  }

  /** Of absolutes by what the last ones had: what is due is looked at when the batch is closed. */
  #isFull({ limits, changes, due, bytes }: Gathering): boolean {
    if (changes.length >= limits.itemsMax || due.size >= limits.itemsMax) return true;
    return bytes >= limits.bytesMax || due.size * this.#valueBytes >= limits.bytesMax;
  }

  #measure(absolutes: readonly AbsoluteItem[]): void {
    const step = Math.ceil(absolutes.length / measuredMax);
    let [count, bytes] = [0, 0];
    for (let index = 0; index < absolutes.length; index += step, count++)
      bytes += copyPlain((absolutes[index] as AbsoluteItem).value, measure).bytes;
    if (count > 0) this.#valueBytes = bytes / count;
  }

  async #look({ entity, least }: Due): Promise<AbsoluteItem | undefined> {
    const { source, ask } = this.#options;
    const call = { entity, least, view: ask.view, principal: ask.principal };
    for (let tries = 1; ; tries++) {
      const result = await new Promise<CallResult>((done) => source.look(call, done));
      if (result.ok) {
        const shard = shardOf(entity.type, entity.key, source.shardCount);
        return { kind: "absolute", shard, offset: result.version, entity, value: result.value };
      }
      // It is shown when an operator has dealt with it: what that does is a record, which makes it due again.
      if (result.code === "quarantined" || result.code === "unknown-type") return undefined;
      const again = result.code === "unavailable" || result.code === "fenced" || result.code === "overloaded";
      if (!again || tries === lookTriesMax || this.#closed) throw new HoldfastError(result.code, result.detail);
      await new Promise<void>((resolve) => source.clock.after(lookRetryMs, resolve));
    }
  }

  /** Resolves when something became durable, the time is up, or the feed was closed. */
  async #news(waitMs: number): Promise<void> {
    const { clock, recent } = this.#options.source;
    // What came, or ended, since the last look at it wakes nobody.
    if (this.#closed || this.#options.follower.hasMore) return;
    await new Promise<void>((resolve) => {
      const forget = recent.onNext(() => this.#wake());
      const cancel = clock.after(waitMs, () => this.#wake());
      this.#wake = () => {
        forget();
        cancel();
        this.#wake = () => {};
        resolve();
      };
    });
  }

  get lag(): FeedLag {
    const { follower, source } = this.#options;
    return lagOf(follower.places, this.#readMs, source);
  }

  #checkOpen(): void {
    if (this.#closed) throw new HoldfastError("unavailable", "The feed was closed; open another from its cursor.");
  }
}

function addDue(due: Map<string, Due>, entity: EntityRef, version: Offset): void {
  const name = formatRef(entity);
  const before = due.get(name);
  if (before === undefined || version > before.least) due.set(name, { entity, least: version });
}

function isSome({ changes, due }: Gathering): boolean {
  return changes.length > 0 || due.size > 0;
}
