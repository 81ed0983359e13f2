/**
 * Feeds that stay open between two pulls: who comes back with the cursor that was handed out last goes on with the same feed, at
 * its place in the log, and of deltas with the values that it holds. Nothing rests on it: a feed that is not here any more is
 * opened anew from the cursor.
 *
 * Invariants: a feed is here or with one request, never both; what is here has at most `feedsKeptBytesMax` and is used or closed
 * within `feedKeptMs`.
 */
import type { FeedForm } from "../model/feeds.ts";
import type { Limits } from "../model/limits.ts";
import type { Feed } from "../propagation/feed.ts";

interface Kept {
  readonly feed: Feed;
  readonly bytes: number;
  readonly untilMs: number;
}

export class KeptFeeds {
  readonly #limits: Limits;
  /** Longest kept first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#kept.size;
  }

  take(name: string): Feed | undefined {
    const kept = this.#kept.get(name);
    if (kept === undefined) return undefined;
    this.#forget(name, kept);
    return kept.feed;
  }

  put(name: string, feed: Feed, form: FeedForm, nowMs: number): void {
    const { feedHeldBytesMax, feedStreamBytesMax, feedKeptMs, feedsKeptBytesMax } = this.#limits;
    const before = this.take(name);
    // Another request got as far with another feed: either is as good.
    before?.close();
    const bytes = form === "deltas" ? feedHeldBytesMax : feedStreamBytesMax;
    this.#kept.set(name, { feed, bytes, untilMs: nowMs + feedKeptMs });
    this.#bytes += bytes;
    while (this.#bytes > feedsKeptBytesMax) this.dropOldest();
  }

  /** @returns false if there is none */
  dropOldest(): boolean {
    for (const [name, kept] of this.#kept) {
      this.#forget(name, kept);
      kept.feed.close();
      return true;
    }
    return false;
  }

  sweep(nowMs: number): void {
    for (const { untilMs } of this.#kept.values()) {
      if (untilMs > nowMs) return;
      this.dropOldest();
    }
  }

  close(): void {
    while (this.dropOldest());
  }

  #forget(name: string, { bytes }: Kept): void {
    this.#kept.delete(name);
    this.#bytes -= bytes;
  }
}
