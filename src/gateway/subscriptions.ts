/**
 * Subscriptions to views: one watch of the service per (entity, view, principal), shared by that principal's connections.
 *
 * A watch is *live* while somebody subscribes, *lingers* for `watchLingerMs` after the last one left (so that who
 * reconnects gets the deltas it missed), and is then stopped. A subscription is *waiting* until the first value, then
 * *current*, and *behind* while its connection takes no more; from behind it comes back with an absolute.
 *
 * Invariant: what a subscriber has been sent, applied in order, is the view at the version of the last message; each
 * delta's `from` is the version sent before it. Deltas are shared between subscribers and never changed.
 */
import type { ErrorCode } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { WatchCall, WatchNews } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Service } from "../runtime/service.ts";
import { diff, type PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { roughBytes } from "./rough-bytes.ts";

export interface Delta {
  readonly from: Offset;
  readonly version: Offset;
  readonly patch: readonly PatchOperation[];
}

export interface Subscriber {
  /** False while its connection is so far behind that it should not be sent more. */
  ready(): boolean;
  absolute(version: Offset, value: Plain): void;
  delta(delta: Delta): void;
  ended(code: ErrorCode, detail: string): void;
}

/** The version that a subscriber holds, and the running of the server it is from. */
export interface Resume {
  readonly from?: Offset;
  readonly run?: string;
}

interface Watch {
  readonly name: string;
  readonly subscriptions: Set<Subscription>;
  latest: { readonly version: Offset; readonly value: Plain; bytes: number } | undefined;
  /** Oldest first; each one's `from` is the `version` of the one before. */
  deltas: Delta[];
  stop: () => void;
  cancelLinger: (() => void) | undefined;
  ended: boolean;
}

export interface Subscription {
  readonly watch: Watch;
  readonly subscriber: Subscriber;
  readonly from: Offset | undefined;
  /** Gets an absolute when its connection can take one. */
  behind: boolean;
}

/** What a hub watches: the service, or what looks like it. */
export type Watchable = Pick<Service, "watch" | "run" | "limits">;

export class WatchHub {
  readonly #service: Watchable;
  readonly #clock: Clock;
  readonly #watches = new Map<string, Watch>();
  /** Watches without subscriptions, longest first. */
  readonly #lingering = new Set<Watch>();

  constructor(service: Watchable, clock: Clock) {
    this.#service = service;
    this.#clock = clock;
  }

  /** Which running of the service the versions are of. */
  get run(): string {
    return this.#service.run;
  }

  /** Watches that are held, for tests and metrics. */
  get size(): number {
    return this.#watches.size;
  }

  subscribe(call: WatchCall, resume: Resume, subscriber: Subscriber): Subscription {
    const name = nameOf(call);
    const watch = this.#watches.get(name) ?? this.#start(name, call);
    const from = resume.run === this.#service.run ? resume.from : undefined;
    const subscription: Subscription = { watch, subscriber, from, behind: false };
    watch.subscriptions.add(subscription);
    this.#lingering.delete(watch);
    watch.cancelLinger?.();
    watch.cancelLinger = undefined;
    if (watch.latest !== undefined) this.#begin(subscription);
    return subscription;
  }

  /** Nothing is sent to the subscriber after this. */
  unsubscribe(subscription: Subscription): void {
    const { watch } = subscription;
    if (!watch.subscriptions.delete(subscription) || watch.subscriptions.size > 0 || watch.ended) return;
    if (watch.latest === undefined) this.#stop(watch);
    else this.#linger(watch);
  }

  /** The subscriber's connection can take more: sends what brings it up to date, if it was behind. */
  catchUp(subscription: Subscription): void {
    const { watch } = subscription;
    if (!subscription.behind || watch.latest === undefined || watch.ended) return;
    subscription.behind = false;
    subscription.subscriber.absolute(watch.latest.version, watch.latest.value);
  }

  close(): void {
    for (const watch of [...this.#watches.values()]) this.#stop(watch);
  }

  #start(name: string, call: WatchCall): Watch {
    const watch: Watch = {
      name,
      subscriptions: new Set(),
      latest: undefined,
      deltas: [],
      stop: () => {},
      cancelLinger: undefined,
      ended: false,
    };
    this.#watches.set(name, watch);
    watch.stop = this.#service.watch(call, (news) => this.#hear(watch, news));
    return watch;
  }

  #hear(watch: Watch, news: WatchNews): void {
    if (watch.ended) return;
    if (!news.ok) {
      const subscriptions = [...watch.subscriptions];
      this.#stop(watch);
      for (const { subscriber } of subscriptions) subscriber.ended(news.code, news.detail);
      return;
    }
    const before = watch.latest;
    watch.latest = { version: news.version, value: news.value, bytes: -1 };
    if (before === undefined) {
      for (const subscription of watch.subscriptions) this.#begin(subscription);
      return;
    }
    const delta = news.version === before.version ? this.#shownAgain(watch) : this.#deltaFrom(watch, before);
    for (const subscription of watch.subscriptions) {
      if (!subscription.subscriber.ready()) subscription.behind = true;
      else if (subscription.behind) this.catchUp(subscription);
      else if (delta === undefined) subscription.subscriber.absolute(news.version, news.value);
      else subscription.subscriber.delta(delta);
    }
  }

  /** Something in the view was erased: the deltas of before may hold it, so nobody gets one of them any more. */
  #shownAgain(watch: Watch): undefined {
    watch.deltas = [];
  }

  /** The change to the latest value, kept for later; undefined (and nothing kept) if it is larger than the value. */
  #deltaFrom(watch: Watch, before: { readonly version: Offset; readonly value: Plain }): Delta | undefined {
    const latest = watch.latest as NonNullable<Watch["latest"]>;
    const patch = diff(before.value, latest.value);
    if (patch.length > 0) {
      latest.bytes = roughBytes(latest.value, Number.POSITIVE_INFINITY);
      if (roughBytes(patch as Plain, latest.bytes) >= latest.bytes) {
        watch.deltas = [];
        return undefined;
      }
    }
    const delta: Delta = { from: before.version, version: latest.version, patch };
    watch.deltas.push(delta);
    if (watch.deltas.length > this.#service.limits.deltasKeptMax) watch.deltas.shift();
    return delta;
  }

  /** First message of a subscription: the deltas it missed if they are known, else an absolute. */
  #begin(subscription: Subscription): void {
    const { watch, subscriber, from } = subscription;
    const latest = watch.latest as NonNullable<Watch["latest"]>;
    if (!subscriber.ready()) {
      subscription.behind = true;
      return;
    }
    if (from === latest.version) {
      subscriber.delta({ from, version: from, patch: [] });
      return;
    }
    const first = from === undefined ? -1 : watch.deltas.findIndex((delta) => delta.from === from);
    if (first === -1) subscriber.absolute(latest.version, latest.value);
    else for (const delta of watch.deltas.slice(first)) subscriber.delta(delta);
  }

  #linger(watch: Watch): void {
    this.#lingering.add(watch);
    watch.cancelLinger = this.#clock.after(this.#service.limits.watchLingerMs, () => this.#stop(watch));
    if (this.#lingering.size > this.#service.limits.watchesLingeringMax) {
      for (const oldest of this.#lingering) {
        this.#stop(oldest);
        break;
      }
    }
  }

  #stop(watch: Watch): void {
    if (watch.ended) return;
    watch.ended = true;
    watch.cancelLinger?.();
    this.#lingering.delete(watch);
    this.#watches.delete(watch.name);
    watch.stop();
  }
}

/** Views depend on the whole principal, so roles are part of the name; parts that may hold anything come last. */
function nameOf(call: WatchCall): string {
  const { kind, id, roles } = call.principal;
  return `${call.entity.type}/${call.entity.key}/${call.view}/${kind}:${JSON.stringify([id, roles ?? []])}`;
}
