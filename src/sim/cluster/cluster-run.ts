/**
 * Runs one seed of a cluster: starts everything, lets faults come, then has every shard served and everything come to rest, and looks at
 * what is left.
 *
 * Invariant: as in `run.ts`: the machine's event loop runs what is ready and nothing else, so a seed has one trace.
 */

import { coordinatorDefault } from "../../core/cluster/coordinator-state.ts";
import { formatRef, shardOf } from "../../model/ids.ts";
import { limitsDefault } from "../../model/limits.ts";
import type { CallResult, Principal } from "../../model/records.ts";
import { Prng } from "../../std/prng.ts";
import { allEntities, drawCall, drawEntity, startCall, type Wanted } from "../client.ts";
import { replayAfresh } from "../fresh-replay.ts";
import { guarded, Pace } from "../pace.ts";
import { Witness } from "../witness.ts";
import { type Violation, World } from "../world.ts";
import { ClusterFaults } from "./cluster-faults.ts";
import { ClusterHistory } from "./cluster-history.ts";
import { type ClusterSwarm, makeClusterSwarm } from "./cluster-swarm.ts";
import { ClusterWatcher } from "./cluster-watcher.ts";
import { Copies } from "./copies.ts";
import { describeMessage } from "./message-text.ts";
import { Stage } from "./stage.ts";

export interface ClusterRunResult {
  readonly seed: number;
  readonly traceHash: string;
  readonly violations: readonly Violation[];
  readonly counts: World["counts"];
  readonly simulatedMs: number;
  /** How long after the last fault the last shard took a command. */
  readonly servedMs: number;
}

export interface ClusterRunOptions {
  /** Gets every line of the trace. */
  readonly tell?: (line: string) => void;
}

/** After the last fault everything must have come to rest within this. A send's or timer's last retry waits a minute. */
const restWithinMs = 120_000;
/** A node asks for a coordinator that long (`routeWaitMs`), and that one for an answer of the store (`verbTimeoutMs`). */
const verbsWithinMs = limitsDefault.routeWaitMs + coordinatorDefault.verbTimeoutMs;
/** A run that makes more events than this goes round in circles. */
const eventsMax = 2_000_000;

export async function runClusterSeed(seed: number, options: ClusterRunOptions = {}): Promise<ClusterRunResult> {
  const swarm = makeClusterSwarm(seed);
  const world = new World(swarm.base, options.tell);
  world.note(JSON.stringify(swarm));
  const simulation = new ClusterSimulation(world, swarm, options.tell);
  await guarded(world, () => simulation.run());
  const { violations, counts, timeline, traceHash } = world;
  return { seed, traceHash, violations, counts, simulatedMs: timeline.nowMs, servedMs: simulation.servedMs };
}

class ClusterSimulation {
  readonly #world: World;
  readonly #swarm: ClusterSwarm;
  readonly #witness: Witness;
  readonly #stage: Stage;
  readonly #faults: ClusterFaults;
  readonly #copies: Copies;
  readonly #history: ClusterHistory;
  readonly #watchers: ClusterWatcher[] = [];
  readonly #pace: Pace;
  #running = 0;
  servedMs = 0;

  constructor(world: World, swarm: ClusterSwarm, tell: ClusterRunOptions["tell"]) {
    this.#world = world;
    this.#pace = new Pace(world, eventsMax);
    this.#swarm = swarm;
    this.#witness = new Witness(world);
    this.#stage = new Stage(world, swarm, this.#witness);
    this.#faults = new ClusterFaults(world, swarm, this.#stage);
    this.#copies = new Copies(world, this.#witness, this.#stage.nodes);
    this.#history = new ClusterHistory(world);
    // Messages are for who reads a trace: they follow from what is in its hash.
    if (tell !== undefined)
      this.#stage.lines.onMessage = (...message) =>
        tell(`${world.timeline.nowMs.toFixed(3)} ${describeMessage(...message)}`);
  }

  async run(): Promise<void> {
    const world = this.#world;
    this.#stage.start();
    for (let index = 0; index < world.swarm.clients; index++) this.#startClient(index);
    for (let index = 0; index < world.swarm.watchers; index++) this.#startWatcher(index);
    if (world.prng.chance(0.5)) this.#readLocally();
    this.#faults.plan();
    for (let look = 0; look < 3; look++)
      world.timeline.after(world.prng.integer(world.swarm.faultsMs), () => this.#copies.compare());
    await this.#pace.until(() => world.timeline.nowMs >= world.swarm.faultsMs);
    this.#faults.stop();
    if (!(await this.#served())) return;
    if (!(await this.#rest("after the faults stopped"))) return;
    this.#probe();
    if (!(await this.#rest("after the last commands"))) return;
    if (!(await this.#followed())) return;
    this.#checkWatchers();
    await this.#readAll();
    this.#copies.compare();
    this.#history.check();
    await this.#checkGrowth();
    // Longer than a call may wait anywhere: what is not answered by now never is.
    this.#stage.checkAnswered();
    replayAfresh(world, this.#witness);
    this.#witness.ledger.checkMoney("at the end");
    this.#witness.ledger.checkRest();
  }

  #startClient(index: number): void {
    const world = this.#world;
    const { swarm } = world;
    const prng = new Prng(world.prng.next());
    const principal: Principal = { kind: "user", id: `client-${index}` };
    const skewMs = prng.between(-swarm.skewMs, swarm.skewMs) / 4;
    let left = swarm.callsPerClient;
    const next = () => {
      if (left-- <= 0) return;
      this.#running++;
      const wanted = this.#draw(prng);
      const told = this.#history.asked(principal.id, wanted);
      const done = (result: CallResult | undefined) => {
        told(result);
        world.timeline.after(prng.integer(swarm.thinkMs + 1), () => {
          this.#running--;
          next();
        });
      };
      startCall(world, this.#stage, { wanted, attempts: swarm.attempts, skewMs, principal, done });
    };
    for (let slot = 0; slot < swarm.window; slot++) next();
  }

  /** Somebody reads from copies while faults last. */
  #readLocally(): void {
    const { timeline, prng, faulty } = this.#world;
    if (!faulty) return;
    timeline.after(prng.between(20, 400), () => {
      this.#stage.readLocal(drawEntity(this.#world, prng));
      this.#readLocally();
    });
  }

  /** Nothing that breaks an entity: that is for the simulator of one node. */
  #draw(prng: Prng): Wanted {
    const wanted = drawCall(this.#world, prng, (entity) => this.#stage.observer.floor(entity));
    if (wanted.name !== "arm") return wanted;
    const { cursed: _cursed, pokes: _pokes, ...input } = wanted.input as Record<string, unknown>;
    return { ...wanted, input };
  }

  #startWatcher(index: number): void {
    const world = this.#world;
    const watcher = new ClusterWatcher(world, this.#stage, {
      entity: drawEntity(world, world.prng),
      viewer: `watcher-${index}`,
    });
    this.#watchers.push(watcher);
    world.timeline.after(world.prng.integer(world.swarm.faultsMs), () => watcher.begin());
  }

  /** Every shard takes a command soon after the last fault. @returns false if not */
  async #served(): Promise<boolean> {
    const { timeline, swarm } = this.#world;
    const fromMs = timeline.nowMs;
    const open = new Set(Array.from({ length: swarm.shardCount }, (_, shard) => shard));
    const ask = (shard: number) => {
      if (!open.has(shard)) return;
      const wanted: Wanted = {
        entity: entityOf(shard, swarm.shardCount),
        kind: "command",
        name: "add",
        input: { amount: 1 },
      };
      // Many calls, so that none waits for the patience of a client.
      const done = (result: CallResult | undefined) => {
        this.#running--;
        if (result?.ok === true) open.delete(shard);
      };
      this.#running++;
      startCall(this.#world, this.#stage, { wanted, attempts: 1, skewMs: 0, principal: probe, done });
      timeline.after(200, () => ask(shard));
    };
    for (const shard of [...open]) ask(shard);
    const untilMs = fromMs + 2 * this.#swarm.leaseMs + recoveryMs;
    await this.#pace.until(() => open.size === 0 || timeline.nowMs > untilMs);
    this.servedMs = timeline.nowMs - fromMs;
    if (open.size > 0 && this.#world.violations.length === 0)
      this.#world.violated(
        "every shard is served after the last fault",
        `not so: shards ${[...open].join()}, ${this.servedMs} ms after`,
      );
    return this.#world.violations.length === 0;
  }

  /** Lets everything that is under way come to its end. */
  #rest(when: string): Promise<boolean> {
    const { ledger } = this.#witness;
    return this.#pace.rest(when, {
      isQuiet: () => this.#running === 0 && this.#stage.network.underway === 0 && ledger.open === 0,
      open: () => `${this.#running} calls, ${ledger.describeOpen()}`,
      withinMs: restWithinMs,
    });
  }

  /** Operators take back what they asked for; then every shard has as many standbys as it may, and they are up to date. */
  async #followed(): Promise<boolean> {
    const { timeline, swarm } = this.#world;
    // A verb that was asked for while faults lasted may be on its way for so long, and would come after what takes it back.
    await this.#pace.pass(verbsWithinMs);
    this.#takeBack();
    await this.#pace.pass(5_000);
    const wanted = Math.min(this.#swarm.standbys, this.#swarm.nodes - 1);
    const missing = () =>
      Array.from({ length: swarm.shardCount }, (_, shard) => shard).filter(
        (shard) => this.#copies.upToDate(shard) !== wanted,
      );
    const untilMs = timeline.nowMs + followedWithinMs;
    while (missing().length > 0 && timeline.nowMs < untilMs && this.#world.violations.length === 0)
      await this.#pace.pass(1_000);
    if (missing().length > 0 && this.#world.violations.length === 0)
      this.#world.violated("every shard has its standbys at rest", `not so: shards ${missing().join()}`);
    return this.#world.violations.length === 0;
  }

  #takeBack(): void {
    const { swarm, timeline } = this.#world;
    const shards = Array.from({ length: swarm.shardCount }, (_, shard) => shard);
    const insist = (ask: Parameters<ClusterFaults["verb"]>[1]) => {
      const node = this.#stage.any();
      const again = () => void timeline.after(500, () => insist(ask));
      if (node === undefined) return again();
      this.#faults.verb(node, ask, (well) => well || again());
    };
    insist((cluster) => cluster.pin(shards, undefined));
    for (const { name } of this.#stage.nodes) insist((cluster) => cluster.drain(name, false));
  }

  /** At rest nothing gathers: timers, messages under way. */
  async #checkGrowth(): Promise<void> {
    const { timeline, violations } = this.#world;
    await this.#pace.pass(4_000);
    const before = timeline.size;
    await this.#pace.pass(4_000);
    if (violations.length === 0 && timeline.size > before + 10 * this.#swarm.nodes)
      this.#world.violated("at rest nothing grows", `${before} things were planned, then ${timeline.size}`);
  }

  /** Every entity takes a command again. */
  #probe(): void {
    const commands: Readonly<Record<string, readonly [string, unknown]>> = {
      wallet: ["grant", { amount: 1 }],
      counter: ["add", { amount: 1 }],
      alarm: ["arm", { name: "probe", afterMs: 10, repeat: 0 }],
    };
    for (const entity of allEntities(this.#world.swarm)) {
      const [name, input] = commands[entity.type] as readonly [string, unknown];
      this.#insist({ entity, kind: "command", name, input }, (result) => result.ok);
    }
  }

  /** Calls until it is answered as wanted, with new request ids. */
  #insist(wanted: Wanted, fine: (result: CallResult) => boolean, then: (result: CallResult) => void = () => {}): void {
    const world = this.#world;
    this.#running++;
    const done = (result: CallResult | undefined) => {
      this.#running--;
      if (result !== undefined && fine(result)) return then(result);
      this.#running++;
      world.timeline.after(500, () => {
        this.#running--;
        this.#insist(wanted, fine, then);
      });
    };
    startCall(world, this.#stage, { wanted, attempts: 20, skewMs: 0, principal: probe, done });
  }

  #checkWatchers(): void {
    for (const watcher of this.#watchers) {
      const entity = formatRef(watcher.entity);
      const { version } = this.#witness.entity(entity);
      if (watcher.last !== version) {
        this.#world.violated("watchers see the last state", `${entity} is at ${version}, shown was ${watcher.last}`);
      }
      watcher.close();
    }
  }

  /** State and version of every entity, as the nodes tell. */
  async #readAll(): Promise<void> {
    for (const entity of allEntities(this.#world.swarm)) {
      const wanted: Wanted = { entity, kind: "query", name: "state", input: undefined };
      this.#insist(
        wanted,
        (result) => result.ok,
        (result) => {
          const { version } = this.#witness.entity(formatRef(entity));
          if (result.version === version) return;
          const detail = `at rest ${formatRef(entity)} shows ${result.version}, not ${version}`;
          this.#world.violated("reads are not stale", detail);
        },
      );
    }
    await this.#rest("while everything is read");
  }
}

const probe: Principal = { kind: "user", id: "probe" };
/** Beside two leases: backoffs of what failed, dials, and the replay. */
const recoveryMs = 10_000;

/** A node that was suspected rests for a minute; a move that comes to nothing is taken back after ten seconds. */
const followedWithinMs = 90_000;

/** A counter of that shard that no client knows. */
function entityOf(shard: number, shardCount: number): { type: string; key: string } {
  for (let index = 0; ; index++) {
    const key = `p${index}`;
    if (shardOf("counter", key, shardCount) === shard) return { type: "counter", key };
  }
}
