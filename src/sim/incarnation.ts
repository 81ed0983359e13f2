/**
 * One life of the node: from its start over its log to its end, by a crash, a stop, or because it failed.
 *
 * Invariant: after its end nothing of it reaches anybody; its timers do not run and its calls are not answered.
 */
import { VirtualClock, wallDefaultMs } from "../adapters/virtual/clock.ts";
import type { CallAttempt } from "../model/entity.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { ShardLog } from "../ports/log.ts";
import { type OpenFeeds, openFeeds } from "../propagation/feeds.ts";
import type { Subscribers } from "../propagation/subscribers.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { drawRetention } from "./archive.ts";
import { type Deliver, makeCourier, type Parcel } from "./courier.ts";
import type { Engine, Opening } from "./engines.ts";
import { brokenEntities, entities } from "./entities.ts";
import type { Holder, Kept } from "./kept.ts";
import { saplingOf } from "./sapling.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

export interface IncarnationOptions {
  readonly world: World;
  readonly engine: Engine;
  readonly kept: Kept;
  readonly witness: Witness;
  readonly number: number;
  readonly onServing: () => void;
  /** Makes the subscribers of a node that serves. */
  readonly subscribe: (life: Incarnation, node: HoldfastNode, feeds: OpenFeeds) => Subscribers | undefined;
  /** It ended by itself: did not start, or failed. */
  readonly onEnded: () => void;
}

export class Incarnation {
  readonly clock: VirtualClock;
  node: HoldfastNode | undefined;
  feeds: OpenFeeds | undefined;
  subscribers: Subscribers | undefined;
  alive = true;
  /** The node said that it has stopped answering. */
  failed = false;
  readonly #options: IncarnationOptions;
  readonly #opening: Opening;
  readonly #generation: number;
  readonly #sawFull: () => boolean;

  constructor(options: IncarnationOptions, sawFull: () => boolean) {
    const { world, engine } = options;
    this.#options = options;
    this.#sawFull = sawFull;
    const { timeline, prng, swarm } = world;
    this.clock = new VirtualClock({
      timeline,
      wallMs: wallDefaultMs + world.wallErrorMs,
      deferMs: () => (swarm.deferMs === 0 ? 0 : prng.integer(swarm.deferMs)),
    });
    this.#opening = engine.open((ms, run) => void this.clock.after(ms, run));
    world.brokenCode = world.deployBroken || world.unlucky(swarm.brokenCode);
    if (world.brokenCode) world.note("this deployment is broken");
    this.#generation = world.deployments.deploy();
    void this.#start(world.brokenCode ? brokenEntities : entities);
  }

  async #start(deployed: typeof entities): Promise<void> {
    const { world, witness, onServing, number } = this.#options;
    try {
      const { archive } = this.#options.kept;
      const log = archive.watch(witness.watch(this.#guard(await this.#opening.log)), witness, this.clock);
      this.node = await startNode({
        entities: [
          ...deployed,
          saplingOf(this.#generation),
          makeCourier((parcel, attempt) => this.#deliver(parcel, attempt)),
        ],
        log,
        ...this.#options.kept.open(this.#holder()),
        retention: drawRetention(world.swarm.seed),
        held: (shard) => this.#held(shard),
        clock: this.clock,
        random: { bytes: (count) => world.prng.bytes(count) },
        shardCount: world.swarm.shardCount,
        limits: world.swarm.limits,
        name: `node-${number}`,
        onCrash: (error) => this.#crashed(error),
      });
    } catch (error) {
      if (this.alive) this.#ended("did not start", error);
      return;
    }
    if (!this.alive || this.failed) return;
    this.feeds = openFeeds(this.node.source);
    this.subscribers = this.#options.subscribe(this, this.node, this.feeds);
    world.note(`node ${number} serves`);
    world.deployments.served();
    onServing();
  }

  #held(shard: ShardId): Offset | undefined {
    if (this.#options.world.swarm.downstream.subscribers.length === 0) return undefined;
    return this.subscribers === undefined ? 1 : this.subscribers.held(shard);
  }

  #holder(): Holder {
    const isAlive = () => this.alive;
    return {
      get alive() {
        return isAlive();
      },
      after: (ms, run) => void this.clock.after(ms, run),
    };
  }

  /** A process that ended asks nobody for anything. */
  async #deliver(parcel: Parcel, attempt: CallAttempt): ReturnType<Deliver> {
    return this.alive && !this.failed ? await this.#options.world.outside.deliver(parcel, attempt) : await never();
  }

  /** Answers of the log reach the node only while it lives. */
  #guard(log: ShardLog): ShardLog {
    const alive = async <T>(answer: Promise<T>): Promise<T> => {
      try {
        const value = await answer;
        return this.alive ? value : await never<T>();
      } catch (error) {
        if (!this.alive) await never();
        throw error;
      }
    };
    return {
      tail: (shards) => alive(log.tail(shards)),
      claim: (claims) => alive(log.claim(claims)),
      append: (appends) => alive(log.append(appends)),
      read: (from) => log.read(from),
      trim: (shard, before) => log.trim(shard, before),
      close: () => alive(log.close()),
    };
  }

  #crashed(error: unknown): void {
    if (!this.alive) return;
    this.failed = true;
    this.#ended("crashed", error);
  }

  #ended(how: string, error: unknown): void {
    const { world, number, onEnded } = this.#options;
    const code = isHoldfastError(error) ? error.code : "none";
    world.note(`node ${number} ${how}: ${code} ${error instanceof Error ? error.message : String(error)}`);
    if (!this.#excused(code)) {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      world.violated("the node does not fail by itself", `it ${how}: ${code} ${detail}`);
    }
    this.kill();
    onEnded();
  }

  /** What may end a node: a device that broke, no space to claim, and others that claim all the time. */
  #excused(code: string): boolean {
    const { swarm, timeline } = this.#options.world;
    if (code === "log-failed") return this.#opening.broke;
    if (code === "disk-full") return this.#sawFull();
    if (code === "unknown-event") return this.#options.world.deployments.refused();
    // a start that faults delayed may give up a little after the last of them
    const late = timeline.nowMs > swarm.faultsMs + startMsMax;
    return code === "fenced" && !late && (swarm.zombies > 0 || swarm.log.unknown > 0);
  }

  /** Ends the process. */
  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.clock.stop();
    this.#opening.kill();
  }

  /** Stops in good order, then ends. */
  stop(then: () => void): void {
    const { node } = this;
    if (node === undefined) return this.kill();
    const finish = () => {
      if (!this.alive) return;
      this.kill();
      then();
    };
    const ended = this.subscribers?.stop() ?? Promise.resolve();
    void ended.then(() => {
      this.feeds?.close();
      node.stop().then(finish, finish);
    });
  }
}

/** What five attempts to claim may take. */
const startMsMax = 20_000;

function never<T>(): Promise<T> {
  return new Promise<T>(() => {});
}
