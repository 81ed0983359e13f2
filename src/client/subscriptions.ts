/**
 * The views that are watched: one subscription per (entity type, key, view) however many watch it, kept across
 * reconnections.
 *
 *   unsent -> sent -> current -> … -> gone
 *      ^        |        |
 *      +--------+--------+   (connection down; a gap; ended for now, after a while)
 *
 * Invariants: a watcher is told only values the server showed, each the whole view at its version; a delta is applied
 * only to the version it starts from, anything else asks for an absolute; after `stop` a watcher is told nothing.
 * Versions that a watcher is told do not go back: another door may not have heard of the newest yet. What is still older after
 * `olderViewMs` is the truth (a backup was restored), and is told.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { applyPatch, diff, type PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import type { ClientMessage, ServerMessage } from "../wire/protocol.ts";
import type { Answer } from "./connection.ts";
import { clientLimits } from "./limits.ts";
import { backoffMs } from "./retry.ts";
import type { ViewUpdate, Watch, WatchOptions } from "./types.ts";

type Delta = Extract<ServerMessage, { t: "delta" }>;

export interface ViewName {
  readonly type: string;
  readonly key: string;
  readonly view: string;
}

interface Watcher {
  readonly listener: (update: ViewUpdate<Plain>) => void;
  readonly onEnded: ((error: HoldfastError) => void) | undefined;
  readonly release: () => void;
  stopped: boolean;
  /** Told something already. */
  told: boolean;
}

interface Shown {
  readonly version: Offset;
  readonly value: Plain;
}

interface Subscription {
  readonly name: ViewName;
  readonly watchers: Set<Watcher>;
  /** Number on this connection while it is sent. */
  id: number | undefined;
  /** What the server has sent: deltas start from it. */
  held: { readonly run: string; readonly version: Offset; readonly value: Plain } | undefined;
  /** What watchers were told: `held`, unless that is older. */
  shown: Shown | undefined;
  cancelOlder: (() => void) | undefined;
  problem: HoldfastError | undefined;
  failures: number;
  cancelWait: () => void;
  gone: boolean;
}

export interface SubscriptionsPort {
  readonly clock: Clock;
  readonly random: Random;
  nextId(): number;
  /** There is something to send. */
  ready(): void;
  /** A listener threw. */
  uncaught(error: unknown): void;
}

export class Subscriptions {
  readonly #port: SubscriptionsPort;
  readonly #byName = new Map<string, Subscription>();
  readonly #byId = new Map<number, Subscription>();
  readonly #unsent = new Set<Subscription>();
  #dropped: number[] = [];
  #run: string | undefined;
  #closed: HoldfastError | undefined;

  constructor(port: SubscriptionsPort) {
    this.#port = port;
  }

  /** Views that are watched. */
  get size(): number {
    return this.#byName.size;
  }

  watch(name: ViewName, listener: (update: ViewUpdate<Plain>) => void, options: WatchOptions): Watch<Plain> {
    const subscription = this.#find(name);
    const stop = (): void => this.#stop(subscription, watcher);
    const watcher: Watcher = {
      listener,
      onEnded: options.onEnded,
      release: () => options.signal?.removeEventListener("abort", stop),
      stopped: options.signal?.aborted ?? false,
      told: false,
    };
    if (!watcher.stopped) this.#add(subscription, watcher, options.signal, stop);
    return {
      get current() {
        const { shown } = subscription;
        return shown === undefined ? undefined : { value: shown.value, version: shown.version };
      },
      get problem() {
        return subscription.problem;
      },
      stop,
      [Symbol.dispose]: stop,
    };
  }

  #find(name: ViewName): Subscription {
    const found = this.#byName.get(nameOf(name));
    if (found !== undefined) return found;
    return {
      name,
      watchers: new Set(),
      id: undefined,
      held: undefined,
      shown: undefined,
      cancelOlder: undefined,
      problem: undefined,
      failures: 0,
      cancelWait: () => {},
      gone: false,
    };
  }

  #add(subscription: Subscription, watcher: Watcher, signal: AbortSignal | undefined, stop: () => void): void {
    signal?.addEventListener("abort", stop);
    subscription.watchers.add(watcher);
    if (this.#closed !== undefined) {
      const error = this.#closed;
      this.#port.clock.defer(() => this.#end(subscription, error));
    } else if (subscription.watchers.size === 1) {
      this.#byName.set(nameOf(subscription.name), subscription);
      this.#unsent.add(subscription);
      this.#port.ready();
    } else if (subscription.shown !== undefined) {
      // Never from inside `watch`: the caller has not got its handle yet.
      this.#port.clock.defer(() => {
        const { shown } = subscription;
        if (!watcher.told && shown !== undefined) this.#tell(watcher, { value: shown.value, version: shown.version });
      });
    }
  }

  #stop(subscription: Subscription, watcher: Watcher): void {
    if (watcher.stopped) return;
    watcher.stopped = true;
    watcher.release();
    subscription.watchers.delete(watcher);
    if (subscription.watchers.size === 0) this.#forget(subscription);
  }

  #forget(subscription: Subscription): void {
    if (subscription.gone) return;
    subscription.gone = true;
    this.#leave(subscription);
    subscription.cancelWait();
    subscription.cancelOlder?.();
    this.#unsent.delete(subscription);
    this.#byName.delete(nameOf(subscription.name));
  }

  /** Tells the server to stop, if it was told to start. */
  #leave(subscription: Subscription): void {
    if (subscription.id === undefined) return;
    this.#byId.delete(subscription.id);
    this.#dropped.push(subscription.id);
    subscription.id = undefined;
    this.#port.ready();
  }

  /** The messages to send now, each marked as sent when it is taken. */
  *take(): Generator<ClientMessage, void, undefined> {
    while (this.#dropped.length > 0) yield { t: "unsubscribe", id: this.#dropped.pop() as number };
    for (const subscription of this.#unsent) {
      this.#unsent.delete(subscription);
      const id = this.#port.nextId();
      subscription.id = id;
      this.#byId.set(id, subscription);
      const { held, name } = subscription;
      yield {
        t: "subscribe",
        id,
        ...name,
        ...(held === undefined ? undefined : { from: held.version, run: held.run }),
      };
    }
  }

  opened(run: string): void {
    this.#run = run;
    if (this.#unsent.size > 0) this.#port.ready();
  }

  down(): void {
    this.#byId.clear();
    this.#dropped = [];
    for (const subscription of this.#byName.values()) {
      if (subscription.id === undefined) continue;
      subscription.id = undefined;
      this.#unsent.add(subscription);
    }
  }

  /** @returns false if it concerns no subscription of ours */
  received(answer: Answer): boolean {
    const subscription = typeof answer.id === "number" ? this.#byId.get(answer.id) : undefined;
    if (subscription === undefined) return false;
    if (answer.t === "absolute") this.#absolute(subscription, answer);
    else if (answer.t === "delta") this.#delta(subscription, answer);
    else if (answer.t === "ended" || answer.t === "error") {
      const after = answer.t === "error" ? (answer.retryAfterMs ?? 0) : 0;
      this.#ended(subscription, new HoldfastError(answer.code, answer.detail), after);
    }
    return true;
  }

  #absolute(subscription: Subscription, { version, value }: Shown): void {
    const { shown } = subscription;
    // What did not change is kept as it was, so that whoever compares by identity sees only what did.
    const patch = shown === undefined ? undefined : diff(shown.value, value);
    const same = shown === undefined || patch === undefined ? value : applyPatch(shown.value, patch);
    this.#hold(subscription, version, same, patch);
  }

  #delta(subscription: Subscription, { from, version, patch }: Delta): void {
    const { held } = subscription;
    if (held === undefined || held.run !== this.#run || held.version !== from) return this.#resync(subscription);
    let value: Plain;
    try {
      value = applyPatch(held.value, patch);
    } catch {
      return this.#resync(subscription);
    }
    if (held.version === subscription.shown?.version) this.#hold(subscription, version, value, patch);
    else this.#absolute(subscription, { version, value });
  }

  /** @param patch what changed since what was shown last */
  #hold(subscription: Subscription, version: Offset, value: Plain, patch: readonly PatchOperation[] | undefined): void {
    subscription.held = { run: this.#run as string, version, value };
    subscription.problem = undefined;
    subscription.failures = 0;
    const { shown } = subscription;
    if (shown !== undefined && version < shown.version) return this.#showLater(subscription);
    subscription.cancelOlder?.();
    subscription.cancelOlder = undefined;
    this.#show(subscription, { version, value }, patch);
  }

  #showLater(subscription: Subscription): void {
    subscription.cancelOlder ??= this.#port.clock.after(clientLimits.olderViewMs, () => {
      subscription.cancelOlder = undefined;
      const { held, shown } = subscription;
      if (held === undefined || shown === undefined || subscription.gone) return;
      this.#show(subscription, { version: held.version, value: held.value }, diff(shown.value, held.value));
    });
  }

  #show(subscription: Subscription, next: Shown, patch: readonly PatchOperation[] | undefined): void {
    const news = subscription.shown?.version !== next.version || patch === undefined || patch.length > 0;
    subscription.shown = next;
    if (!news) return;
    const { value, version } = next;
    for (const watcher of [...subscription.watchers]) {
      const first = !watcher.told || patch === undefined;
      this.#tell(watcher, first ? { value, version } : { value, version, patch });
    }
  }

  /** A gap: starts again from an absolute. */
  #resync(subscription: Subscription): void {
    const { held } = subscription;
    this.#leave(subscription);
    // The value stays for those who look at it; a run that is none makes the server send an absolute.
    if (held !== undefined) subscription.held = { ...held, run: "-" };
    this.#unsent.add(subscription);
    this.#port.ready();
  }

  #ended(subscription: Subscription, error: HoldfastError, afterMs: number): void {
    this.#byId.delete(subscription.id as number);
    subscription.id = undefined;
    if (!error.retryable) return this.#end(subscription, error);
    subscription.problem = error;
    const { retryBaseMs: baseMs, retryMaxMs: maxMs } = clientLimits;
    const waitMs = afterMs + backoffMs(subscription.failures++, { baseMs, maxMs }, this.#port.random);
    subscription.cancelWait = this.#port.clock.after(waitMs, () => {
      this.#unsent.add(subscription);
      this.#port.ready();
    });
  }

  #end(subscription: Subscription, error: HoldfastError): void {
    const watchers = [...subscription.watchers];
    subscription.problem = error;
    for (const watcher of watchers) this.#stop(subscription, watcher);
    for (const { onEnded } of watchers) this.#guard(() => onEnded?.(error));
  }

  close(error: HoldfastError): void {
    this.#closed = error;
    for (const subscription of [...this.#byName.values()]) this.#end(subscription, error);
  }

  #tell(watcher: Watcher, update: ViewUpdate<Plain>): void {
    if (watcher.stopped) return;
    watcher.told = true;
    this.#guard(() => watcher.listener(update));
  }

  #guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#port.uncaught(error);
    }
  }
}

function nameOf({ type, key, view }: ViewName): string {
  return `${type}/${key}/${view}`;
}
