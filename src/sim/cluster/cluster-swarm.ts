/**
 * What one seed of a cluster simulates: how many nodes and shards, how slow everything is, and which faults come how often.
 *
 * Invariant: a function of the seed, and of nothing else. Most faults are off in most seeds, as in `swarm.ts`.
 */
import { Prng } from "../../std/prng.ts";
import { makeSwarm, type Swarm } from "../swarm.ts";

/** Faults that come at some moment of a run. */
export const faultKinds = [
  "crash",
  "pause",
  "cut",
  "cutOneWay",
  "isolate",
  "reset",
  "slowLine",
  "jump",
  "database",
  "logOutage",
  "coordinationOutage",
  "move",
  "drain",
  "pin",
  "stop",
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** How long an answer takes: usually within the range, now and then as long as a stall. */
export interface Slowness {
  readonly rangeMs: readonly [number, number];
  readonly stall: number;
  readonly stallMs: number;
}

export interface ClusterSwarm {
  /** The service, its clients and their network, and the log's faults. */
  readonly base: Swarm;
  readonly nodes: number;
  readonly standbys: number;
  readonly leaseMs: number;
  /** Between two looks of a node at the picture. */
  readonly pollMs: number;
  readonly peers: Slowness;
  readonly coordination: Slowness;
  /** Of the calls of coordination, so many have no answer; half of these were carried out. */
  readonly coordinationLoss: number;
  /** Of each node's clock: its rate is off by at most this. */
  readonly drift: number;
  /** How long a call waits for a database that is not there. */
  readonly patienceMs: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** A pause takes at most this. */
  readonly pauseMs: number;
  /** A cut, an outage and a slow line last at most this. */
  readonly troubleMs: number;
}

export function makeClusterSwarm(seed: number): ClusterSwarm {
  const prng = new Prng(seed ^ 0x636c7573);
  const calm = prng.chance(0.05);
  const nodes = prng.pick([2, 2, 3, 3, 3, 4, 5]);
  const leaseMs = prng.pick([500, 1_000, 2_000]);
  const slowness = (ranges: readonly number[], stallMs: number): Slowness => ({
    rangeMs: [0, prng.pick(ranges)],
    stall: !calm && prng.chance(0.3) ? 0.03 : 0,
    stallMs,
  });
  return {
    base: serviceOf(seed, prng, calm),
    nodes,
    standbys: prng.pick([0, 1, 1, 1, 2]),
    leaseMs,
    pollMs: prng.pick([50, 100]),
    peers: slowness([0, 1, 5, 30], prng.pick([100, 900])),
    coordination: slowness([0, 2, 20], prng.pick([200, leaseMs])),
    coordinationLoss: !calm && prng.chance(0.3) ? prng.fraction() * 0.1 : 0,
    drift: prng.pick([0, 0, 0.001, 0.05]),
    patienceMs: prng.pick([500, 3_000, 60_000]),
    faults: faultMix(prng, calm),
    pauseMs: prng.pick([300, leaseMs, 3 * leaseMs]),
    troubleMs: prng.pick([400, 2_000, 6_000]),
  };
}

/** The service of the simulator of one node, without what that one is for: its disks, deployments, feeds and broken entities. */
function serviceOf(seed: number, prng: Prng, calm: boolean): Swarm {
  const drawn = makeSwarm(seed, { engine: "log" });
  const { triesMax: _tries, dedupWindowMs: _window, requestIdFutureMs: _future, ...limits } = drawn.limits;
  // A log is trimmed at all only where request ids are remembered for a short time; then clocks must be right.
  const forgets = drawn.kept.snapshots && prng.chance(0.6);
  const dedup = forgets ? { dedupWindowMs: 8_000, requestIdFutureMs: 4_000 } : {};
  return {
    ...drawn,
    shardCount: prng.pick([1, 2, 3, 4, 6, 8, 16]),
    counters: prng.between(1, 5),
    fragiles: 0,
    couriers: 0,
    clients: prng.between(2, 5),
    watchers: prng.between(0, 4),
    callsPerClient: prng.between(8, 40),
    window: prng.pick([1, 2, 4]),
    thinkMs: prng.pick([5, 50, 300, 600]),
    timeoutMs: prng.pick([400, 2_000, 7_000]),
    faultsMs: prng.pick([4_000, 8_000, 15_000]),
    // clocks of nodes are never the same: ids are judged by several
    skewMs: forgets ? 100 : Math.max(1, drawn.skewMs),
    jumpMs: forgets ? 100 : Math.min(drawn.jumpMs, 20_000),
    relaxed: 0,
    brokenCode: 0,
    kept: { ...drawn.kept, damage: 0, stale: 0, spoilt: 0, zombies: 0, lost: calm ? 0 : drawn.kept.lost },
    evolution: { saplings: 0, first: 0, upgrade: 0, rollback: 0 },
    feeds: { ...drawn.feeds, followers: 0 },
    downstream: { ...drawn.downstream, subscribers: [] },
    log: calm ? drawn.log : { ...drawn.log, delayMs: [0, prng.pick([0, 2, 10, 40])] },
    limits: { ...limits, ...dedup },
  };
}

function faultMix(prng: Prng, calm: boolean): Readonly<Record<FaultKind, number>> {
  const some = (probability: number, most: number) => (!calm && prng.chance(probability) ? prng.between(1, most) : 0);
  return {
    crash: some(0.5, 4),
    pause: some(0.4, 4),
    cut: some(0.3, 4),
    cutOneWay: some(0.3, 4),
    isolate: some(0.3, 3),
    reset: some(0.3, 10),
    slowLine: some(0.3, 5),
    jump: some(0.3, 4),
    database: some(0.2, 2),
    logOutage: some(0.2, 2),
    coordinationOutage: some(0.2, 2),
    move: some(0.6, 20),
    drain: some(0.3, 3),
    pin: some(0.2, 3),
    stop: some(0.3, 3),
  };
}
