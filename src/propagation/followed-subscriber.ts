/**
 * One subscriber as a node knows it: its orders, its running if it has a sink, and what is told of it.
 *
 * Invariant: there is one running at a time here; the next begins when the one before has ended.
 */
import { isLagging } from "../core/changefeed/subscriber.ts";
import { runnerPrincipal, subscriberType } from "../core/changefeed/subscriber-entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type Cursor, type FeedLag, noLag } from "../model/feeds.ts";
import { type Offset, type ShardId, shardOf } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import type { SubscriberConfig, SubscriberOrders, SubscriberState, SubscriberStatus } from "../model/subscribers.ts";
import type { Served } from "../runtime/served.ts";
import type { Service } from "../runtime/service.ts";
import { Follow } from "./follow.ts";
import { lagOf, placesIn } from "./places.ts";
import { SubscriberGroup } from "./subscriber-group.ts";
import { type RunParts, SubscriberRun } from "./subscriber-run.ts";

export interface FollowParts extends Omit<RunParts, "name"> {
  readonly service: Pick<Service, "watch">;
  /** Where there are several nodes. */
  readonly served?: Served;
}

export class FollowedSubscriber {
  readonly #name: string;
  readonly #parts: FollowParts;
  readonly #changed: () => void;
  #follow: Follow<SubscriberOrders> | undefined;
  #orders: SubscriberOrders | undefined;
  #version: Offset = 0;
  #run: SubscriberRun | undefined;
  /** Of one that is pulled; made of these orders. */
  #group: { readonly group: SubscriberGroup; readonly config: string; readonly rewinds: number } | undefined;
  #ending: Promise<void> = Promise.resolve();
  #ended = false;
  #waiting: (() => void)[] = [];
  /** Places of the cursor that was asked about last. */
  #read: { readonly cursor: string; readonly places: Cursor } | undefined;

  constructor(name: string, parts: FollowParts, changed: () => void) {
    this.#name = name;
    this.#parts = parts;
    this.#changed = changed;
  }

  start(): void {
    const { service, source } = this.#parts;
    this.#follow = new Follow<SubscriberOrders>(
      { service, clock: source.clock },
      { entity: { type: subscriberType, key: this.#name }, view: "orders", principal: runnerPrincipal },
      { news: (orders, version) => this.#hear(orders, version), lost: () => this.#endRun() },
    );
  }

  /**
   * For consumers of one that is pulled.
   * @throws `forbidden` the principal is not its owner, or there is no such subscriber
   * @throws `cursor-lost` it failed; `unavailable` it is paused, parked, or not run here at the moment
   */
  pulled({ kind, id }: Principal): SubscriberGroup {
    const { config, trouble, paused } = this.#orders ?? { config: null, trouble: null, paused: false };
    const owns = config?.owner.kind === kind && config.owner.id === id;
    if (config === null || (kind !== "operator" && !owns)) throw forbidden(this.#name);
    if (config.sink !== null)
      throw new HoldfastError("forbidden", `What "${this.#name}" gets goes to its sink; it is not pulled.`);
    if (trouble !== null) {
      const code = trouble.kind === "failed" ? "cursor-lost" : "unavailable";
      throw new HoldfastError(code, `The subscriber is ${trouble.kind}: ${trouble.detail}`);
    }
    if (paused) throw new HoldfastError("unavailable", "The subscriber is paused.");
    if (this.#group === undefined) throw this.#elsewhere();
    return this.#group.group;
  }

  async end(): Promise<void> {
    this.#ended = true;
    // The running is told of its own commits by their answers; the watch is not needed for its end.
    this.#follow?.end();
    await this.#endRun();
  }

  get isKnown(): boolean {
    return this.#orders !== undefined;
  }

  /** Which shards this node serves is another matter than before. */
  servedChanged(): void {
    if (this.#orders === undefined || this.#ended) return;
    if (this.#isServed()) this.#hear(this.#orders, this.#version);
    else void this.#endRun();
  }

  /** The entity's shard is owned here: whoever runs it elsewhere is about to stop, and is fenced by this one's epoch. */
  #isServed(): boolean {
    const { served } = this.#parts;
    return served === undefined || served.serves(this.#shard);
  }

  get #shard(): ShardId {
    return shardOf(subscriberType, this.#name, this.#parts.source.shardCount);
  }

  #elsewhere(): HoldfastError {
    const where = this.#isServed() ? undefined : this.#parts.served?.where(this.#shard);
    const detail = "The subscriber does not run here at the moment; ask again.";
    if (where === undefined) return new HoldfastError("unavailable", detail);
    const { node, door } = where;
    const text = `The subscriber runs on node ${node}; ask its door${door === undefined ? "" : `, ${door}`}.`;
    return new HoldfastError("unavailable", text, { details: { node, door: door ?? null } });
  }

  /** It was deleted, or refused. */
  get isGone(): boolean {
    return this.#orders !== undefined && this.#orders.config === null;
  }

  /** Resolves when its orders are known and it is there. */
  known(): Promise<void> {
    if (this.#orders !== undefined && this.#orders.config !== null) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  status(): SubscriberStatus | undefined {
    const orders = this.#orders;
    if (orders === undefined || orders.config === null) return undefined;
    const { config, trouble, epoch, node, items, batches, aside, createdMs } = orders;
    const { cursor } = this.#place(orders);
    const lag = this.#lag(orders);
    return {
      name: this.#name,
      state: stateOf(orders, config, lag),
      config,
      trouble,
      lag,
      held: this.#isHeld(orders, config),
      cursor,
      epoch,
      node,
      items,
      batches,
      aside,
      lastError: this.#run?.lastError ?? null,
      createdMs,
    };
  }

  /** Below it nothing is kept for this one; undefined: nothing is. */
  held(shard: ShardId): Offset | undefined {
    const orders = this.#orders;
    if (orders === undefined || orders.config === null || !this.#isHeld(orders, orders.config)) return undefined;
    if (orders.cursor === null) return orders.config.start === "now" ? undefined : 1;
    // What is recorded counts: a crash goes back to it.
    const offset = this.#places(orders.cursor).get(shard)?.offset;
    // It reads the shard's present states, and then what came since it began to: where that was is not recorded.
    return offset === 0 ? 1 : offset;
  }

  #isHeld(orders: SubscriberOrders, { slow }: SubscriberConfig): boolean {
    if (slow !== "archive" || orders.trouble?.kind === "failed") return false;
    const { source } = this.#parts;
    return source.now() - this.#place(orders).readMs <= source.limits.subscriberHoldMs;
  }

  #place(orders: SubscriberOrders): { readonly cursor: string | null; readonly readMs: number } {
    return this.#run?.place ?? this.#group?.group.place ?? { cursor: orders.cursor, readMs: orders.cursorMs };
  }

  #lag(orders: SubscriberOrders): FeedLag {
    const { cursor, readMs } = this.#place(orders);
    return cursor === null ? noLag : lagOf(this.#places(cursor), readMs, this.#parts.source);
  }

  #places(cursor: string): Cursor {
    if (this.#read?.cursor !== cursor) this.#read = { cursor, places: placesIn(cursor, this.#parts.source) };
    return this.#read.places;
  }

  #hear(orders: SubscriberOrders, version: Offset): void {
    this.#orders = orders;
    this.#version = version;
    const isRun = orders.config !== null && orders.config.sink !== null && this.#isServed();
    if (this.#run !== undefined) {
      if (isRun || orders.config === null) this.#run.hear(orders, version);
      else void this.#endRun();
    } else if (isRun && !this.#ended) {
      void this.#ending.then(() => this.#beginRun());
    }
    this.#hearGroup(orders);
    if (orders.config !== null) for (const resolve of this.#waiting.splice(0)) resolve();
    this.#changed();
  }

  #hearGroup(orders: SubscriberOrders): void {
    const { config, paused, trouble, rewinds, epoch } = orders;
    const present = this.#group;
    if (config === null || config.sink !== null || paused || trouble !== null) return this.#endGroup();
    if (this.#ended || !this.#isServed()) return this.#endGroup();
    const text = JSON.stringify(config);
    if (present !== undefined && present.config === text && present.rewinds === rewinds) {
      // A later running is at work elsewhere.
      if (present.group.epoch > 0 && epoch > present.group.epoch) present.group.close();
      return;
    }
    this.#endGroup();
    const group = new SubscriberGroup({ ...this.#parts, name: this.#name }, orders, config);
    this.#group = { group, config: text, rewinds };
    // Where it starts is recorded at once; if that fails, with the first call.
    void group.ready().catch((error: unknown) => this.#parts.report(`subscriber ${this.#name}`, error));
  }

  #endGroup(): void {
    this.#group?.group.close();
    this.#group = undefined;
  }

  #beginRun(): void {
    const orders = this.#orders;
    const { config } = orders ?? { config: null };
    if (this.#ended || this.#run !== undefined || orders === undefined || config === null || config.sink === null)
      return;
    if (!this.#isServed()) return;
    this.#run = new SubscriberRun({ ...this.#parts, name: this.#name }, orders, this.#version);
    this.#run.start();
  }

  #endRun(): Promise<void> {
    this.#endGroup();
    const run = this.#run;
    this.#run = undefined;
    if (run !== undefined) this.#ending = this.#ending.then(() => run.stop());
    return this.#ending;
  }
}

export function forbidden(name: string): HoldfastError {
  return new HoldfastError("forbidden", `This principal may not pull from "${name}".`);
}

function stateOf({ trouble, paused }: SubscriberOrders, config: SubscriberConfig, lag: FeedLag): SubscriberState {
  if (trouble !== null) return trouble.kind;
  if (paused) return "paused";
  return isLagging(config, lag) ? "lagging" : "running";
}
