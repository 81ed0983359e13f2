/**
 * Simulated sinks: one that takes what comes, twice if need be; and one that keeps its cursor with what it was given, in one
 * transaction. Both are slow, fail before and after they took a batch, and refuse some records for ever. What is on its way when
 * its process ends arrives or does not.
 *
 * Invariants checked: within an opening each batch is exactly what follows the one before. What comes again after an opening is not
 * older than the cursor that the log has. What the transactional sink was given, over all openings, is each record once.
 */
import { HoldfastError } from "../../model/errors.ts";
import { type FeedItem, idOf } from "../../model/feeds.ts";
import { formatRef, type Offset } from "../../model/ids.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";
import type { Prng } from "../../std/prng.ts";
import type { World } from "../world.ts";
import type { Book } from "./book.ts";
import type { Opening, SubscriberRecord } from "./subscriber-record.ts";

/** The process that uses a sink. */
export interface SinkHolder {
  readonly alive: boolean;
}

/** What is downstream of one subscriber, for ever. */
export class SinkStore {
  readonly record: SubscriberRecord;
  /** Ids of what was taken since the last rewind, and of each entity the newest version. */
  readonly taken = new Set<string>();
  readonly latest = new Map<string, Offset>();
  mark: string | undefined;
  epoch = 0;
  /** Of the transactional one. */
  book: Book | undefined;
  /** The book stands behind what was set aside, of which the mark knows nothing: the next opening reads it again. */
  isPassed = false;

  constructor(record: SubscriberRecord) {
    this.record = record;
    record.onRewound = () => {
      this.taken.clear();
      this.latest.clear();
    };
    record.onAside = (cursor, aside) => {
      this.book?.pass(cursor, aside);
      this.isPassed = true;
    };
  }

  take(items: readonly FeedItem[]): void {
    for (const item of items) {
      this.taken.add(idOf(item));
      const name = formatRef(item.entity);
      this.latest.set(name, Math.max(item.offset, this.latest.get(name) ?? 0));
    }
  }
}

const stripped = (mark: string): string => mark.split("~")[0] as string;

export interface SinkFacts {
  readonly world: World;
  readonly prng: Prng;
  readonly stores: ReadonlyMap<string, SinkStore>;
  /** A sink begins to open: what an operator orders now comes meanwhile. */
  readonly onOpening: (subscriber: string) => void;
}

export class SimSink implements Sink {
  readonly #facts: SinkFacts;
  readonly #holder: SinkHolder;
  readonly #exact: boolean;
  #store: SinkStore | undefined;
  #opening: Opening = { epoch: 0, book: undefined, from: undefined };
  #mark: string | undefined;

  constructor(facts: SinkFacts, holder: SinkHolder, exact: boolean) {
    this.#facts = facts;
    this.#holder = holder;
    this.#exact = exact;
  }

  async open({ subscriber, epoch }: SinkIdentity): Promise<string | undefined> {
    this.#facts.onOpening(subscriber);
    await this.#pause();
    const store = this.#facts.stores.get(subscriber) as SinkStore;
    if (this.#fails()) throw new HoldfastError("unavailable", "The sink cannot be reached.");
    this.#store = store;
    // Where it stands just as when the cursor was recorded, that counts: between the two was nobody's news.
    const counts = this.#exact && store.mark !== undefined && store.mark !== store.record.mark;
    const from = counts ? stripped(store.mark as string) : undefined;
    this.#opening = { epoch, book: undefined, from };
    this.#facts.world.note(`${subscriber}: epoch ${epoch} opens, the record has ${store.record.epoch}`);
    if (store.record.epoch === epoch) store.record.opening = this.#opening;
    if (!this.#exact) return undefined;
    if (epoch < store.epoch) throw new HoldfastError("fenced", "A later running was here.");
    store.epoch = epoch;
    this.#mark = store.mark;
    if (from !== undefined && store.isPassed && store.record.config !== null) store.book = store.record.bookAt(from);
    store.isPassed = false;
    return store.mark;
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    const store = this.#store as SinkStore;
    const { world } = this.#facts;
    world.note(`${store.record.name}: epoch ${this.#opening.epoch} delivers ${batch.items.map(idOf).join(" ")}`);
    const checked = this.#check(store, batch);
    await this.#pause(true);
    if (this.#isRefused(batch)) throw new HoldfastError("rejected", "This will never be taken.");
    const failing = this.#fails();
    if (failing && this.#facts.prng.chance(0.5)) throw new HoldfastError("unavailable", "The sink is busy.");
    if (signal.aborted) throw new HoldfastError("aborted", "It was let be.");
    if (this.#exact) this.#commit(store, batch);
    else store.take(batch.items);
    world.counts.sinkItems += batch.items.length;
    if (failing) {
      await this.#pause();
      throw new HoldfastError("unavailable", "The answer was lost.");
    }
    await this.#pause();
    if (checked !== undefined && store.record.opening === this.#opening) this.#opening.book = checked;
  }

  /** As one transaction. */
  #commit(store: SinkStore, { cursor, items }: SinkBatch): void {
    const epoch = this.#opening.epoch;
    if (store.epoch > epoch) throw new HoldfastError("fenced", "A later running was here.");
    if (store.mark === cursor) {
      this.#mark = cursor;
      return;
    }
    if (store.mark !== this.#mark) throw new HoldfastError("unavailable", "It does not stand where this one left it.");
    const place = stripped(cursor);
    // of what was set aside nothing moves
    if (store.book !== undefined && !this.#isReplay(store, store.book, { cursor, items }))
      store.book.take({ items, cursor: place, lag: { records: 0, bytes: 0, seconds: 0 } }, Number.POSITIVE_INFINITY);
    store.take(items);
    this.#mark = store.mark = cursor;
  }

  async rewind(cursor: string): Promise<void> {
    await this.#pause();
    const store = this.#store as SinkStore;
    if (!this.#exact) return;
    if (store.epoch > this.#opening.epoch) throw new HoldfastError("fenced", "A later running was here.");
    this.#mark = store.mark = this.#opening.from = cursor;
    store.book = store.record.config === null ? undefined : store.record.bookAt(cursor);
    await this.#pause();
  }

  async close(): Promise<void> {}

  /** @returns the book as it is when the batch has been taken; undefined where nothing moves */
  #check(store: SinkStore, batch: SinkBatch): Book | undefined {
    const { record } = store;
    // what a running that is past says is for the sink to bear, or to refuse
    if (this.#opening.epoch !== record.epoch || record.config === null) return undefined;
    if (record.opening !== this.#opening) return undefined;
    const base = this.#opening.from ?? record.cursor;
    // It was rewound since this running heard its orders: what is delivered until then moves nothing.
    if (base === null || this.#facts.world.violations.length > 0) return undefined;
    const book = this.#opening.book?.fork() ?? record.bookAt(base);
    if (this.#isReplay(store, book, batch)) return undefined;
    if (this.#exact && store.book === undefined) store.book = book.fork();
    const lag = { records: 0, bytes: 0, seconds: 0 };
    book.take({ items: batch.items, cursor: stripped(batch.cursor), lag }, Number.POSITIVE_INFINITY);
    return book;
  }

  /** All of it was set aside, and none of it is what the feed gives now. */
  #isReplay({ record }: SinkStore, book: Book, { items, cursor }: Pick<SinkBatch, "items" | "cursor">): boolean {
    const { again } = record;
    const isOf = (item: FeedItem) =>
      again.some(({ entity, shard, offset }) => {
        const same = entity === formatRef(item.entity) && shard === item.shard;
        return same && (item.kind !== "change" || offset === item.offset);
      });
    return again.length > 0 && items.every((item) => isOf(item) && !book.isDue(item, stripped(cursor)));
  }

  /** For ever the same of the same record. */
  #isRefused({ items }: SinkBatch): boolean {
    const { bad } = this.#facts.world.swarm.downstream;
    return bad > 0 && items.some(({ shard, offset }) => ((offset * 7 + shard * 3) % 100) / 100 < bad);
  }

  #fails(): boolean {
    const { world, prng } = this.#facts;
    return world.faulty && prng.chance(world.swarm.downstream.failing);
  }

  /** None is slow when the faults are over: one that is slower than what is kept for nobody never has everything. Never ends for a process that has ended; what is on its way may arrive all the same. */
  async #pause(onItsWay = false): Promise<void> {
    const { world, prng } = this.#facts;
    const { slowMs } = world.swarm.downstream;
    const ms = slowMs === 0 || !world.faulty ? 0 : prng.integer(slowMs);
    if (ms > 0) await new Promise<void>((resolve) => void world.timeline.after(ms, resolve));
    if (!this.#holder.alive && !(onItsWay && prng.chance(0.5))) await new Promise<void>(() => {});
  }
}
