/**
 * What the log says of one durable subscriber, read from its entity's records without the entity's code; and whether what its
 * runners commit is true.
 *
 * Invariants checked: a cursor is committed only when everything before it was taken, was set aside, or is nobody's news. It goes
 * back only when the subscriber is rewound. A running that is past moves nothing. Of one that is kept for, no record is gone.
 */
import type { FeedStart } from "../../model/feeds.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { StepRecord } from "../../model/records.ts";
import type { AsideRecord, SubscriberConfig, SubscriberTrouble } from "../../model/subscribers.ts";
import type { World } from "../world.ts";
import { Book, type BookFacts } from "./book.ts";
import type { FeedTruth } from "./truth.ts";

/** One opening of a sink by one running. */
export interface Opening {
  readonly epoch: number;
  /** What it has taken; undefined before its first batch. */
  book: Book | undefined;
  /** Where the sink itself says that it stands. */
  from: string | undefined;
}

export interface RecordParts {
  readonly world: World;
  readonly truth: FeedTruth;
  readonly keptFrom: (shard: ShardId) => Offset;
}

export class SubscriberRecord {
  readonly name: string;
  config: SubscriberConfig | null = null;
  paused = false;
  trouble: SubscriberTrouble | null = null;
  cursor: string | null = null;
  /** Where the sink itself stood when that was recorded. */
  mark: string | undefined;
  epoch = 0;
  rewinds = 0;
  settled = 0;
  aside: AsideRecord[] = [];
  /** Of those that an operator gave up while they were to be delivered again: it may have been on the way. */
  #givenUp: AsideRecord[] = [];
  /** Since the last rewind: something was left out by an operator or set aside. */
  isWhole = true;
  /** Since the last rewind, where it began. */
  begun: string | null = null;
  /** The latest opening of a sink. */
  opening: Opening | undefined;
  /** Rewound: what was taken before says nothing of what comes. */
  onRewound: () => void = () => {};
  /** A record was set aside: the cursor stands behind it. */
  onAside: (cursor: string, record: AsideRecord) => void = () => {};
  readonly #world: World;
  readonly #truth: FeedTruth;
  /** Below it records of the shard may be gone. */
  readonly #keptFrom: (shard: ShardId) => Offset;
  #events = 0;
  /** Of each shard, what was durable when it was rewound last. */
  #tails: Offset[] = [];
  /** Since the last rewind: what comes after where it began was there when that was recorded. A rewind to what is gone fails, and may. */
  #isPromised = false;

  constructor({ world, truth, keptFrom }: RecordParts, name: string) {
    this.#world = world;
    this.#truth = truth;
    this.#keptFrom = keptFrom;
    this.name = name;
  }

  /** What may come again. */
  get again(): readonly AsideRecord[] {
    return [...this.aside.filter(({ again }) => again), ...this.#givenUp];
  }

  /** How many changes of it were seen. */
  get version(): number {
    return this.#events;
  }

  facts(): BookFacts {
    const { form, filter, view } = this.config as SubscriberConfig;
    const ask = { form, filter, view: view ?? undefined };
    return { world: this.#world, truth: this.#truth, ask, viewer: "subscribers", who: this.name };
  }

  bookAt(cursor: string): Book {
    const book = new Book(this.facts(), { cursor: "", given: new Map(), owed: new Map() });
    book.opened({ cursor }, cursor, new Map());
    return book;
  }

  /** The live opening's place moved over what it set aside. */
  saw({ events }: StepRecord): void {
    for (const { name, payload } of events) {
      this.#events++;
      this.#world.note(`${this.name}: ${name}`);
      this.#apply(name, payload as never);
    }
  }

  #apply(name: string, payload: never): void {
    switch (name) {
      case "created":
        if (this.epoch > 0) this.rewinds++;
        this.config = (payload as { config: SubscriberConfig }).config;
        [this.paused, this.trouble, this.aside] = [false, null, []];
        return this.#rewound(null);
      case "changed":
        this.config = (payload as { config: SubscriberConfig }).config;
        return;
      case "paused":
        this.paused = true;
        return;
      case "resumed":
        this.paused = false;
        if (this.trouble?.kind === "parked") this.trouble = null;
        return;
      case "rewound":
      case "skipped":
        this.rewinds++;
        this.trouble = null;
        this.#rewound((payload as { cursor?: string }).cursor ?? null);
        if (name === "skipped") this.isWhole = false;
        else if (this.config !== null) this.config = { ...this.config, start: (payload as { start: FeedStart }).start };
        return;
      case "deleted":
      case "refused":
        [this.config, this.trouble, this.paused] = [null, null, false];
        return this.#rewound(null);
      case "begun":
        this.epoch++;
        this.#givenUp = [];
        this.opening = undefined;
        return;
      case "committed":
        return this.#committed(payload as { cursor: string; mark?: string });
      case "troubled":
        return this.#troubled((payload as { trouble: SubscriberTrouble }).trouble);
      case "set-aside":
        return this.#setAside(payload as { record: AsideRecord; cursor: string; mark?: string });
      default:
        this.#asideChanged(name, payload);
    }
  }

  #rewound(cursor: string | null): void {
    this.#tails = Array.from({ length: this.#world.swarm.shardCount }, (_, shard) => this.#truth.next(shard));
    [this.cursor, this.mark, this.begun, this.isWhole, this.opening] = [cursor, undefined, cursor, true, undefined];
    this.onRewound();
  }

  /** Everything before it was taken. */
  #committed({ cursor, mark }: { cursor: string; mark?: string }): void {
    if (this.settled !== this.rewinds || this.begun === null) this.#isPromised = this.#isThere(cursor);
    this.settled = this.rewinds;
    this.mark = mark;
    const base = this.opening?.from ?? this.cursor;
    const from = this.opening?.book?.fork() ?? (base === null ? undefined : this.bookAt(base));
    if (from !== undefined) from.take({ items: [], cursor, lag: { records: 0, bytes: 0, seconds: 0 } }, 1);
    else this.#checkBegun(cursor);
    this.begun ??= cursor;
    this.cursor = cursor;
  }

  /** The first cursor since a rewind, recorded before anything was delivered. */
  #checkBegun(cursor: string): void {
    const start = this.config?.start;
    const { places } = this.bookAt(cursor);
    const asked = typeof start === "object" && "cursor" in start ? this.bookAt(start.cursor).places : undefined;
    for (const [shard, { offset }] of places) {
      let isThere = offset === asked?.get(shard)?.offset;
      if (start === "beginning") isThere = offset === 0 || offset <= this.#keptFrom(shard);
      else if (start === "now") isThere = offset >= (this.#tails[shard] as Offset);
      if (!isThere)
        this.#world.violated(
          "a rewind begins where it is asked to",
          `${this.name}: ${JSON.stringify(start)}, and shard ${shard} begins at ${offset}`,
        );
    }
  }

  #isThere(cursor: string): boolean {
    const { places } = this.bookAt(cursor);
    return [...places].every(([shard, { offset }]) => offset === 0 || offset >= this.#keptFrom(shard));
  }

  #setAside({ record, cursor, mark }: { record: AsideRecord; cursor: string; mark?: string }): void {
    this.isWhole = false;
    this.mark = mark;
    this.aside.push(record);
    const base = this.opening?.from ?? this.cursor;
    const book = this.opening?.book ?? (base === null ? undefined : this.bookAt(base));
    book?.pass(cursor, record);
    this.onAside(cursor, record);
    if (this.opening !== undefined) this.opening.book = book;
    this.cursor = cursor;
  }

  #asideChanged(name: string, payload: { ids?: readonly number[]; id?: number; refused?: string | null }): void {
    const { ids = [], id, refused } = payload;
    if (name === "recalled")
      this.aside = this.aside.map((one) => (ids.includes(one.id) ? { ...one, again: true } : one));
    else if (name === "dropped") {
      this.#givenUp.push(...this.aside.filter((one) => one.again && ids.includes(one.id)));
      this.aside = this.aside.filter((one) => !ids.includes(one.id));
    } else if (name === "replayed" && refused === null) this.aside = this.aside.filter((one) => one.id !== id);
    else if (name === "replayed")
      this.aside = this.aside.map((one) => (one.id === id ? { ...one, again: false } : one));
  }

  #troubled(trouble: SubscriberTrouble): void {
    this.trouble = trouble;
    this.#world.note(`${this.name}: ${trouble.kind} ${trouble.code} ${trouble.detail}`);
    const isKept = this.config?.slow === "archive" && this.#isPromised && this.settled === this.rewinds;
    if (trouble.kind === "failed" && isKept)
      this.#world.violated("what a subscriber waits for is kept", `${this.name}: ${trouble.detail}`);
  }
}
