/**
 * What one seed simulates: how large the service is, what its clients do, and which faults come how often.
 *
 * Most faults are off in most seeds: a run in which everything fails at once explores less than many runs in which a few
 * things fail often ("swarm testing", Groce and others, 2012).
 *
 * Invariant: a function of the seed (and of the options a person gives), and of nothing else.
 */
import type { Limits } from "../model/limits.ts";
import { Prng } from "../std/prng.ts";
import { archiveLimits } from "./archive.ts";
import {
  drawFeedSwarm,
  drawSubscribers,
  type FeedSwarm,
  feedLimits,
  type SubscriberSwarm,
} from "./feeds/feed-swarm.ts";
import { newestGeneration } from "./sapling.ts";

export interface Network {
  readonly delayMs: readonly [number, number];
  /** Sometimes a message takes this long. */
  readonly slowMs: number;
  readonly slow: number;
  readonly loss: number;
  readonly duplicate: number;
}

export interface LogFaults {
  readonly delayMs: readonly [number, number];
  /** An answer takes this long instead, now and then. */
  readonly stallMs: number;
  readonly stall: number;
  /** An append is answered `unknown`. Of these, so many were written, and so many are written later. */
  readonly unknown: number;
  readonly unknownWritten: number;
  readonly unknownLate: number;
  /** Share of appends that are refused as `full` while space is short. */
  readonly fullShare: number;
}

/** What is kept beside the log. */
export interface KeptFaults {
  readonly state: boolean;
  readonly snapshots: boolean;
  readonly delayMs: number;
  /** At a start some images are found to be damaged. */
  readonly damage: number;
  /** A call of the snapshot store has no answer; half of these were carried out. */
  readonly unavailable: number;
  /** At a start the state store is an older copy of itself, or gone; of the latter, so many with the newest snapshot bad. */
  readonly stale: number;
  readonly lost: number;
  readonly spoilt: number;
  /** Owners of before that save a snapshot at some moment. */
  readonly zombies: number;
}

/** Starts, while faults come, that deploy newer code of the saplings, and older code. */
export interface Evolution {
  readonly saplings: number;
  readonly first: number;
  readonly upgrade: number;
  readonly rollback: number;
}

export interface Swarm {
  readonly seed: number;
  readonly engine: "log" | "disk";
  readonly shardCount: number;
  readonly wallets: number;
  readonly counters: number;
  readonly alarms: number;
  readonly fragiles: number;
  readonly couriers: number;
  readonly clients: number;
  readonly watchers: number;
  readonly callsPerClient: number;
  /** Calls of one client that are under way at once. */
  readonly window: number;
  readonly thinkMs: number;
  readonly timeoutMs: number;
  readonly attempts: number;
  /** Clients' clocks are off by at most this. */
  readonly skewMs: number;
  readonly network: Network;
  readonly log: LogFaults;
  /** Faults that come at some moment of the run, so many of each. */
  readonly crashes: number;
  readonly powerCuts: number;
  readonly stops: number;
  readonly zombies: number;
  readonly fullPhases: number;
  readonly ioErrors: number;
  readonly clockJumps: number;
  /** The wall clock is off by at most this. */
  readonly jumpMs: number;
  /** Faults come until then; afterwards everything must come to rest. */
  readonly faultsMs: number;
  readonly limits: Partial<Limits>;
  readonly deferMs: number;
  /** Share of the transfers and additions that are relaxed. */
  readonly relaxed: number;
  /** Share of starts, while faults come, that deploy code with a bug in an evolve. */
  readonly brokenCode: number;
  readonly kept: KeptFaults;
  readonly evolution: Evolution;
  readonly feeds: FeedSwarm;
  readonly downstream: SubscriberSwarm;
}

export interface SwarmOptions {
  readonly engine?: "log" | "disk";
}

export function makeSwarm(seed: number, options: SwarmOptions = {}): Swarm {
  const drawn = drawSwarm(seed, options);
  const swarm = drawn.engine === "log" ? { ...drawn, ...crowd(seed, drawn) } : drawn;
  return { ...swarm, downstream: drawSubscribers(seed, swarm) };
}

/**
 * A few seeds are a crowd: hardly any room in memory, a slow log, and shards that are claimed elsewhere all the time, so that
 * one shard recovers, and makes room, while images of others wait for their records.
 */
function crowd(seed: number, { log, kept, limits }: Pick<Swarm, "log" | "kept" | "limits">): Partial<Swarm> {
  const prng = new Prng(seed ^ 0x63726f77);
  if (!prng.chance(0.04)) return {};
  return {
    shardCount: prng.pick([2, 3]),
    zombies: prng.between(8, 30),
    crashes: 1,
    faultsMs: 10_000,
    clients: 5,
    callsPerClient: 24,
    window: 8,
    thinkMs: 5,
    counters: 3,
    wallets: 6,
    log: { ...log, delayMs: [0, 60], stall: 0.3, stallMs: 300 },
    kept: { ...kept, state: true, delayMs: prng.pick([0, 1]) },
    limits: { ...limits, residentEntitiesMax: prng.pick([1, 3]), checkpointMs: 200 },
  };
}

function drawSwarm(seed: number, options: SwarmOptions): Omit<Swarm, "downstream"> {
  const prng = new Prng(seed);
  const some = (probability: number, value: () => number) => (prng.chance(probability) ? value() : 0);
  const drawn = prng.chance(0.15) ? "disk" : "log";
  const engine = options.engine ?? drawn;
  const calm = prng.chance(0.05);
  const often = (probability: number, value: () => number) => (calm ? 0 : some(probability, value));
  const limits = { ...someLimits(prng), ...keptLimits(seed), ...archiveLimits(seed), ...feedLimits(seed) };
  return {
    seed,
    engine,
    shardCount: prng.pick([1, 1, 2, 3, 4, 6]),
    wallets: prng.between(1, 6),
    counters: prng.between(1, 3),
    alarms: prng.between(0, 3),
    fragiles: some(0.5, () => 1),
    clients: prng.between(1, 5),
    watchers: prng.between(0, 3),
    callsPerClient: prng.between(4, 24),
    window: prng.pick([1, 1, 2, 8]),
    thinkMs: prng.pick([0, 5, 50, 300]),
    timeoutMs: prng.pick([100, 400, 2_000]),
    attempts: prng.pick([2, 6, 40]),
    skewMs: some(0.3, () => toleratedMs(limits)),
    network: {
      delayMs: [0, prng.pick([0, 1, 10, 40])],
      slowMs: prng.pick([200, 2_000, 25_000]),
      slow: often(0.3, () => 0.05),
      loss: often(0.4, () => prng.fraction() * 0.25),
      duplicate: often(0.4, () => prng.fraction() * 0.3),
    },
    log: logFaults(prng, often),
    crashes: often(0.6, () => prng.between(1, 6)),
    powerCuts: engine === "disk" ? often(0.6, () => prng.between(1, 5)) : 0,
    stops: often(0.2, () => prng.between(1, 2)),
    zombies: engine === "log" ? often(0.4, () => prng.between(1, 6)) : 0,
    fullPhases: often(0.25, () => prng.between(1, 3)),
    ioErrors: often(0.15, () => prng.between(1, 2)),
    clockJumps: often(0.25, () => prng.between(1, 3)),
    faultsMs: prng.pick([500, 3_000, 10_000]),
    jumpMs: toleratedMs(limits),
    deferMs: prng.pick([0, 0, 1, 5]),
    relaxed: relaxedShare(seed),
    brokenCode: often(0.6, () => 0.5),
    kept: keptFaults(seed, calm),
    evolution: evolution(seed, calm),
    feeds: drawFeedSwarm(seed, calm),
    // drawn last, so that seeds without couriers stay what they were
    ...courierFacts(prng, limits),
  };
}

/** Drawn apart as well. */
function keptFaults(seed: number, calm: boolean): KeptFaults {
  const prng = new Prng(seed ^ 0x6b657074);
  const state = prng.chance(0.6);
  return {
    state,
    snapshots: state && prng.chance(0.7),
    delayMs: prng.pick([0, 1, 20, 200]),
    damage: !calm && prng.chance(0.2) ? 0.5 : 0,
    unavailable: !calm && prng.chance(0.3) ? 0.1 : 0,
    stale: !calm && prng.chance(0.3) ? 0.5 : 0,
    lost: !calm && prng.chance(0.5) ? prng.pick([0.2, 0.6]) : 0,
    spoilt: prng.chance(0.5) ? 0.7 : 0,
    zombies: !calm && prng.chance(0.2) ? prng.between(1, 3) : 0,
  };
}

/** Drawn apart too. */
function evolution(seed: number, calm: boolean): Evolution {
  const prng = new Prng(seed ^ 0x65766f6c);
  if (!prng.chance(0.4)) return { saplings: 0, first: newestGeneration, upgrade: 0, rollback: 0 };
  const first = prng.integer(newestGeneration + 1);
  const saplings = prng.between(1, 3);
  return { saplings, first, upgrade: calm ? 0 : prng.pick([0.3, 0.7]), rollback: calm ? 0 : prng.pick([0, 0.2, 0.5]) };
}

/** Little room and many checkpoints: entities come and go all the time. */
function keptLimits(seed: number): Partial<Limits> {
  const prng = new Prng(seed ^ 0x726f6f6d);
  const limits = {
    residentEntitiesMax: prng.pick([4, 8, 100_000]),
    checkpointMs: prng.pick([200, 1_000, 10_000]),
  };
  // The log is not trimmed where a remembered request id points: with a short window it is trimmed at all.
  if (!prng.chance(0.5)) return limits;
  const dedupWindowMs = prng.pick([400, 2_000]);
  return { ...limits, dedupWindowMs, requestIdFutureMs: dedupWindowMs / 2 };
}

function courierFacts(prng: Prng, limits: Partial<Limits>): Pick<Swarm, "couriers" | "limits"> {
  if (!prng.chance(0.4)) return { couriers: 0, limits };
  const few = prng.chance(0.2) ? { callsPerEntityMax: 2 } : {};
  const slow = prng.chance(0.3) ? { callsRunningMax: prng.pick([1, 2]) } : {};
  return { couriers: prng.between(1, 3), limits: { ...limits, ...few, ...slow } };
}

/** Drawn apart, so that the seeds without it are those that they were before there were relaxed commands. */
function relaxedShare(seed: number): number {
  const prng = new Prng(seed ^ 0x72656c);
  return prng.chance(0.4) ? prng.pick([0.3, 0.7, 1]) : 0;
}

type Often = (probability: number, value: () => number) => number;

function logFaults(prng: Prng, often: Often): LogFaults {
  return {
    delayMs: [0, prng.pick([0, 2, 10, 60])],
    stallMs: prng.pick([300, 3_000]),
    stall: often(0.3, () => 0.05),
    unknown: often(0.4, () => prng.fraction() * 0.3),
    unknownWritten: prng.fraction(),
    unknownLate: often(0.5, () => 0.5),
    fullShare: prng.pick([0.5, 1]),
  };
}

function someLimits(prng: Prng): Partial<Limits> {
  const limits: { -readonly [Name in keyof Limits]?: number } = {};
  if (prng.chance(0.3)) limits.outcomesPerShardMax = prng.pick([1, 4]);
  if (prng.chance(0.2)) {
    limits.dedupWindowMs = prng.pick([2_000, 15_000]);
    limits.requestIdFutureMs = limits.dedupWindowMs / 2;
  }
  if (prng.chance(0.2)) limits.appendRecordsMax = prng.pick([1, 3]);
  if (prng.chance(0.1)) limits.inflightRecordsMax = Math.max(limits.appendRecordsMax ?? 0, prng.pick([2, 8]));
  if (limits.inflightRecordsMax !== undefined) limits.appendRecordsMax ??= limits.inflightRecordsMax;
  if (prng.chance(0.1)) limits.mailboxMax = prng.pick([1, 4]);
  if (prng.chance(0.1)) limits.timersPerEntityMax = 3;
  if (prng.chance(0.1)) limits.outboxPerEntityMax = 4;
  if (prng.chance(0.2)) limits.triesMax = prng.pick([1, 2]);
  return limits;
}

/** Clocks that are off by more than the dedup window allows get every command refused, as they should. */
function toleratedMs(limits: Partial<Limits>): number {
  return Math.min(20_000, (limits.dedupWindowMs ?? 600_000) / 4);
}
