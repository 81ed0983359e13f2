/**
 * The feeds that one WebSocket follows.
 *
 * Invariants: no more items are sent of a feed than its reader allowed; the next batch is asked for when what was sent before has
 * left, so that a reader that stalls costs a batch and `backlogBytes`. One feed per id; after `remove`, `restart` or `release` nothing
 * more is sent for the old one.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { FeedBatch, FeedItem, FeedStart } from "../model/feeds.ts";
import type { Principal } from "../model/records.ts";
import type { Feed } from "../propagation/feed.ts";
import type { Plain } from "../std/plain.ts";
import { roughBytes } from "../std/rough-bytes.ts";
import type { ClientMessage } from "../wire/protocol.ts";
import type { GatewayContext } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { retryAfterMs } from "./retry.ts";

type Follow = Extract<ClientMessage, { t: "follow" }>;

interface Entry {
  readonly message: Follow;
  feed: Feed | undefined;
  /** Sent last. */
  cursor: string | undefined;
  credit: number;
  over: boolean;
  /** Looks again whether the next batch may be asked for. */
  wake: () => void;
}

export class SessionFeeds {
  readonly #context: GatewayContext;
  readonly #outbox: Outbox;
  readonly #entries = new Map<number, Entry>();

  constructor(context: GatewayContext, outbox: Outbox) {
    this.#context = context;
    this.#outbox = outbox;
  }

  has(id: number): boolean {
    return this.#entries.has(id);
  }

  /** The id must not be in use. */
  add(message: Follow, principal: Principal): void {
    const { id } = message;
    const { feeds, service } = this.#context;
    if (feeds === undefined) return this.#refuse(id, new HoldfastError("not-found", "This service has no feeds."));
    if (this.#entries.size >= service.limits.feedsPerConnectionMax) {
      return this.#refuse(id, new HoldfastError("overloaded", "This connection follows as many feeds as it may."));
    }
    this.#begin(message, principal, message.start, message.credit);
  }

  /** Ignored for a feed that is over: it may have ended meanwhile. */
  credit(id: number, items: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { feedCreditMax } = this.#context.service.limits;
    if (entry.credit + items > feedCreditMax)
      return this.#end(entry, new HoldfastError("invalid-input", `A feed is allowed ${feedCreditMax} items ahead.`));
    entry.credit += items;
    entry.wake();
  }

  remove(id: number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.#forget(entry);
  }

  /** What the principal may follow may have changed: every feed goes on from its cursor, if it may. */
  restart(principal: Principal): void {
    for (const entry of [...this.#entries.values()]) {
      const { message, cursor, credit } = entry;
      this.#forget(entry);
      this.#begin(message, principal, cursor === undefined ? message.start : { cursor }, credit);
    }
  }

  /** More may be sent. */
  drained(): void {
    for (const entry of this.#entries.values()) entry.wake();
  }

  release(): void {
    for (const entry of [...this.#entries.values()]) this.#forget(entry);
  }

  #begin(message: Follow, principal: Principal, start: FeedStart, credit: number): void {
    const entry: Entry = { message, feed: undefined, cursor: undefined, credit, over: false, wake: () => {} };
    this.#entries.set(message.id, entry);
    this.#follow(entry, principal, start).catch((error: unknown) => {
      if (!entry.over) this.#end(entry, this.#known(error));
    });
  }

  async #follow(entry: Entry, principal: Principal, start: FeedStart): Promise<void> {
    const { id, form, filter, view, limit, lingerMs = 0 } = entry.message;
    const { feeds, clock, service } = this.#context;
    const { feedStreamItemsMax, feedStreamBytesMax, pingMs } = service.limits;
    const ask = { form, start, principal, ...(filter && { filter }), ...(view && { view }) };
    const feed = (await feeds?.open(ask)) as Feed;
    if (entry.over) return feed.close();
    entry.feed = feed;
    entry.cursor = feed.cursor;
    this.#outbox.push({ t: "items", id, items: [], cursor: entry.cursor });
    for (;;) {
      // Commands get their turn between two batches.
      await new Promise<void>((resolve) => clock.defer(resolve));
      while (!entry.over && (entry.credit === 0 || this.#outbox.backlogged))
        await new Promise<void>((resolve) => (entry.wake = resolve));
      if (entry.over) return;
      const itemsMax = Math.min(limit ?? feedStreamItemsMax, entry.credit);
      const batch = await feed.next({ itemsMax, bytesMax: feedStreamBytesMax, waitMs: pingMs, lingerMs });
      if (entry.over) return;
      entry.credit -= batch.items.length;
      this.#send(entry, batch);
    }
  }

  /** In messages of bounded size; the cursor comes with the last. */
  #send(entry: Entry, { items, cursor, lag }: FeedBatch): void {
    const { id } = entry.message;
    if (items.length === 0 && cursor === entry.cursor) return;
    entry.cursor = cursor;
    const { frameBytesMax } = this.#context.service.limits;
    let part: FeedItem[] = [];
    let bytes = 0;
    for (const item of items) {
      const itemBytes = roughBytes(item as unknown as Plain, frameBytesMax);
      if (bytes + itemBytes > frameBytesMax && part.length > 0) {
        this.#outbox.push({ t: "items", id, items: part });
        part = [];
        bytes = 0;
      }
      part.push(withoutUndefined(item));
      bytes += itemBytes;
    }
    this.#outbox.push({ t: "items", id, items: part, cursor, lag });
  }

  #end(entry: Entry, { code, message: detail }: HoldfastError): void {
    this.#forget(entry);
    this.#outbox.push({ t: "ended", id: entry.message.id, code, detail });
  }

  #forget(entry: Entry): void {
    entry.over = true;
    this.#entries.delete(entry.message.id);
    entry.feed?.close();
    entry.wake();
  }

  #refuse(id: number, { code, message: detail }: HoldfastError): void {
    const after = retryAfterMs(code);
    this.#outbox.push({ t: "error", id, code, detail, ...(after > 0 && { retryAfterMs: after }) });
  }

  #known(error: unknown): HoldfastError {
    if (isHoldfastError(error)) return error;
    const thrown = error instanceof Error ? error.name : typeof error;
    this.#context.report({ where: "session", code: "internal", thrown });
    return new HoldfastError("internal", "Something went wrong here.");
  }
}

/** The codecs take plain data. */
function withoutUndefined(item: FeedItem): FeedItem {
  if (item.kind !== "change" || item.requestId !== undefined) return item;
  const { requestId: _, ...rest } = item;
  return rest as FeedItem;
}
