/**
 * The views that one WebSocket is subscribed to.
 *
 * Invariant: one subscription per id; after `remove`, `restart` or `release` nothing more is sent for the old one.
 */
import type { Offset } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import type { ClientMessage } from "../wire/protocol.ts";
import type { Outbox } from "./outbox.ts";
import type { Subscription, WatchHub } from "./subscriptions.ts";

type Subscribe = Extract<ClientMessage, { t: "subscribe" }>;

interface Entry {
  readonly message: Subscribe;
  subscription: Subscription | undefined;
}

export class SessionViews {
  readonly #hub: WatchHub;
  readonly #outbox: Outbox;
  readonly #entries = new Map<number, Entry>();

  constructor(hub: WatchHub, outbox: Outbox) {
    this.#hub = hub;
    this.#outbox = outbox;
  }

  get size(): number {
    return this.#entries.size;
  }

  has(id: number): boolean {
    return this.#entries.has(id);
  }

  /** The id must not be in use. */
  add(message: Subscribe, principal: Principal): void {
    this.#begin(message, principal, message.from, message.run);
  }

  remove(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    if (entry.subscription !== undefined) this.#hub.unsubscribe(entry.subscription);
  }

  /** What the principal may see may have changed: every view starts again, with an absolute. */
  restart(principal: Principal): void {
    for (const { message } of [...this.#entries.values()]) {
      this.remove(message.id);
      this.#begin(message, principal, undefined, undefined);
    }
  }

  /** A message of this view was left out because the reader is slow. */
  left(id: number): void {
    const subscription = this.#entries.get(id)?.subscription;
    if (subscription !== undefined) subscription.behind = true;
  }

  /** The reader can take more: brings views up to date until it is slow again; the rest when that has gone out. */
  catchUp(): void {
    for (const { subscription } of this.#entries.values()) {
      if (subscription?.behind !== true) continue;
      this.#hub.catchUp(subscription);
      this.#outbox.flush();
      if (this.#outbox.slow) return;
    }
  }

  release(): void {
    for (const id of [...this.#entries.keys()]) this.remove(id);
  }

  #begin(message: Subscribe, principal: Principal, from: Offset | undefined, run: string | undefined): void {
    const { id, type, key, view } = message;
    const entry: Entry = { message, subscription: undefined };
    this.#entries.set(id, entry);
    const resume = { ...(from === undefined ? undefined : { from }), ...(run === undefined ? undefined : { run }) };
    entry.subscription = this.#hub.subscribe({ entity: { type, key }, view, principal }, resume, {
      ready: () => !this.#outbox.slow,
      show: (message) => this.#outbox.show(id, message),
      ended: (code, detail) => {
        if (this.#entries.get(id) !== entry) return;
        this.#entries.delete(id);
        this.#outbox.push({ t: "ended", id, code, detail });
      },
    });
  }
}
