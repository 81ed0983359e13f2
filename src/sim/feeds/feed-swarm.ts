/**
 * What the followers of one seed ask for, and how little room the node has for them.
 *
 * Invariant: drawn apart, so that seeds without followers are those that they were before there were feeds.
 */
import { type FeedFilter, type FeedForm, feedForms } from "../../model/feeds.ts";
import type { Limits } from "../../model/limits.ts";
import { rejectedPolicies, type SubscriberAsk, slowPolicies } from "../../model/subscribers.ts";
import { Prng } from "../../std/prng.ts";
import { viewOf } from "../entities.ts";
import type { Swarm } from "../swarm.ts";

export interface FeedSwarm {
  readonly followers: number;
  /** Share of a follower's steps after which it opens its feed again; of these, so many where it stood once. */
  readonly reopen: number;
  readonly back: number;
  /** Share of its steps after which it rests for long. */
  readonly stall: number;
}

/** What a follower asks for, wherever it begins. */
export interface FollowerAsk {
  readonly form: FeedForm;
  readonly filter: FeedFilter;
  readonly view: string | undefined;
}

export const types = ["wallet", "counter", "alarm", "fragile", "sapling", "courier"] as const;

function feedPrng(seed: number, salt: number): Prng {
  return new Prng(seed ^ (0x66656564 + salt));
}

export function drawFeedSwarm(seed: number, calm: boolean): FeedSwarm {
  const prng = feedPrng(seed, 0);
  if (!prng.chance(0.5)) return { followers: 0, reopen: 0, back: 0, stall: 0 };
  return {
    followers: prng.between(1, 4),
    reopen: calm ? 0 : prng.pick([0, 0.05, 0.3]),
    back: prng.pick([0, 0.3, 1]),
    stall: prng.pick([0, 0.05, 0.3]),
  };
}

/** Little room in most seeds, so that every seam is met. */
export function feedLimits(seed: number): Partial<Limits> {
  if (drawFeedSwarm(seed, false).followers === 0) return {};
  const prng = feedPrng(seed, 1);
  return {
    feedRecentBytesMax: prng.pick([1, 300, 2_000, 100_000]),
    feedIdleMs: prng.pick([1, 20, 1_000]),
    feedScanRecordsMax: prng.pick([1, 5, 65_536]),
    feedHeldBytesMax: prng.pick([40, 200, 100_000]),
    subscriberCommitMs: prng.pick([1, 100, 1_000]),
    subscribersMax: 8,
    subscriberIdleRecords: prng.pick([9, 1_024]),
  };
}

/** A durable subscriber, as an operator makes it. */
export interface SubscriberFacts {
  readonly name: string;
  readonly ask: SubscriberAsk;
}

export interface SubscriberSwarm {
  readonly subscribers: readonly SubscriberFacts[];
  /** Share of deliveries that fail, half of them after they arrived. */
  readonly failing: number;
  /** Share of records that no sink ever takes. */
  readonly bad: number;
  readonly slowMs: number;
  /** Second runners that come and stay until the process ends. */
  readonly rivals: number;
  /** Between two orders of an operator, about; 0: none. */
  readonly ordersMs: number;
}

export function drawSubscribers(seed: number, swarm: Pick<Swarm, "shardCount" | "wallets">): SubscriberSwarm {
  const prng = feedPrng(seed, 2);
  const none = drawFeedSwarm(seed, false).followers === 0 || !prng.chance(0.6);
  const subscribers = Array.from({ length: none ? 0 : prng.between(1, 3) }, (_, index) => ({
    name: `sub-${index}`,
    ask: drawSubscriber(prng, swarm),
  }));
  return {
    subscribers,
    failing: prng.pick([0, 0.1, 0.4]),
    bad: prng.pick([0, 0, 0.05, 0.3]),
    slowMs: prng.pick([0, 10, 300]),
    rivals: prng.chance(0.3) ? prng.between(1, 3) : 0,
    ordersMs: prng.pick([0, 300, 1_000]),
  };
}

function drawSubscriber(prng: Prng, swarm: Pick<Swarm, "shardCount" | "wallets">): SubscriberAsk {
  const { form, filter, view } = drawAsk(prng, swarm);
  const slow = form === "changes" ? prng.pick(["archive", "archive", "park"] as const) : prng.pick(slowPolicies);
  return {
    form,
    filter,
    ...(view === undefined ? {} : { view }),
    start: prng.pick(["beginning", "beginning", "now"] as const),
    sink: prng.pick(["loose", "exact"] as const),
    slow,
    rejected: prng.pick(rejectedPolicies),
    // with a bound below what its own cursors add, one that parks is parked again before it has done anything
    ...(prng.chance(0.3) && slow !== "park" ? { lagRecords: prng.pick([1, 10]) } : {}),
    batchItems: prng.pick([1, 3, 100]),
    batchLingerMs: prng.pick([0, 0, 30]),
    tries: prng.pick([2, 10, 1_500]),
  };
}

export function followerPrng(seed: number, index: number): Prng {
  return feedPrng(seed, 16 + index);
}

export function drawAsk(prng: Prng, swarm: Pick<Swarm, "shardCount" | "wallets">): FollowerAsk {
  const form = prng.pick(feedForms);
  const one = prng.pick(types);
  const viewed = viewOf[one];
  const view = form !== "changes" && viewed !== undefined && prng.chance(0.2) ? viewed : undefined;
  const filter: { -readonly [Name in keyof FeedFilter]: FeedFilter[Name] } = {};
  const some = types.filter(() => prng.chance(0.5));
  if (view !== undefined) filter.types = [one];
  else if (prng.chance(0.3)) filter.types = some.length > 0 ? some : [one];
  else if (prng.chance(0.15)) [filter.types, filter.key] = [["wallet"], `w${prng.integer(swarm.wallets)}`];
  else if (prng.chance(3 / 20)) filter.keyPrefix = prng.pick(["w", "c", "a", "till"]);
  if (prng.chance(0.15)) filter.events = prng.pick([["credited", "added"], ["debited"], ["rang", "granted"], ["done"]]);
  const shards = Array.from({ length: swarm.shardCount }, (_, shard) => shard).filter(() => prng.chance(0.6));
  if (prng.chance(0.2) && shards.length > 0) filter.shards = shards;
  return { form, filter, view };
}
