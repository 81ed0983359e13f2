/**
 * The simulated cluster as its clients meet it: a call goes over their network to some node, and every answer is checked.
 *
 * Invariant: what is told is checked at the moment a node tells it, against what is durable then.
 */
import { formatRef } from "../../model/ids.ts";
import type { CallResult, CommandCall, QueryCall } from "../../model/records.ts";
import { SimNetwork } from "../network.ts";
import { Observer } from "../observer.ts";
import type { Witness } from "../witness.ts";
import type { World } from "../world.ts";
import type { ClusterSwarm } from "./cluster-swarm.ts";
import { Database } from "./database.ts";
import { Lines } from "./lines.ts";
import { SimNode } from "./sim-node.ts";

export class Stage {
  readonly observer: Observer;
  readonly network: SimNetwork;
  readonly database: Database;
  readonly lines: Lines;
  readonly nodes: readonly SimNode[];
  readonly #world: World;

  constructor(world: World, swarm: ClusterSwarm, witness: Witness) {
    this.#world = world;
    this.observer = new Observer(world, witness);
    this.network = new SimNetwork(world);
    this.database = new Database(world, swarm, witness);
    this.lines = new Lines(world, swarm);
    const parts = { world, swarm, database: this.database, lines: this.lines };
    this.nodes = Array.from({ length: swarm.nodes }, (_, index) => new SimNode(`n${index}`, parts));
  }

  start(): void {
    for (const node of this.nodes) this.#world.timeline.after(this.#world.prng.integer(200), () => node.start());
  }

  execute({ call, floor }: { call: CommandCall; floor: number }, answer: (result: CallResult) => void): void {
    this.#carry((node) => {
      this.#world.counts.calls++;
      const input: unknown = typeof call.input === "object" ? { ...call.input } : call.input;
      const { name, cluster } = node;
      cluster?.service.execute({ ...call, input }, (result) => {
        this.#noteAnswer(`${name}: ${call.command} ${formatRef(call.entity)} ${call.requestId.slice(-6)}`, result);
        this.observer.replied(call, result, floor);
        this.network.carry(() => answer(result));
      });
    });
  }

  query(call: QueryCall, answer: (result: CallResult) => void): void {
    this.#carry((node) => {
      this.#world.counts.calls++;
      const floor = this.observer.floor(formatRef(call.entity));
      const { name, cluster } = node;
      cluster?.service.query(call, (result) => {
        this.#noteAnswer(`${name}: ${call.query} ${formatRef(call.entity)}`, result);
        this.observer.answered(call, result, floor);
        this.network.carry(() => answer(result));
      });
    });
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

  #noteAnswer(what: string, result: CallResult): void {
    const told = result.ok ? `${JSON.stringify(result.value)} at ${result.version}` : `${result.code} ${result.detail}`;
    this.#world.note(`answer ${what}: ${told}`);
  }
}
