/**
 * The simulated cluster as its clients meet it: a call goes over their network to some node, and every answer is checked.
 *
 * Invariant: what is told is checked at the moment a node tells it, against what is durable then.
 */
import { type EntityRef, formatRef, shardOf } from "../../model/ids.ts";
import type { CallResult, CommandCall, LocalAnswer, QueryCall } from "../../model/records.ts";
import { SimNetwork } from "../network.ts";
import { Observer } from "../observer.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import { ClusterKept } from "./cluster-kept.ts";
import type { ClusterSwarm } from "./cluster-swarm.ts";
import { Database } from "./database.ts";
import { Lines } from "./lines.ts";
import { SimNode } from "./sim-node.ts";

/** Between an answer and its caller: turns of the event loop. */
const turnsMs = 30;

export class Stage {
  readonly observer: Observer;
  readonly network: SimNetwork;
  readonly database: Database;
  readonly lines: Lines;
  readonly nodes: readonly SimNode[];
  readonly #world: World;
  readonly #swarm: ClusterSwarm;
  readonly #witness: Witness;
  /** Calls that a node has and has not answered. */
  readonly #open = new Set<{ readonly what: string; readonly process: SimNode["process"]; count: number }>();

  constructor(world: World, swarm: ClusterSwarm, witness: Witness) {
    this.#world = world;
    this.#swarm = swarm;
    this.#witness = witness;
    this.observer = new Observer(world, witness);
    this.network = new SimNetwork(world);
    this.database = new Database(world, swarm, witness);
    this.lines = new Lines(world, swarm);
    const kept = new ClusterKept(world);
    const parts = { world, swarm, database: this.database, lines: this.lines, kept };
    this.nodes = Array.from({ length: swarm.nodes }, (_, index) => new SimNode(`n${index}`, parts));
  }

  start(): void {
    for (const node of this.nodes) this.#world.timeline.after(this.#world.prng.integer(200), () => node.start());
  }

  execute({ call, floor }: { call: CommandCall; floor: number }, answer: (result: CallResult) => void): void {
    this.#carry((node) => {
      const input: unknown = typeof call.input === "object" ? { ...call.input } : call.input;
      const what = `${call.command} ${formatRef(call.entity)} ${call.requestId.slice(-6)}`;
      const answered = this.#begun(node, what, (result) => {
        this.observer.replied(call, result, floor);
        this.network.carry(() => answer(result));
      });
      node.cluster?.service.execute({ ...call, input }, answered);
    });
  }

  query(call: QueryCall, answer: (result: CallResult) => void): void {
    this.#carry((node) => {
      const floor = this.observer.floor(formatRef(call.entity));
      const answered = this.#begun(node, `${call.query} ${formatRef(call.entity)}`, (result) => {
        this.observer.answered(call, result, floor);
        this.network.carry(() => answer(result));
      });
      node.cluster?.service.query(call, answered);
    });
  }

  /** A reader beside a node, who is content with what that has a copy of. */
  readLocal(entity: EntityRef): void {
    const node = this.any();
    const { prng, timeline } = this.#world;
    const lagMs = prng.pick([0, 100, 1_000, 10_000]);
    node?.process?.run(() => {
      const { process } = node;
      const pauses = process?.pauses;
      const askedMs = timeline.nowMs;
      const floor = this.observer.floor(formatRef(entity));
      const principal = { kind: "user", id: "reader" } as const;
      const call = { entity, query: "state", input: undefined, principal, consistency: "local", lagMs } as const;
      const answered = this.#begun(node, `local state ${formatRef(entity)}`, (result) => {
        const local = result.ok ? result.local : undefined;
        this.observer.answered(call, result, local === undefined ? floor : 0);
        if (!result.ok || local === undefined) return;
        this.#checkComplete(entity, result.version, local.offset);
        if (process?.pauses === pauses) this.#checkLag(entity, local, askedMs, lagMs);
      });
      node.cluster?.service.query(call, answered);
    });
  }

  /** A copy with all records below an offset shows the last state of those. */
  #checkComplete(entity: EntityRef, version: number, offset: number): void {
    for (const newer of this.#witness.entity(formatRef(entity)).states.keys())
      if (newer > version && newer < offset)
        this.#world.violated("a copy has what it says", `${formatRef(entity)} at ${version}, all below ${offset}`);
  }

  /** What was written longer ago than the answer says, it has; and it is no older than was asked for. */
  #checkLag(entity: EntityRef, local: LocalAnswer, askedMs: number, lagMs: number): void {
    const { timeline, swarm } = this.#world;
    const shard = shardOf(entity.type, entity.key, swarm.shardCount);
    const missedMs = this.database.writtenMs(shard, local.offset) ?? Number.POSITIVE_INFINITY;
    const clock = 1 + 2 * this.#swarm.drift;
    const what = `${formatRef(entity)} up to ${local.offset}, ${local.lagMs} ms old, ${lagMs} asked for`;
    if (missedMs < timeline.nowMs - local.lagMs * clock - turnsMs)
      this.#world.violated("a copy is as old as it says", `${what}: ${timeline.nowMs - missedMs} ms`);
    if (missedMs < askedMs - lagMs * clock - turnsMs)
      this.#world.violated("a copy is not older than was asked for", `${what}: ${askedMs - missedMs} ms`);
  }

  /** A node was asked, and answers once while its process lives. */
  #begun(node: SimNode, what: string, answered: (result: CallResult) => void): (result: CallResult) => void {
    const { name, process } = node;
    const call = { what: `${name}: ${what}`, process, count: 0 };
    this.#world.counts.calls++;
    this.#open.add(call);
    return (result) => {
      const told = result.ok
        ? `${JSON.stringify(result.value)} at ${result.version}`
        : `${result.code} ${result.detail}`;
      this.#world.note(`answer ${call.what}: ${told}`);
      this.#open.delete(call);
      if (++call.count > 1) this.#world.violated("every call is answered once", call.what);
      answered(result);
    };
  }

  /** No call is under way any more. */
  checkAnswered(): void {
    for (const { what, process } of this.#open)
      if (process?.alive === true) this.#world.violated("every call is answered once", `never: ${what}`);
  }

  /** One that is up. */
  any(): SimNode | undefined {
    const up = this.nodes.filter(({ isUp }) => isUp);
    return up.length === 0 ? undefined : this.#world.prng.pick(up);
  }

  /** To a node; one that is not there says nothing. */
  #carry(arrive: (node: SimNode) => void): void {
    this.network.carry(() => {
      const node = this.#world.prng.pick(this.nodes);
      node.process?.run(() => {
        if (node.cluster !== undefined) arrive(node);
      });
    });
  }
}
