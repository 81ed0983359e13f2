/**
 * Watches one view for as long as it is wanted: a watch that ends is begun again.
 *
 * Invariant: `lost` is told between two watches, so that what rests on the first can end before the second begins.
 */
import type { Offset } from "../model/ids.ts";
import type { WatchCall, WatchNews } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Service } from "../runtime/service.ts";

const againFirstMs = 50;
const againMostMs = 5_000;

export interface FollowParts {
  readonly service: Pick<Service, "watch">;
  readonly clock: Clock;
}

export interface FollowListener<View> {
  news(value: View, version: Offset): void;
  /** The shard is not served here at the moment. */
  lost(): void | Promise<void>;
}

export class Follow<View> {
  readonly #parts: FollowParts;
  readonly #call: WatchCall;
  readonly #listener: FollowListener<View>;
  #unwatch: () => void = () => {};
  #ended = false;
  #waitMs = againFirstMs;

  constructor(parts: FollowParts, call: WatchCall, listener: FollowListener<View>) {
    this.#parts = parts;
    this.#call = call;
    this.#listener = listener;
    this.#watch();
  }

  end(): void {
    this.#ended = true;
    this.#unwatch();
  }

  #watch(): void {
    if (this.#ended) return;
    this.#unwatch = this.#parts.service.watch(this.#call, (news: WatchNews) => {
      if (this.#ended) return;
      if (!news.ok) return void this.#again();
      this.#waitMs = againFirstMs;
      this.#listener.news(news.value as View, news.version);
    });
  }

  async #again(): Promise<void> {
    await this.#listener.lost();
    if (this.#ended) return;
    this.#unwatch = this.#parts.clock.after(this.#waitMs, () => this.#watch());
    this.#waitMs = Math.min(againMostMs, this.#waitMs * 2);
  }
}
