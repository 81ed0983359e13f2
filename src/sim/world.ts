/**
 * What everything in one simulation shares: its time, its chance, its trace, and what was found wrong.
 *
 * Invariant: the trace tells every event in order; its hash is a function of the seed and the code.
 */
import { wallDefaultMs } from "../adapters/virtual/clock.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { Prng } from "../std/prng.ts";
import type { DamageCounts } from "./damage.ts";
import { Deployments } from "./deployments.ts";
import { Outside } from "./outside.ts";
import type { Swarm } from "./swarm.ts";

/** Something that must never happen. `promise` names the checker. */
export interface Violation {
  readonly promise: string;
  readonly detail: string;
  readonly atMs: number;
}

/**
 * `early`: answers before their record was durable; `lost`: those of them that a crash took back; `trims`: beginnings of a
 * log that were seen to be gone; `refusals`: starts of code that does not know what there is; `feedItems`: given to followers;
 * `cursorsLost`: followers whose records were gone; `sinkItems`: taken by sinks.
 */
export interface Counts {
  calls: number;
  records: number;
  restarts: number;
  faults: number;
  early: number;
  lost: number;
  snapshots: number;
  trims: number;
  refusals: number;
  feedItems: number;
  cursorsLost: number;
  sinkItems: number;
}

export function noCounts(): Counts {
  return {
    calls: 0,
    records: 0,
    restarts: 0,
    faults: 0,
    early: 0,
    lost: 0,
    snapshots: 0,
    trims: 0,
    refusals: 0,
    feedItems: 0,
    cursorsLost: 0,
    sinkItems: 0,
  };
}

export class World {
  readonly swarm: Swarm;
  readonly timeline = new Timeline();
  readonly prng: Prng;
  readonly outside: Outside;
  readonly violations: Violation[] = [];
  readonly counts = noCounts();
  /** What came of damage, by its kind. */
  readonly damage: DamageCounts = {};
  readonly deployments: Deployments;
  /** Faults may come: false in the last phase, in which everything must come to rest. */
  faulty = true;
  /** The deployment that runs has a bug in an evolve. */
  brokenCode = false;
  /** The next start deploys that code. */
  deployBroken = false;
  /** How far the server's wall clock is off. */
  wallErrorMs = 0;
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  readonly #tell: ((line: string) => void) | undefined;

  constructor(swarm: Swarm, tell?: (line: string) => void) {
    this.swarm = swarm;
    this.#tell = tell;
    this.prng = new Prng(swarm.seed * 2 + 1);
    this.outside = new Outside(this);
    this.deployments = new Deployments(this);
  }

  /** The true wall time, ms since 1970. */
  get wallMs(): number {
    return Math.floor(wallDefaultMs + this.timeline.nowMs);
  }

  /** Adds a line to the trace. */
  note(line: string): void {
    const stamped = `${this.timeline.nowMs.toFixed(3)} ${line}`;
    for (let index = 0; index < stamped.length; index++) {
      const unit = stamped.charCodeAt(index);
      this.#low = Math.imul(this.#low ^ unit, 0x01000193);
      this.#high = Math.imul(this.#high ^ unit, 0x5bd1e995) ^ (this.#low >>> 13);
    }
    this.#tell?.(stamped);
  }

  get traceHash(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("");
  }

  violated(promise: string, detail: string): void {
    this.violations.push({ promise, detail, atMs: this.timeline.nowMs });
    this.note(`VIOLATED ${promise}: ${detail}`);
  }

  /** Something that may go wrong, while faults last. */
  unlucky(probability: number): boolean {
    return this.faulty && probability > 0 && this.prng.chance(probability);
  }
}
