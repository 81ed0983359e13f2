/**
 * When which fault comes to a cluster, and for how long.
 *
 * Invariant: no fault comes after `faultsMs`, and `stopFaults` ends those that last: lines are whole, clocks right, the database is there,
 * every node runs, nothing is pinned and nobody drained.
 */
import type { World } from "../world.ts";
import { type ClusterSwarm, type FaultKind, faultKinds } from "./cluster-swarm.ts";
import type { Part } from "./database.ts";
import type { SimNode } from "./sim-node.ts";
import type { Stage } from "./stage.ts";

export class ClusterFaults {
  readonly #world: World;
  readonly #swarm: ClusterSwarm;
  readonly #stage: Stage;
  /** Ends of the faults that last. */
  readonly #ends = new Set<() => void>();

  constructor(world: World, swarm: ClusterSwarm, stage: Stage) {
    this.#world = world;
    this.#swarm = swarm;
    this.#stage = stage;
  }

  plan(): void {
    const { prng, timeline } = this.#world;
    for (const kind of faultKinds)
      for (let count = 0; count < this.#swarm.faults[kind]; count++)
        timeline.after(prng.integer(this.#swarm.base.faultsMs), () => {
          if (!this.#world.faulty) return;
          this.#world.counts.faults++;
          this.#bring(kind);
        });
  }

  stop(): void {
    this.#world.note("faults stop");
    this.#world.faulty = false;
    for (const end of [...this.#ends]) end();
    for (const node of this.#stage.nodes) {
      node.jump(0);
      node.start();
    }
  }

  #bring(kind: FaultKind): void {
    const { prng } = this.#world;
    const { nodes, lines } = this.#stage;
    const { pauseMs, base } = this.#swarm;
    const node = prng.pick(nodes);
    const others = nodes.filter((other) => other !== node);
    const other = prng.pick(others);
    this.#world.note(`fault ${kind} at ${node.name}, ${other.name}`);
    switch (kind) {
      case "crash":
        return node.crash();
      case "stop":
        return node.stop();
      case "pause":
        return this.#lasting(node.pause(others.map(({ name }) => name)), pauseMs);
      case "cut":
        return this.#cut([
          [node, other],
          [other, node],
        ]);
      case "cutOneWay":
        return this.#cut([[node, other]]);
      case "isolate":
        return this.#cut(
          others.flatMap(
            (each) =>
              [
                [node, each],
                [each, node],
              ] as const,
          ),
        );
      case "reset":
        return lines.reset();
      case "slowLine":
        return this.#lasting(lines.slow(node.name, other.name, prng.pick([50, 400, 3_000])));
      case "jump":
        return node.jump(prng.between(-base.jumpMs, base.jumpMs));
      case "database":
        return this.#outage(["log", "coordination"]);
      case "logOutage":
        return this.#outage(["log"]);
      case "coordinationOutage":
        return this.#outage(["coordination"]);
      default:
        this.#verb(kind, node);
    }
  }

  #verb(kind: "move" | "drain" | "pin", node: SimNode): void {
    const { prng } = this.#world;
    const { nodes } = this.#stage;
    const { shardCount } = this.#swarm.base;
    const shards = [...new Set(Array.from({ length: prng.between(1, 3) }, () => prng.integer(shardCount)))];
    const to = prng.pick(nodes).name;
    this.verb(node, (cluster) => {
      if (kind === "move") return cluster.move(shards, to);
      if (kind === "pin") return cluster.pin(shards, prng.chance(0.3) ? undefined : to);
      return cluster.drain(to, prng.chance(0.7));
    });
  }

  /** An operator asks a node. @param ended whether it was done; not called if the node is gone */
  verb(
    node: SimNode,
    ask: (cluster: NonNullable<SimNode["cluster"]>) => Promise<void>,
    ended: (well: boolean) => void = () => {},
  ): void {
    node.process?.run(() => {
      const { cluster } = node;
      if (cluster === undefined) return ended(false);
      ask(cluster).then(
        () => ended(true),
        (error: unknown) => {
          this.#world.note(`a verb at ${node.name}: ${String(error)}`);
          ended(false);
        },
      );
    });
  }

  #cut(pairs: readonly (readonly [SimNode, SimNode])[]): void {
    const heals = pairs.map(([from, to]) => this.#stage.lines.cut(from.name, to.name));
    this.#lasting(() => {
      for (const heal of heals) heal();
    });
  }

  #outage(parts: readonly Part[]): void {
    this.#lasting(this.#stage.database.goAway(parts));
  }

  #lasting(end: () => void, mostMs = this.#swarm.troubleMs): void {
    const once = () => {
      if (this.#ends.delete(once)) end();
    };
    this.#ends.add(once);
    this.#world.timeline.after(this.#world.prng.integer(mostMs), once);
  }
}
