/**
 * A simulated follower: drives one feed at its own pace, stalls, loses its place and goes back to one that it kept, and opens
 * its feed again when the node has ended.
 *
 * Invariant: it believes nothing of a life of the node that has ended. While no fault comes any more it does not rest, so that
 * what it has not been given then is not given.
 */
import { catalogue, isHoldfastError } from "../../model/errors.ts";
import type { BatchLimits, FeedBatch, FeedStart, Place } from "../../model/feeds.ts";
import type { ShardId } from "../../model/ids.ts";
import type { Feed, Feeds } from "../../propagation/feed.ts";
import type { Prng } from "../../std/prng.ts";
import { writeCursor } from "../../wire/cursor.ts";
import type { Server } from "../server.ts";
import type { World } from "../world.ts";
import { Book, type BookFacts, type Kept } from "./book.ts";
import { drawAsk, type FollowerAsk, followerPrng } from "./feed-swarm.ts";
import type { FeedTruth } from "./truth.ts";

const keptMax = 12;
const nothing: Kept = { cursor: "", given: new Map(), owed: new Map() };
/** As long as a feed may be asked to wait: who is not woken waits for ever. */
const longMs = 86_400_000;

export class SimFollower {
  readonly #world: World;
  readonly #server: Server;
  readonly #truth: FeedTruth;
  readonly #prng: Prng;
  readonly #ask: FollowerAsk;
  readonly #facts: BookFacts;
  #book: Book;
  #kept: Kept[] = [];
  #feed: Feed | undefined;
  #feeds: Feeds | undefined;
  /** Counts what was begun: what comes of an earlier one is not listened to. */
  #turn = 0;
  #first: FeedStart | undefined;

  constructor(world: World, server: Server, truth: FeedTruth, index: number) {
    this.#world = world;
    this.#server = server;
    this.#truth = truth;
    this.#prng = followerPrng(world.swarm.seed, index);
    this.#ask = drawAsk(this.#prng, world.swarm);
    const viewer = `follower-${index}`;
    this.#facts = { world, truth, ask: this.#ask, viewer, who: viewer };
    this.#book = new Book(this.#facts, nothing);
    world.note(`${viewer}: ${JSON.stringify(this.#ask)}`);
    server.onServing.push(() => this.#again());
  }

  /** What it has not been given; undefined if there is nothing. */
  get open(): string | undefined {
    if (this.#book.cursor === "") return `${this.#facts.who} has not begun`;
    const open = this.#book.describeOpen();
    return open === undefined ? undefined : `${this.#facts.who}: ${open}`;
  }

  begin(): void {
    this.#again();
  }

  checkLast(): void {
    this.#book.checkLast();
  }

  /** From some cursor that it was given once; where a cursor stands says what is left. */
  goBack(): void {
    if (this.#kept.length > 0) this.#return(this.#prng.pick(this.#kept));
  }

  #return(kept: Kept): void {
    this.#world.note(`${this.#facts.who} goes back`);
    this.#book = new Book(this.#facts, kept);
    this.#again();
  }

  /** Opens its feed, where the book says. */
  #again(): void {
    this.#feed?.close();
    this.#feed = undefined;
    const turn = ++this.#turn;
    void this.#run(turn).catch((error: unknown) => {
      if (this.#isStale(turn)) return;
      this.#failed(error);
    });
  }

  #isStale(turn: number): boolean {
    return turn !== this.#turn || this.#server.feeds !== this.#feeds;
  }

  async #run(turn: number): Promise<void> {
    this.#feeds = this.#server.feeds;
    if (this.#feeds === undefined) return;
    const { form, filter, view } = this.#ask;
    const start = this.#start();
    const before = new Map(this.#truth.shards(filter).map((shard) => [shard, this.#truth.next(shard)]));
    const principal = { kind: "operator", id: this.#facts.viewer } as const;
    const feed = await this.#feeds.open({ form, filter, start, principal, ...(view === undefined ? {} : { view }) });
    if (this.#isStale(turn)) return feed.close();
    this.#feed = feed;
    this.#book.opened(start, feed.cursor, before);
    while (this.#world.violations.length === 0) {
      const limits = this.#limits();
      const cursor = this.#book.cursor;
      const asked = feed.next(limits);
      if (this.#prng.chance(0.1)) this.#peek(turn, feed, cursor);
      const batch = await asked.catch((error: unknown) => this.#askAgain(turn, feed, error));
      if (this.#isStale(turn)) return;
      if (batch === undefined) continue;
      this.#take(batch, limits.itemsMax);
      if (await this.#rests(turn)) return;
    }
  }

  /** What may be asked again is sometimes asked of the same feed, which must stand where it stood. */
  async #askAgain(turn: number, feed: Feed, error: unknown): Promise<undefined> {
    const isRetry = isHoldfastError(error) && catalogue[error.code].recovery === "retry";
    if (this.#isStale(turn) || !isRetry || !this.#prng.chance(0.5)) throw error;
    this.#world.note(`${this.#facts.who} asks again: ${error.code}`);
    if (feed.cursor !== this.#book.cursor) this.#world.note(`${this.#facts.who}: its feed stands elsewhere`);
    await new Promise<void>((resolve) => void this.#world.timeline.after(20, resolve));
  }

  /** Who looks at the feed's cursor while a batch is being made must not learn of what was not handed out. */
  #peek(turn: number, feed: Feed, cursor: string): void {
    this.#world.timeline.after(this.#prng.integer(50), () => {
      if (this.#isStale(turn) || this.#book.cursor !== cursor || this.#world.violations.length > 0) return;
      if (feed.cursor === cursor || feed !== this.#feed) return;
      const batch = { items: [], cursor: feed.cursor, lag: { records: 0, bytes: 0, seconds: 0 } };
      new Book(this.#facts, this.#book.keep()).take(batch, 1);
    });
  }

  #take(batch: FeedBatch, itemsMax: number): void {
    const { items, lag } = batch;
    this.#world.counts.feedItems += items.length;
    this.#world.note(`${this.#facts.who}: ${items.length} items, ${lag.records} behind`);
    this.#book.take(batch, itemsMax);
    if (this.#kept.length < keptMax) this.#kept.push(this.#book.keep());
    else if (this.#prng.chance(0.2)) this.#kept[this.#prng.integer(keptMax)] = this.#book.keep();
  }

  /** @returns true if it goes on elsewhere */
  async #rests(turn: number): Promise<boolean> {
    const { timeline, faulty, swarm } = this.#world;
    const { reopen, back, stall } = swarm.feeds;
    if (faulty && this.#prng.chance(reopen)) {
      if (this.#prng.chance(back) && this.#kept.length > 0) this.goBack();
      else this.#again();
      return true;
    }
    const pauseMs = faulty && this.#prng.chance(stall) ? this.#prng.integer(4_000) : this.#prng.pick([0, 0, 5, 60]);
    if (pauseMs > 0) await new Promise<void>((resolve) => void timeline.after(pauseMs, resolve));
    return this.#isStale(turn);
  }

  #limits(): BatchLimits & { itemsMax: number } {
    const prng = this.#prng;
    const itemsMax = prng.pick([1, 2, 7, 100, 16_384]);
    const bytesMax = prng.pick([undefined, undefined, 1, 300]);
    const waitMs = this.#world.faulty ? prng.pick([0, 20, 1_000, longMs]) : longMs;
    const lingerMs = prng.pick([0, 0, 0, 30]);
    return { itemsMax, waitMs, lingerMs, ...(bytesMax === undefined ? {} : { bytesMax }) };
  }

  #start(): FeedStart {
    if (this.#book.cursor !== "") return { cursor: this.#book.cursor };
    this.#first ??= this.#drawStart();
    return this.#first;
  }

  #drawStart(): FeedStart {
    const prng = this.#prng;
    const draw = prng.integer(10);
    if (draw < 5) return "beginning";
    if (draw < 7) return "now";
    if (draw < 8) return { timeMs: this.#world.wallMs - prng.integer(3_000) };
    const offsets: Record<ShardId, number> = {};
    for (const shard of this.#truth.shards(this.#ask.filter))
      if (prng.chance(0.7)) offsets[shard] = prng.between(1, this.#truth.next(shard));
    return { offsets };
  }

  #failed(error: unknown): void {
    const code = isHoldfastError(error) ? error.code : "internal";
    const text = error instanceof Error ? error.message : String(error);
    this.#world.note(`${this.#facts.who} failed: ${code} ${text}`);
    this.#feed?.close();
    this.#feed = undefined;
    if (code === "cursor-lost") this.#lost(text);
    // a device that broke takes the node with it
    else if (catalogue[code].recovery !== "retry" && code !== "log-failed")
      this.#world.violated(
        "feeds fail for a reason",
        `${this.#facts.who}: ${code} ${error instanceof Error ? error.stack : ""}`,
      );
    const turn = ++this.#turn;
    this.#world.timeline.after(50, () => turn === this.#turn && this.#again());
  }

  /** What comes next must be gone: trimmed, and kept by no archive. */
  #lost(text: string): void {
    const places: Iterable<readonly [ShardId, Pick<Place, "offset">]> =
      this.#book.cursor === "" ? this.#firstPlaces() : this.#book.places;
    const gone = [...places].some(([shard, { offset }]) => offset < this.#server.kept.archive.begins(shard));
    if (!gone) this.#world.violated("a cursor is lost only with its records", `${this.#facts.who}: ${text}`);
    this.#world.counts.cursorsLost++;
    this.#kept = [];
    this.#book = new Book(this.#facts, nothing);
    this.#first = this.#prng.pick(["beginning", "beginning", "now"] as const);
  }

  #firstPlaces(): (readonly [ShardId, Pick<Place, "offset">])[] {
    const start = this.#first;
    if (typeof start !== "object" || !("offsets" in start)) return [];
    return Object.entries(start.offsets).map(([shard, offset]) => [Number(shard), { offset }] as const);
  }

  /**
   * A cursor that rests on another record than the log has must be found out.
   * @returns undefined if it has none that can be forged
   */
  async tryForged(): Promise<boolean | undefined> {
    const feeds = this.#server.feeds;
    for (const kept of this.#kept) {
      const { places } = new Book(this.#facts, kept);
      const isFit = ([shard, { offset, chain }]: [ShardId, Place]) =>
        chain !== undefined && offset > 0 && offset < this.#truth.next(shard);
      const found = [...places].find(isFit);
      if (found === undefined || feeds === undefined) continue;
      const [shard, { offset, chain }] = found;
      const forged = new Map([[shard, { offset, chain: ((chain as number) ^ 1) >>> 0 }]]);
      const cursor = writeCursor(forged, this.#world.swarm.shardCount);
      const principal = { kind: "operator", id: "forger" } as const;
      const filter = { ...this.#ask.filter, shards: [shard] };
      try {
        const feed = await feeds.open({ form: this.#ask.form, filter, start: { cursor }, principal });
        while (feed.cursor === cursor) await feed.next({ itemsMax: 10 });
        return false;
      } catch (error) {
        return isHoldfastError(error) && error.code === "cursor-lost";
      }
    }
    return undefined;
  }
}
