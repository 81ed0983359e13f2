/**
 * Subscriptions to views: one watch of the service per (entity, view, principal), shared by that principal's connections. A view
 * that does not depend on who looks has one *line* of values and deltas for all of them: it is compared and encoded once, while
 * access is asked for each principal and each value by its own watch.
 *
 * A watch is *live* while somebody subscribes, *lingers* for `watchLingerMs` after the last one left (so that who
 * reconnects gets the deltas it missed), and is then stopped. A subscription is *waiting* until the first value, then
 * *current*, and *behind* while its connection takes no more; from behind it comes back with an absolute.
 *
 * Invariants: what a subscriber has been sent, applied in order, is the view at the version of the last message; each
 * delta's `from` is the version sent before it. Nobody is sent a version that its own watch has not told. Messages are shared
 * between subscribers and never changed.
 */
import { DeltaLine } from "../core/changefeed/delta-line.ts";
import type { ErrorCode } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { WatchCall, WatchNews } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Service } from "../runtime/service.ts";
import { SharedPatches } from "./shared-patches.ts";
import { type ViewMessage, ViewMessages } from "./view-message.ts";

export interface Subscriber {
  /** False while its connection is so far behind that it should not be sent more. */
  ready(): boolean;
  show(message: ViewMessage): void;
  ended(code: ErrorCode, detail: string): void;
}

/** The version that a subscriber holds, and the running of the server it is from. */
export interface Resume {
  readonly from?: Offset;
  readonly run?: string;
}

/** The values of a view as they change: as one principal sees it, or as everybody does. */
interface Line {
  readonly name: string;
  readonly values: DeltaLine;
  watches: number;
  /** What leads from a version to the latest, as it was asked for last: all who watch ask the same. */
  led:
    | { readonly from: Offset; readonly to: Offset; readonly messages: readonly ViewMessage[] | undefined }
    | undefined;
}

interface Watch {
  readonly name: string;
  readonly line: Line;
  readonly subscriptions: Set<Subscription>;
  /** Version of the value that it was told last. */
  told: Offset | undefined;
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
export type Watchable = Pick<Service, "watch" | "run" | "limits"> & Partial<Pick<Service, "definitions">>;

export class WatchHub {
  readonly #service: Watchable;
  readonly #clock: Clock;
  readonly #watches = new Map<string, Watch>();
  readonly #lines = new Map<string, Line>();
  /** Watches without subscriptions, longest first. */
  readonly #lingering = new Set<Watch>();
  readonly #messages = new ViewMessages();
  readonly #patches = new SharedPatches();

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

  /** Lines of values that they have. */
  get lines(): number {
    return this.#lines.size;
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
    if (watch.told !== undefined) this.#begin(subscription);
    return subscription;
  }

  /** Nothing is sent to the subscriber after this. */
  unsubscribe(subscription: Subscription): void {
    const { watch } = subscription;
    if (!watch.subscriptions.delete(subscription) || watch.subscriptions.size > 0 || watch.ended) return;
    // The deltas stay while anybody else watches the same values.
    if (watch.told === undefined || watch.line.watches > 1) this.#stop(watch);
    else this.#linger(watch);
  }

  /** The subscriber's connection can take more: sends what brings it up to date, if it was behind. */
  catchUp(subscription: Subscription): void {
    const { watch } = subscription;
    if (!subscription.behind || watch.told === undefined || watch.ended) return;
    const { latest } = watch.line.values;
    // Its own watch has not told this version: it is about to, or to end.
    if (latest?.version !== watch.told) return;
    subscription.behind = false;
    subscription.subscriber.show(this.#messages.absolute(latest));
  }

  close(): void {
    for (const watch of [...this.#watches.values()]) this.#stop(watch);
  }

  #start(name: string, call: WatchCall): Watch {
    const line = this.#lineOf(name, call);
    line.watches++;
    const watch: Watch = {
      name,
      line,
      subscriptions: new Set(),
      told: undefined,
      stop: () => {},
      cancelLinger: undefined,
      ended: false,
    };
    this.#watches.set(name, watch);
    watch.stop = this.#service.watch(call, (news) => this.#hear(watch, news));
    return watch;
  }

  #lineOf(watchName: string, { entity, view }: WatchCall): Line {
    const shared = this.#service.definitions?.get(entity.type)?.views.get(view)?.shared === true;
    const name = shared ? `${entity.type}/${entity.key}/${view}` : watchName;
    const known = this.#lines.get(name);
    if (known !== undefined) return known;
    const values = new DeltaLine(this.#service.limits.deltasKeptMax, this.#patches.between);
    const line: Line = { name, values, watches: 0, led: undefined };
    this.#lines.set(name, line);
    return line;
  }

  #hear(watch: Watch, news: WatchNews): void {
    if (watch.ended) return;
    if (!news.ok) {
      const subscriptions = [...watch.subscriptions];
      this.#stop(watch);
      for (const { subscriber } of subscriptions) subscriber.ended(news.code, news.detail);
      return;
    }
    const { told, line } = watch;
    const { latest } = line.values;
    // Of those who share a line the first one told of a version brings the value. In a cluster a watch may begin at an owner of before,
    // which does not know it yet: what it tells is not shown, and its own watch tells the newer one in a moment.
    if (latest !== undefined && news.version < latest.version) return;
    const again = told === news.version;
    if (news.version !== latest?.version || (again && news.value !== latest.value)) {
      line.values.advance(news.version, news.value);
      line.led = undefined;
    }
    watch.told = news.version;
    if (told === undefined) for (const subscription of watch.subscriptions) this.#begin(subscription);
    else this.#tell(watch, again ? undefined : this.#since(line, told));
  }

  /** @param messages what leads there from the value before; undefined: nothing does */
  #tell(watch: Watch, messages: readonly ViewMessage[] | undefined): void {
    const latest = watch.line.values.latest as NonNullable<DeltaLine["latest"]>;
    for (const subscription of watch.subscriptions) {
      const { subscriber } = subscription;
      if (!subscriber.ready()) subscription.behind = true;
      else if (subscription.behind) this.catchUp(subscription);
      else if (messages === undefined) subscriber.show(this.#messages.absolute(latest));
      else for (const message of messages) subscriber.show(message);
    }
  }

  #since(line: Line, from: Offset): readonly ViewMessage[] | undefined {
    const to = line.values.latest?.version as Offset;
    if (line.led?.from === from && line.led.to === to) return line.led.messages;
    const messages = line.values.since(from)?.map((delta) => this.#messages.delta(delta));
    line.led = { from, to, messages };
    return messages;
  }

  /** First message of a subscription: the deltas it missed if they are known, else an absolute. */
  #begin(subscription: Subscription): void {
    const { watch, subscriber, from } = subscription;
    const latest = watch.line.values.latest as NonNullable<DeltaLine["latest"]>;
    if (!subscriber.ready() || latest.version !== watch.told) {
      subscription.behind = true;
      return;
    }
    const deltas = from === undefined ? undefined : watch.line.values.since(from);
    if (deltas === undefined) subscriber.show(this.#messages.absolute(latest));
    else if (deltas.length > 0) for (const delta of deltas) subscriber.show(this.#messages.delta(delta));
    else subscriber.show(this.#messages.delta({ from: latest.version, version: latest.version, patch: [] }));
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
    watch.line.watches--;
    if (watch.line.watches === 0) this.#lines.delete(watch.line.name);
    watch.stop();
  }
}

/** Views depend on the whole principal, so roles are part of the name; parts that may hold anything come last. */
function nameOf(call: WatchCall): string {
  const { kind, id, roles } = call.principal;
  return `${call.entity.type}/${call.entity.key}/${call.view}/${kind}:${JSON.stringify([id, roles ?? []])}`;
}
