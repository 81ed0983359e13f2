/**
 * The feeds that a client follows: each one's batches in order, across reconnections.
 *
 *   unsent -> sent -> (batches) -> … -> over
 *      ^        |
 *      +--------+   (connection down; ended for now, after a while: from the cursor after all that came)
 *
 * Invariants: a batch is handed over whole and once; what waits to be read and what the server may still send are together at most
 * `itemsAhead`; after the end of an iteration nothing more is asked for.
 */
import { HoldfastError } from "../model/errors.ts";
import type { FeedBatch, FeedItem } from "../model/feeds.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { Queue } from "../std/queue.ts";
import type { ClientMessage, ServerMessage } from "../wire/protocol.ts";
import type { Answer } from "./connection.ts";
import type { FollowAsk, FollowOptions } from "./feed-types.ts";
import { clientLimits } from "./limits.ts";
import { backoffMs } from "./retry.ts";

type Items = Extract<ServerMessage, { t: "items" }>;

interface Reader {
  readonly ask: FollowAsk;
  readonly options: FollowOptions;
  readonly itemsAhead: number;
  /** Number on this connection while it is sent. */
  id: number | undefined;
  /** After everything that is in `batches` or was read. */
  cursor: string | undefined;
  /** Of a batch whose end has not come. */
  part: FeedItem[];
  readonly batches: Queue<FeedBatch>;
  /** Items in `batches`. */
  waiting: number;
  /** Items that were read and are not allowed again yet. */
  owed: number;
  failures: number;
  over: boolean;
  error: HoldfastError | undefined;
  cancelWait: () => void;
  release: () => void;
  wake: () => void;
}

export interface FeedsPort {
  readonly clock: Clock;
  readonly random: Random;
  nextId(): number;
  /** There is something to send. */
  ready(): void;
}

const nothing = (): void => {};

export class ClientFeeds {
  readonly #port: FeedsPort;
  readonly #readers = new Set<Reader>();
  readonly #byId = new Map<number, Reader>();
  readonly #unsent = new Set<Reader>();
  #messages: ClientMessage[] = [];
  #closed: HoldfastError | undefined;

  constructor(port: FeedsPort) {
    this.#port = port;
  }

  /** Feeds that are not over. */
  get size(): number {
    return this.#readers.size;
  }

  follow(ask: FollowAsk, options: FollowOptions): AsyncIterableIterator<FeedBatch> {
    const { itemsAhead = clientLimits.feedItemsAhead, signal } = options;
    const reader: Reader = {
      ask,
      options,
      itemsAhead,
      id: undefined,
      cursor: undefined,
      part: [],
      batches: new Queue(),
      waiting: 0,
      owed: 0,
      failures: 0,
      over: false,
      error: this.#closed,
      cancelWait: nothing,
      release: nothing,
      wake: nothing,
    };
    const stop = (): void => this.#finish(reader);
    if (reader.error !== undefined || signal?.aborted === true) reader.over = true;
    else {
      signal?.addEventListener("abort", stop);
      reader.release = () => signal?.removeEventListener("abort", stop);
      this.#readers.add(reader);
      this.#unsent.add(reader);
      this.#port.ready();
    }
    return {
      next: () => this.#next(reader),
      return: async () => {
        stop();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async #next(reader: Reader): Promise<IteratorResult<FeedBatch>> {
    for (;;) {
      const batch = reader.batches.shift();
      if (batch !== undefined) {
        this.#read(reader, batch.items.length);
        return { done: false, value: batch };
      }
      if (reader.over) break;
      const { wake } = reader;
      await new Promise<void>((resolve) => {
        reader.wake = () => {
          wake();
          resolve();
        };
      });
    }
    const { error } = reader;
    reader.error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  /** The server may send as many again; it is told now and then. */
  #read(reader: Reader, items: number): void {
    reader.waiting -= items;
    reader.owed += items;
    if (reader.over) return;
    if (reader.id === undefined) return this.#port.ready();
    if (reader.owed === 0 || (reader.owed < reader.itemsAhead / 2 && reader.waiting > 0)) return;
    this.#messages.push({ t: "credit", id: reader.id, items: reader.owed });
    reader.owed = 0;
    this.#port.ready();
  }

  /** The messages to send now, each marked as sent when it is taken. */
  *take(): Generator<ClientMessage, void, undefined> {
    const messages = this.#messages;
    this.#messages = [];
    yield* messages;
    for (const reader of this.#unsent) {
      const credit = reader.itemsAhead - reader.waiting;
      if (credit < 1) continue;
      this.#unsent.delete(reader);
      const id = this.#port.nextId();
      reader.id = id;
      reader.owed = 0;
      this.#byId.set(id, reader);
      const { form, filter, view, start = "beginning" } = reader.ask;
      const { limit, lingerMs } = reader.options;
      yield {
        t: "follow",
        id,
        form,
        start: reader.cursor === undefined ? start : { cursor: reader.cursor },
        credit,
        ...(filter && { filter }),
        ...(view === undefined ? undefined : { view }),
        ...(limit === undefined ? undefined : { limit }),
        ...(lingerMs === undefined ? undefined : { lingerMs }),
      };
    }
  }

  opened(): void {
    if (this.#unsent.size > 0) this.#port.ready();
  }

  down(): void {
    this.#messages = [];
    for (const reader of this.#byId.values()) this.#again(reader);
    this.#byId.clear();
  }

  /** @returns false if it concerns no feed of ours */
  received(answer: Answer): boolean {
    const reader = typeof answer.id === "number" ? this.#byId.get(answer.id) : undefined;
    if (reader === undefined) return false;
    if (answer.t === "items") this.#items(reader, answer);
    else if (answer.t === "ended" || answer.t === "error") {
      const after = answer.t === "error" ? (answer.retryAfterMs ?? 0) : 0;
      this.#ended(reader, new HoldfastError(answer.code, answer.detail), after);
    }
    return true;
  }

  #items(reader: Reader, { items, cursor, lag }: Items): void {
    const all = reader.part.length === 0 ? items : [...reader.part, ...items];
    if (cursor === undefined) {
      reader.part = all as FeedItem[];
      return;
    }
    reader.part = [];
    reader.cursor = cursor;
    reader.failures = 0;
    // The first one says where the feed begins, and is no batch.
    if (lag === undefined) return;
    reader.batches.push({ items: all, cursor, lag });
    reader.waiting += all.length;
    wake(reader);
  }

  #ended(reader: Reader, error: HoldfastError, afterMs: number): void {
    this.#byId.delete(reader.id as number);
    if (!error.retryable) return this.#end(reader, error);
    reader.id = undefined;
    reader.part = [];
    const { retryBaseMs: baseMs, retryMaxMs: maxMs } = clientLimits;
    const waitMs = afterMs + backoffMs(reader.failures++, { baseMs, maxMs }, this.#port.random);
    reader.cancelWait = this.#port.clock.after(waitMs, () => {
      this.#unsent.add(reader);
      this.#port.ready();
    });
  }

  /** A message of this id fits in no frame. */
  tooLarge(id: string | number): void {
    const reader = typeof id === "number" ? this.#byId.get(id) : undefined;
    if (reader === undefined) return;
    this.#byId.delete(id as number);
    this.#end(
      reader,
      new HoldfastError("too-large", "What is asked of the feed does not fit in a frame of this server."),
    );
  }

  close(error: HoldfastError): void {
    this.#closed = error;
    for (const reader of [...this.#readers]) this.#end(reader, error);
  }

  #again(reader: Reader): void {
    reader.id = undefined;
    reader.part = [];
    this.#unsent.add(reader);
  }

  /** Over, after what came before was read. */
  #end(reader: Reader, error: HoldfastError): void {
    reader.error = error;
    this.#forget(reader);
  }

  /** Nobody reads any more. */
  #finish(reader: Reader): void {
    if (reader.id !== undefined && this.#byId.delete(reader.id)) {
      this.#messages.push({ t: "unfollow", id: reader.id });
      this.#port.ready();
    }
    while (reader.batches.shift() !== undefined);
    reader.error = undefined;
    this.#forget(reader);
  }

  #forget(reader: Reader): void {
    reader.over = true;
    reader.cancelWait();
    reader.release();
    this.#unsent.delete(reader);
    this.#readers.delete(reader);
    wake(reader);
  }
}

function wake(reader: Reader): void {
  const waiting = reader.wake;
  reader.wake = nothing;
  waiting();
}
