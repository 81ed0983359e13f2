/**
 * The lines between simulated nodes: cut for several reasons at once, slow one by one, and their connections reset.
 *
 * Invariant: a line is whole when every reason for which it was cut is over.
 */
import { MemoryPeers } from "../../adapters/memory/transport.ts";
import { VirtualClock } from "../../adapters/virtual/clock.ts";
import type { NodeRef } from "../../model/cluster.ts";
import { limitsWith } from "../../model/limits.ts";
import type {
  OpenTransport,
  PeerConnection,
  PeerEvents,
  PeerMessage,
  TransportOptions,
} from "../../ports/transport.ts";
import type { World } from "../world.ts";
import type { ClusterSwarm } from "./cluster-swarm.ts";
import { delayOf } from "./database.ts";
import type { SimProcess } from "./sim-process.ts";

export class Lines {
  readonly #world: World;
  readonly #hub: MemoryPeers;
  /** `from>to`: reasons for which it is cut; how much slower it is. */
  readonly #cuts = new Map<string, number>();
  readonly #slower = new Map<string, number>();
  readonly #connections = new Set<PeerConnection>();
  /** Told of every message that arrives. */
  onMessage: (from: NodeRef, to: NodeRef, message: PeerMessage) => void = () => {};

  constructor(world: World, swarm: ClusterSwarm) {
    this.#world = world;
    const delayMs = (from: NodeRef, to: NodeRef) =>
      delayOf(world, swarm.peers) + world.prng.fraction() * (this.#slower.get(`${from.node}>${to.node}`) ?? 0);
    this.#hub = new MemoryPeers({
      clock: new VirtualClock({ timeline: world.timeline }),
      delayMs,
      limits: limitsWith(swarm.base.limits),
    });
  }

  /** @returns heals it */
  cut(from: string, to: string): () => void {
    const line = `${from}>${to}`;
    this.#cuts.set(line, (this.#cuts.get(line) ?? 0) + 1);
    this.#hub.cut(from, to);
    return () => {
      const left = (this.#cuts.get(line) ?? 1) - 1;
      this.#cuts.set(line, left);
      if (left === 0) this.#hub.heal(from, to);
    };
  }

  slow(from: string, to: string, ms: number): () => void {
    this.#slower.set(`${from}>${to}`, ms);
    return () => void this.#slower.delete(`${from}>${to}`);
  }

  /** Ends one connection; what was on its way arrives or not. */
  reset(): void {
    const all = [...this.#connections];
    if (all.length > 0) this.#world.prng.pick(all).close("the connection was reset");
  }

  /** The process of a node is gone. */
  end(node: NodeRef): void {
    this.#hub.end(node);
  }

  opener(process: SimProcess, joined: (self: NodeRef) => void): OpenTransport {
    const open = this.#hub.opener();
    return async (options) => {
      joined(options.self);
      const opened = (connection: PeerConnection) => this.#opened(process, options, connection);
      const transport = await open({ ...options, opened });
      return {
        address: transport.address,
        dial: (address, expected) => process.ask(() => transport.dial(address, expected)),
        close: () => process.ask(() => transport.close()),
      };
    };
  }

  #opened(process: SimProcess, { self, opened }: TransportOptions, connection: PeerConnection): PeerEvents {
    this.#connections.add(connection);
    let events: PeerEvents | undefined;
    process.run(() => {
      events = opened(connection);
    });
    return {
      message: (_connection, message: PeerMessage) => {
        this.onMessage(connection.peer, self, message);
        process.run(() => events?.message(connection, message));
      },
      drained: () => process.run(() => events?.drained(connection)),
      closed: (_connection, reason) => {
        this.#connections.delete(connection);
        process.run(() => events?.closed(connection, reason));
      },
    };
  }
}
