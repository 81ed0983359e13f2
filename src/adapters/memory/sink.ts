/**
 * A receiver in memory and the sinks that write to it: for tests and the simulator, which give it faults.
 *
 * Invariant: in the mode `exactly once` the items and the cursor change in one step, under the latest epoch, as in PostgreSQL. In the
 * mode `at least once` it knows neither, as a webhook's receiver.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { FeedItem } from "../../model/feeds.ts";
import type { Sink, SinkBatch, SinkIdentity } from "../../ports/sink.ts";

export type MemorySinkMode = "exactly once" | "at least once";

/** What becomes of one delivery: carried out without an answer; carried out in part or not at all; not answered for ever. */
export type MemorySinkFault = "lost-answer" | "cut" | "hang";

interface Place {
  epoch: number;
  cursor: string | undefined;
  items: FeedItem[];
}

export interface MemoryReceiverOptions {
  readonly mode: MemorySinkMode;
  /** Awaited before and after a batch is taken: where the simulator lets time pass. */
  readonly pause?: () => Promise<void>;
}

export class MemoryReceiver {
  readonly mode: MemorySinkMode;
  readonly pause: (() => Promise<void>) | undefined;
  /** Nobody reaches it. */
  isDown = false;
  /** Of the next deliveries, one each. */
  readonly faults: MemorySinkFault[] = [];
  /** Called when a delivery hangs. */
  onHang: () => void = () => undefined;
  readonly #places = new Map<string, Place>();

  constructor({ mode, pause }: MemoryReceiverOptions) {
    this.mode = mode;
    this.pause = pause;
  }

  /** Of one subscriber, in the order of its arrival. */
  arrived(subscriber: string): readonly FeedItem[] {
    return this.#places.get(subscriber)?.items ?? [];
  }

  sink(): Sink {
    return new MemorySink(this);
  }

  place(subscriber: string): Place {
    let place = this.#places.get(subscriber);
    if (place === undefined) {
      place = { epoch: 0, cursor: undefined, items: [] };
      this.#places.set(subscriber, place);
    }
    return place;
  }
}

class MemorySink implements Sink {
  readonly #receiver: MemoryReceiver;
  readonly #closed = Promise.withResolvers<void>();
  #identity: SinkIdentity | undefined;
  #isClosed = false;

  constructor(receiver: MemoryReceiver) {
    this.#receiver = receiver;
  }

  async open(identity: SinkIdentity): Promise<string | undefined> {
    await this.#receiver.pause?.();
    this.#check();
    this.#identity = identity;
    const place = this.#place();
    if (this.#receiver.mode === "at least once") return undefined;
    place.epoch = identity.epoch;
    return place.cursor;
  }

  async deliver(batch: SinkBatch, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw aborted();
    await this.#receiver.pause?.();
    this.#check();
    const place = this.#place();
    const fault = this.#receiver.faults.shift();
    if (fault === "hang") await this.#hang(signal);
    if (fault === "cut") {
      if (this.#receiver.mode === "at least once") place.items.push(...batch.items.slice(0, batch.items.length >> 1));
      throw unavailable("The receiver went away in the middle of a batch.");
    }
    if (this.#receiver.mode === "at least once") place.items.push(...batch.items);
    else if (place.cursor !== batch.cursor) {
      place.items.push(...batch.items);
      place.cursor = batch.cursor;
    }
    await this.#receiver.pause?.();
    if (fault === "lost-answer") throw unavailable("The receiver's answer was lost.");
    if (this.#isClosed) throw unavailable("The sink was closed.");
  }

  async rewind(cursor: string): Promise<void> {
    await this.#receiver.pause?.();
    this.#check();
    this.#place().cursor = cursor;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closed.resolve();
  }

  #check(): void {
    if (this.#isClosed) throw unavailable("The sink was closed.");
    if (this.#receiver.isDown) throw unavailable("The receiver is down.");
  }

  /** @throws `fenced` */
  #place(): Place {
    if (this.#identity === undefined) throw new HoldfastError("internal", "Broken invariant: a sink is opened first");
    const place = this.#receiver.place(this.#identity.subscriber);
    if (this.#receiver.mode === "exactly once" && place.epoch > this.#identity.epoch)
      throw new HoldfastError("fenced", `A later running of the subscriber ${this.#identity.subscriber} was here.`);
    return place;
  }

  async #hang(signal: AbortSignal): Promise<never> {
    const ends = new Promise<void>((done) => signal.addEventListener("abort", () => done(), { once: true }));
    this.#receiver.onHang();
    await Promise.race([ends, this.#closed.promise]);
    throw signal.aborted ? aborted() : unavailable("The sink was closed.");
  }
}

function unavailable(message: string): HoldfastError {
  return new HoldfastError("unavailable", message);
}

function aborted(): HoldfastError {
  return new HoldfastError("aborted", "The delivery was given up.");
}
