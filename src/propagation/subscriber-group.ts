/**
 * A subscriber without a sink: its owner's consumers fetch and acknowledge, alone or as a group that shares its shards.
 *
 * Leases and who holds which shard live here, in memory, under the epoch of this running; only what is acknowledged is recorded.
 * So a node that takes over begins with an empty group, members come back with their next call, and what they had not
 * acknowledged comes again.
 *
 * Invariant: a shard's recorded place moves only to where a batch ended that its present member was given since it holds the shard.
 */
import {
  expireMembers,
  type Group,
  holdsSince,
  joinGroup,
  leaveGroup,
  makeGroup,
  shardsOfMember,
} from "../core/changefeed/group.ts";
import { isFurtherBehind, laggingTrouble } from "../core/changefeed/subscriber.ts";
import { runnerPrincipal, subscriberType } from "../core/changefeed/subscriber-entity.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type Cursor, type FeedItem, type FeedLag, type FeedStart, noLag, type Place } from "../model/feeds.ts";
import type { ShardId } from "../model/ids.ts";
import type { CallResult } from "../model/records.ts";
import type { SubscriberConfig, SubscriberOrders } from "../model/subscribers.ts";
import { readCursorSince, writeCursor } from "../wire/cursor.ts";
import type { Feed } from "./feed.ts";
import { lagOf, recordsBetween } from "./places.ts";
import { subscriberAsk } from "./subscriber-ask.ts";
import type { RunParts } from "./subscriber-run.ts";

/** Batches that a member may hold unacknowledged. */
const givenMax = 64;

export interface Fetched {
  readonly items: readonly FeedItem[];
  readonly cursor: string;
  readonly generation: number;
  readonly shards: readonly ShardId[];
  readonly lag: FeedLag;
}

/** What a member was given and has not acknowledged. */
interface Given {
  readonly cursor: string;
  readonly places: Cursor;
  readonly generation: number;
  readonly items: number;
  /** Recorded time up to which it was read. */
  readonly readMs: number;
}

interface Member {
  feed: Feed | undefined;
  shards: readonly ShardId[];
  given: Given[];
  busy: boolean;
}

export class SubscriberGroup {
  readonly #parts: RunParts;
  readonly #config: SubscriberConfig;
  readonly #rewinds: number;
  #epoch = 0;
  #group: Group = makeGroup([]);
  readonly #members = new Map<string, Member>();
  #places = new Map<ShardId, Place>();
  #sinceMs = 0;
  /** Recorded time up to which was acknowledged; how far behind it was when this running began. */
  #placeMs: number;
  #allowed: FeedLag = noLag;
  #committing: Promise<unknown> = Promise.resolve();
  #ready: Promise<void> | undefined;
  #cancelTick: () => void = () => {};
  #closed = false;

  constructor(parts: RunParts, orders: SubscriberOrders, config: SubscriberConfig) {
    this.#parts = parts;
    this.#config = config;
    this.#rewinds = orders.rewinds;
    this.#placeMs = orders.cursorMs;
  }

  /** Where it stands, by what is acknowledged; undefined before it has begun. */
  get place(): { readonly cursor: string; readonly readMs: number } | undefined {
    if (this.#places.size === 0) return undefined;
    const cursor = writeCursor(this.#places, this.#parts.source.shardCount, this.#sinceMs);
    return { cursor, readMs: this.#placeMs };
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Begins a running, and records where it starts. @throws as `Feeds.open` */
  ready(): Promise<void> {
    this.#ready ??= this.#begin().catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    return this.#ready;
  }

  /** The member is there; says which shards it has. */
  async join(
    member: string,
  ): Promise<{ readonly generation: number; readonly shards: readonly ShardId[]; readonly leaseMs: number }> {
    await this.ready();
    this.#renew(member);
    const { subscriberLeaseMs: leaseMs } = this.#parts.source.limits;
    return { generation: this.#group.generation, shards: shardsOfMember(this.#group, member), leaseMs };
  }

  async leave(member: string): Promise<void> {
    await this.ready();
    leaveGroup(this.#group, member);
    this.#drop(member);
  }

  /**
   * The next items of the member's shards: behind `after`, a cursor that it was given; without one, behind what is acknowledged.
   * @throws `invalid-cursor` it was not given this cursor, or its shards moved since; fetch without it
   * @throws `overloaded` it holds too many batches, or fetches already
   */
  async fetch(member: string, asked: { itemsMax: number; waitMs: number; after?: string }): Promise<Fetched> {
    await this.ready();
    const one = this.#renew(member);
    if (one.busy) throw new HoldfastError("overloaded", "This member fetches already; wait for its answer.");
    one.busy = true;
    try {
      return await this.#fetch(member, one, asked);
    } catch (error) {
      if (isHoldfastError(error) && error.code === "cursor-lost") await this.#lost(error.message);
      throw error;
    } finally {
      one.busy = false;
    }
  }

  /**
   * What was given up to this cursor is taken, of the shards that the member still holds.
   * @returns the shards that moved meanwhile: what it took of them comes again to another
   */
  async acknowledge(member: string, cursor: string): Promise<{ readonly moved: readonly ShardId[] }> {
    await this.ready();
    const one = this.#renew(member);
    const work = this.#committing.then(() => this.#acknowledge(member, one, cursor));
    this.#committing = work.catch(() => {});
    return await work;
  }

  close(): void {
    this.#closed = true;
    this.#cancelTick();
    for (const member of [...this.#members.keys()]) this.#drop(member);
  }

  async #begin(): Promise<void> {
    const { feeds, node, source } = this.#parts;
    const begun = await this.#command("begin", { node });
    const orders = begun.value as unknown as SubscriberOrders;
    this.#epoch = orders.epoch;
    const start: FeedStart = orders.cursor === null ? this.#config.start : { cursor: orders.cursor };
    const feed = await feeds.open(subscriberAsk(this.#config, start));
    const { cursor } = feed;
    feed.close();
    if (orders.cursor !== cursor || orders.settled !== orders.rewinds)
      await this.#command("commit", { cursor, cursorMs: this.#placeMs, items: 0, batches: 0 });
    const { places, sinceMs } = readCursorSince(cursor, source.shardCount);
    this.#places = places;
    this.#sinceMs = sinceMs;
    this.#group = makeGroup([...places.keys()]);
    this.#allowed = lagOf(places, this.#placeMs, source);
    this.#tick();
  }

  async #fetch(
    member: string,
    one: Member,
    { itemsMax, waitMs, after }: { itemsMax: number; waitMs: number; after?: string },
  ): Promise<Fetched> {
    const { generation } = this.#group;
    const shards = shardsOfMember(this.#group, member);
    if (shards.length === 0) return this.#nothing(generation);
    if (one.given.length >= givenMax)
      throw new HoldfastError("overloaded", `${givenMax} batches were given and not acknowledged; do that first.`);
    const at = this.#startOf(member, one, shards, after);
    if (one.feed?.cursor !== at || !isSameList(one.shards, shards)) {
      one.feed?.close();
      one.feed = undefined;
      const ask = subscriberAsk(this.#config, { cursor: at });
      one.feed = await this.#parts.feeds.open({ ...ask, filter: { ...ask.filter, shards } });
      one.shards = shards;
    }
    const { batchBytes, batchLingerMs, batchItems } = this.#config;
    const limits = { itemsMax: Math.min(itemsMax, batchItems), bytesMax: batchBytes, waitMs, lingerMs: batchLingerMs };
    const { items, cursor, lag } = await one.feed.next(limits);
    const { source } = this.#parts;
    const { places } = readCursorSince(cursor, source.shardCount);
    // Of batches without items the last one is enough.
    if (items.length === 0 && one.given.at(-1)?.items === 0) one.given.pop();
    const readMs = source.now() - lag.seconds * 1_000;
    one.given.push({ cursor, places, generation, items: items.length, readMs });
    const passed = recordsBetween(this.#places, places) >= source.limits.subscriberIdleRecords;
    if (passed && one.given.every((given) => given.items === 0)) await this.acknowledge(member, cursor);
    return { items, cursor, generation, shards, lag };
  }

  #nothing(generation: number): Fetched {
    const cursor = writeCursor(new Map(), this.#parts.source.shardCount);
    return { items: [], cursor, generation, shards: [], lag: noLag };
  }

  #startOf(member: string, one: Member, shards: readonly ShardId[], after: string | undefined): string {
    const { shardCount } = this.#parts.source;
    if (after === undefined) {
      one.given = [];
      const places = new Map(shards.map((shard) => [shard, this.#places.get(shard) as Place]));
      return writeCursor(places, shardCount, this.#sinceMs);
    }
    const given = one.given.find(({ cursor }) => cursor === after);
    const held =
      given !== undefined && shards.every((shard) => holdsSince(this.#group, shard, member, given.generation));
    if (!held || !isSameList([...given.places.keys()], shards))
      throw new HoldfastError("invalid-cursor", "Its shards moved, or it was not given this cursor; fetch without it.");
    return after;
  }

  async #acknowledge(member: string, one: Member, cursor: string): Promise<{ readonly moved: readonly ShardId[] }> {
    const index = one.given.findIndex((given) => given.cursor === cursor);
    const given = one.given[index];
    if (given === undefined)
      throw new HoldfastError(
        "invalid-cursor",
        "This member was not given this cursor, or has acknowledged it; fetch again.",
      );
    const moved: ShardId[] = [];
    const next = new Map(this.#places);
    for (const [shard, place] of given.places) {
      if (holdsSince(this.#group, shard, member, given.generation)) next.set(shard, place);
      else moved.push(shard);
    }
    const taken = one.given.slice(0, index + 1);
    const items = taken.reduce((sum, { items: count }) => sum + count, 0);
    const cursorMs = Math.max(this.#placeMs, given.readMs);
    const whole = writeCursor(next, this.#parts.source.shardCount, this.#sinceMs);
    await this.#command("commit", { cursor: whole, cursorMs, items, batches: taken.length });
    this.#places = next;
    this.#placeMs = cursorMs;
    one.given = one.given.filter((each) => !taken.includes(each));
    return { moved };
  }

  /** What comes next is gone. */
  async #lost(detail: string): Promise<void> {
    const trouble = { kind: "failed", code: "cursor-lost", detail, batch: null };
    await (this.#config.slow === "conflate" ? this.#command("begin-again", {}) : this.#command("trouble", { trouble }));
  }

  /** Slower than its policy lets it be: nothing is kept for it until an operator resumes it. */
  async #checkLag(): Promise<void> {
    const lag = lagOf(this.#places, this.#placeMs, this.#parts.source);
    if (this.#config.slow !== "park" || !isFurtherBehind(this.#config, this.#allowed, lag)) return;
    await this.#command("trouble", { trouble: laggingTrouble(lag) });
  }

  async #command(command: string, input: object): Promise<CallResult & { ok: true }> {
    const { commands, name } = this.#parts;
    const entity = { type: subscriberType, key: name };
    const run = { epoch: this.#epoch, rewinds: this.#rewinds };
    const result = await commands.untilAnswered(
      { entity, command, input: { ...input, ...run }, principal: runnerPrincipal },
      () => this.#closed,
    );
    if (result.ok) return result;
    if (result.reason === "past" || result.reason === "not-found")
      throw new HoldfastError(
        "unavailable",
        "The subscriber was rewound, deleted, or moved to another node; ask again.",
      );
    throw new HoldfastError(result.code, result.detail);
  }

  #renew(member: string): Member {
    if (this.#closed)
      throw new HoldfastError("unavailable", "The subscriber does not run here at the moment; ask again.");
    const { source } = this.#parts;
    const { subscriberLeaseMs, subscriberMembersMax } = source.limits;
    const nowMs = source.clock.monotonic();
    this.#expire(nowMs);
    let one = this.#members.get(member);
    if (one === undefined) {
      if (this.#members.size >= subscriberMembersMax)
        throw new HoldfastError("overloaded", `The group has ${subscriberMembersMax} members; let one leave.`);
      one = { feed: undefined, shards: [], given: [], busy: false };
      this.#members.set(member, one);
    }
    joinGroup(this.#group, member, nowMs + subscriberLeaseMs);
    return one;
  }

  #expire(nowMs: number): void {
    for (const member of expireMembers(this.#group, nowMs)) this.#drop(member);
  }

  #drop(member: string): void {
    this.#members.get(member)?.feed?.close();
    this.#members.delete(member);
  }

  /** Shards of members that say nothing are not kept from others, and feeds not open for them. */
  #tick(): void {
    const { clock, limits } = this.#parts.source;
    if (this.#closed) return;
    this.#cancelTick = clock.after(limits.subscriberLeaseMs / 2, () => {
      this.#expire(clock.monotonic());
      const { name, report } = this.#parts;
      void this.#checkLag()
        .catch((error: unknown) => report(`subscriber ${name}: lag`, error))
        .then(() => this.#tick());
    });
  }
}

function isSameList(one: readonly ShardId[], other: readonly ShardId[]): boolean {
  return one.length === other.length && one.every((shard) => other.includes(shard));
}
