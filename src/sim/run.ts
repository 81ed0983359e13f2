/**
 * Runs one seed: starts everything, lets faults come, then lets everything come to rest, and looks at what is left.
 *
 * Invariant: the only real time in it is that of the machine's event loop, which is asked to run what is ready and nothing
 * else; so a seed has one trace.
 */
import { formatRef } from "../model/ids.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { Prng } from "../std/prng.ts";
import { startCallOperator } from "./call-operator.ts";
import { allEntities, drawCall, drawEntity, startCall, type Wanted } from "./client.ts";
import { type DamageCounts, damageCopies } from "./damage.ts";
import { Copies } from "./damage-kinds.ts";
import { type Engine, makeEngine, simulatedSegmentBytes } from "./engines.ts";
import { planFaults, stopFaults } from "./faults.ts";
import { Downstream } from "./feeds/downstream.ts";
import { replayAfresh } from "./fresh-replay.ts";
import { Operator } from "./operator.ts";
import { guarded, Pace } from "./pace.ts";
import { Server } from "./server.ts";
import { makeSwarm, type SwarmOptions } from "./swarm.ts";
import { Watcher } from "./watcher.ts";
import { Witness } from "./witness.ts";
import { type Violation, World } from "./world.ts";

export interface RunResult {
  readonly seed: number;
  readonly engine: "log" | "disk";
  readonly traceHash: string;
  readonly violations: readonly Violation[];
  readonly counts: World["counts"];
  readonly damage: DamageCounts;
  readonly simulatedMs: number;
}

export interface RunOptions extends SwarmOptions {
  /** Gets every line of the trace. */
  readonly tell?: (line: string) => void;
}

/** After the last fault everything must have come to rest within this. A send's or timer's last retry waits a minute. */
const restWithinMs = 600_000;
/** A run that makes more events than this goes round in circles. */
const eventsMax = 400_000;

export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const swarm = makeSwarm(seed, options);
  const world = new World(swarm, options.tell);
  world.note(JSON.stringify(swarm));
  const simulation = new Simulation(world);
  await guarded(world, async () => {
    await simulation.run();
    if (world.violations.length === 0) await simulation.damage();
  });
  const { violations, counts, damage, timeline, traceHash } = world;
  return { damage, seed, engine: swarm.engine, traceHash, violations, counts, simulatedMs: timeline.nowMs };
}

class Simulation {
  readonly #world: World;
  readonly #witness: Witness;
  readonly #engine: Engine;
  readonly #server: Server;
  readonly #watchers: Watcher[] = [];
  readonly #downstream: Downstream;
  readonly #pace: Pace;
  #running = 0;

  constructor(world: World) {
    this.#world = world;
    this.#pace = new Pace(world, eventsMax);
    this.#witness = new Witness(world);
    this.#engine = makeEngine(world);
    this.#server = new Server(world, this.#engine, this.#witness);
    this.#downstream = new Downstream(world, this.#server, this.#witness);
  }

  async run(): Promise<void> {
    const world = this.#world;
    this.#server.start();
    for (let index = 0; index < world.swarm.clients; index++) this.#startClient(index);
    for (let index = 0; index < world.swarm.watchers; index++) this.#startWatcher(index);
    this.#downstream.begin();
    new Operator(world, this.#server, this.#witness).begin();
    planFaults(world, this.#server, this.#engine, this.#witness);
    world.outside.crash = () => this.#server.crash("process");
    if (world.swarm.couriers > 0) startCallOperator(world, this.#server);
    await this.#pace.until(() => world.timeline.nowMs >= world.swarm.faultsMs);
    stopFaults(world, this.#server);
    this.#server.start();
    if (!(await this.#rest("after the faults stopped"))) return;
    if (!(await this.#deployBroken())) return;
    this.#probe();
    this.#downstream.probed = true;
    if (!(await this.#rest("after the last commands"))) return;
    await this.#pace.pass(1_000);
    this.#checkWatchers();
    this.#downstream.checkLast();
    const before = await this.#readAll();
    replayAfresh(world, this.#witness);
    this.#server.crash(world.swarm.engine === "disk" && world.prng.chance(0.5) ? "power" : "process");
    this.#server.kept.loseAtLast();
    this.#downstream.goBack();
    this.#server.start();
    if (!(await this.#rest("after the last restart"))) return;
    const after = await this.#readAll();
    if (before !== after) world.violated("a restart changes nothing", `before ${before}, after ${after}`);
    await this.#readPast();
    this.#downstream.checkLast();
    await this.#wait(this.#downstream.tryForged());
    this.#witness.ledger.checkMoney("at the end");
    this.#witness.ledger.checkRest();
    this.#checkClaims();
  }

  /** Damages copies of what this run has stored. */
  async damage(): Promise<void> {
    const prng = new Prng(this.#world.swarm.seed ^ 0x64616d61);
    if (!prng.chance(0.3)) return;
    this.#server.crash("process");
    const parts = () => ({
      ...this.#server.kept.copies(),
      log: this.#engine.copy(),
      shardCount: this.#world.swarm.shardCount,
      segmentBytes: simulatedSegmentBytes,
    });
    await damageCopies(this.#world, this.#witness, () => new Copies(parts()), prng);
  }

  /** Whatever the faults made of the run, its log is replayed once by code that cannot evolve all of it. */
  async #deployBroken(): Promise<boolean> {
    const world = this.#world;
    if (world.swarm.brokenCode === 0) return true;
    world.deployBroken = true;
    this.#server.crash("process");
    this.#server.start();
    const resting = await this.#rest("after a broken deployment");
    world.deployBroken = false;
    return resting;
  }

  /** Broken entities cost no shard a restart: without trouble at the log, each start claims a shard once at most. */
  #checkClaims(): void {
    const { swarm, counts } = this.#world;
    if (swarm.zombies > 0 || swarm.log.unknown > 0) return;
    // An image that turned bad does cost its shard one.
    if (swarm.kept.damage > 0) return;
    this.#witness.shards.forEach(({ claims }, shard) => {
      if (claims > counts.restarts + 1)
        this.#world.violated("a broken entity costs no restart", `shard ${shard}: ${claims} claims`);
    });
  }

  #startClient(index: number): void {
    const world = this.#world;
    const { swarm } = world;
    const prng = new Prng(world.prng.next());
    const principal: Principal = { kind: "user", id: `client-${index}` };
    const skewMs = swarm.skewMs === 0 ? 0 : prng.between(-swarm.skewMs, swarm.skewMs);
    let left = swarm.callsPerClient;
    const next = () => {
      if (left-- <= 0) return;
      this.#running++;
      const wanted = drawCall(world, prng, (entity) => this.#server.observer.floor(entity));
      const done = () => {
        world.timeline.after(prng.integer(swarm.thinkMs + 1), () => {
          this.#running--;
          next();
        });
      };
      startCall(world, this.#server, { wanted, attempts: swarm.attempts, skewMs, principal, done });
    };
    for (let slot = 0; slot < swarm.window; slot++) next();
  }

  #startWatcher(index: number): void {
    const world = this.#world;
    const drawn = drawEntity(world, world.prng);
    // of saplings there is no view: what it shows depends on the deployment
    const entity = drawn.type === "sapling" ? { type: "wallet", key: "till" } : drawn;
    const watcher = new Watcher(world, this.#server, { entity, viewer: `watcher-${index}` });
    this.#watchers.push(watcher);
    world.timeline.after(world.prng.integer(world.swarm.faultsMs), () => watcher.begin());
  }

  /** Lets everything that is under way come to its end. */
  #rest(when: string): Promise<boolean> {
    const [server, { ledger }, downstream] = [this.#server, this.#witness, this.#downstream];
    return this.#pace.rest(when, {
      isQuiet: () => {
        if (!server.serving || this.#running > 0 || server.network.underway > 0) return false;
        return ledger.open === 0 && server.parked === 0 && downstream.open === undefined;
      },
      open: () =>
        `${this.#running} calls, ${ledger.describeOpen()}, ${server.serving ? "serving" : "not serving"}, feeds: ${downstream.open ?? "all given"}`,
      withinMs: restWithinMs,
    });
  }

  /** Every entity takes a command again. */
  #probe(): void {
    const commands: Readonly<Record<string, readonly [string, unknown]>> = {
      wallet: ["grant", { amount: 1 }],
      counter: ["add", { amount: 1 }],
      alarm: ["arm", { name: "probe", afterMs: 10, repeat: 0 }],
      fragile: ["poke", { how: "fine" }],
      sapling: ["grow", { by: 1 }],
      courier: ["order", { failure: "settle", attempts: 2, timeoutMs: 500, quiet: false }],
    };
    for (const entity of allEntities(this.#world.swarm)) {
      const [name, input] = commands[entity.type] as readonly [string, unknown];
      this.#insist({ entity, kind: "command", name, input }, (result) => result.ok);
    }
  }

  /** Calls until it is answered as wanted, with new request ids. */
  #insist(wanted: Wanted, fine: (result: CallResult) => boolean, then: (result: CallResult) => void = () => {}): void {
    const principal: Principal = { kind: "user", id: "probe" };
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
    startCall(world, this.#server, { wanted, attempts: 20, skewMs: 0, principal, done });
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

  async #readPast(): Promise<void> {
    await this.#wait(this.#server.kept.archive.readAll());
  }

  async #wait(work: Promise<void>): Promise<void> {
    let done = false;
    void work.finally(() => {
      done = true;
    });
    await this.#pace.until(() => done);
  }

  /** State and version of every entity, as the node tells. */
  async #readAll(): Promise<string> {
    const answers: string[] = [];
    const all = allEntities(this.#world.swarm);
    all.forEach((entity, index) => {
      const wanted: Wanted = { entity, kind: "query", name: "state", input: undefined };
      this.#insist(
        wanted,
        (result) => result.ok,
        (result) => {
          // of a sapling another state may be kept, which the observer has looked at
          const told = entity.type === "sapling" ? result.version : JSON.stringify(result);
          answers[index] = `${formatRef(entity)} ${told}`;
          const { version } = this.#witness.entity(formatRef(entity));
          if (result.version !== version)
            this.#world.violated(
              "reads are not stale",
              `at rest ${formatRef(entity)} shows ${result.version}, not ${version}`,
            );
        },
      );
    });
    await this.#rest("while everything is read");
    return answers.join("; ");
  }
}
