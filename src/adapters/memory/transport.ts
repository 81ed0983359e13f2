/**
 * Transport within a process: a hub to which nodes are connected, for tests and the simulator, which cuts its lines.
 *
 * Invariant: what arrives is what bytes would have made of it: bodies are encoded when they are sent and decoded when they arrive, so
 * neither side sees an object of the other's. Everything happens by the clock alone: one history of the clock gives one of the hub.
 */
import { type NodeRef, sameNode } from "../../model/cluster.ts";
import { HoldfastError } from "../../model/errors.ts";
import { type Limits, limitsDefault } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenTransport, PeerConnection, Transport, TransportOptions } from "../../ports/transport.ts";
import { decodePlain, encodePlain } from "../../wire/codec.ts";
import { type PeerVersions, peerVersions } from "../../wire/peer.ts";
import { commonVersion, peerLimits } from "../../wire/peer-codec.ts";
import { MemorySide } from "./transport-side.ts";

export interface MemoryPeersOptions {
  readonly clock: Clock;
  /** How long a message is on its way, ms. Default 0. Order is kept whatever it says. */
  readonly delayMs?: (from: NodeRef, to: NodeRef) => number;
  readonly limits?: Limits;
}

/** Of one node. */
export interface MemoryPeerSettings {
  readonly secret?: string;
  readonly versions?: PeerVersions;
}

export class MemoryPeers {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly #delayMs: (from: NodeRef, to: NodeRef) => number;
  readonly #transports = new Map<string, MemoryTransport>();
  /** `from>to` by names. */
  readonly #cuts = new Set<string>();

  constructor({ clock, delayMs, limits }: MemoryPeersOptions) {
    this.clock = clock;
    this.limits = limits ?? limitsDefault;
    this.#delayMs = delayMs ?? (() => 0);
  }

  /** How a node opens its transport. */
  opener(settings: MemoryPeerSettings = {}): OpenTransport {
    return async (options) => {
      const transport = new MemoryTransport(this, options, settings);
      this.#transports.set(transport.address, transport);
      return transport;
    };
  }

  /** From now on nothing that the first sends arrives at the second; their connections end when that was noticed. */
  cut(from: string, to: string): void {
    const line = `${from}>${to}`;
    if (this.#cuts.has(line)) return;
    this.#cuts.add(line);
    for (const side of this.#sending(from, to)) this.#notice(side);
  }

  /** What is on its way goes on. */
  heal(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
    for (const side of this.#sending(from, to)) side.pump();
  }

  /** The process of a node is gone: it hears nothing more, and others that their connections are lost. */
  end(node: NodeRef): void {
    for (const transport of this.#transports.values()) {
      if (!sameNode(transport.self, node)) continue;
      this.forget(transport);
      transport.end();
    }
  }

  isCut(from: NodeRef, to: NodeRef): boolean {
    return this.#cuts.has(`${from.node}>${to.node}`);
  }

  later(from: NodeRef, to: NodeRef, callback: () => void): void {
    this.wait(this.#delayMs(from, to), callback);
  }

  wait(ms: number, callback: () => void): void {
    if (ms <= 0) this.clock.defer(callback);
    else this.clock.after(ms, callback);
  }

  at(address: string): MemoryTransport | undefined {
    return this.#transports.get(address);
  }

  forget(transport: MemoryTransport): void {
    this.#transports.delete(transport.address);
  }

  /** Also those whose process is gone while the other side has not heard of it. */
  #sending(from: string, to: string): MemorySide[] {
    const all = [...this.#transports.values()].flatMap(({ sides }) => [...sides]);
    const both = new Set(all.flatMap((side) => (side.other === undefined ? [side] : [side, side.other])));
    return [...both].filter(({ self, peer }) => self.node === from && peer.node === to);
  }

  /** Pings find out that a line is cut. */
  #notice(side: MemorySide): void {
    this.clock.after(this.limits.peerSilentMs, () => {
      if (!this.isCut(side.self, side.peer) && !this.isCut(side.peer, side.self)) return;
      side.lose("nothing was heard of the peer");
      side.other?.lose("nothing was heard of the peer");
    });
  }
}

class MemoryTransport implements Transport {
  readonly address: string;
  readonly self: NodeRef;
  readonly sides = new Set<MemorySide>();
  readonly #hub: MemoryPeers;
  readonly #options: TransportOptions;
  readonly #settings: MemoryPeerSettings;
  #isClosed = false;
  #closing: Promise<void> | undefined;
  #told: () => void = () => {};

  constructor(hub: MemoryPeers, options: TransportOptions, settings: MemoryPeerSettings) {
    this.#hub = hub;
    this.#options = options;
    this.#settings = settings;
    this.self = options.self;
    this.address = `memory://${options.self.node}/${options.self.generation}`;
  }

  dial(address: string, expected: NodeRef): Promise<PeerConnection> {
    return new Promise((resolve, reject) => {
      const { limits } = this.#hub;
      if (this.#isClosed) return reject(refusal("This transport is closed."));
      if (this.sides.size >= limits.peersMax)
        return reject(new HoldfastError("overloaded", "This node has as many connections as it may."));
      if (this.#hub.isCut(this.self, expected) || this.#hub.isCut(expected, this.self))
        return this.#hub.wait(limits.peerHandshakeMs, () => reject(refusal("The node does not answer.")));
      this.#hub.later(this.self, expected, () =>
        this.#hub.later(expected, this.self, () => {
          try {
            resolve(this.#connect(address, expected));
          } catch (error) {
            reject(error as HoldfastError);
          }
        }),
      );
    });
  }

  close(): Promise<void> {
    this.#closing ??= new Promise((resolve) => {
      this.#isClosed = true;
      this.#hub.forget(this);
      this.#told = () => {
        if (this.sides.size === 0) resolve();
      };
      for (const side of this.sides) side.close("the node closes its connections");
      this.#hub.clock.defer(this.#told);
    });
    return this.#closing;
  }

  /** As when its process ends. */
  end(): void {
    this.#isClosed = true;
    for (const side of this.sides) side.end();
    this.sides.clear();
  }

  /** @throws `unavailable` */
  #connect(address: string, expected: NodeRef): PeerConnection {
    const listener = this.#hub.at(address);
    if (listener === undefined || this.#isClosed) throw refusal("Nobody answers at the address.");
    if (!sameNode(listener.self, expected)) throw refusal("Another node answers at the address.");
    if (listener.#settings.secret !== this.#settings.secret) throw refusal("The secrets are not the same.");
    const version = commonVersion(this.#settings.versions ?? peerVersions, listener.#settings.versions ?? peerVersions);
    if (version === undefined) throw refusal("The nodes speak no common version.");
    if (listener.sides.size >= this.#hub.limits.peersMax) throw refusal("The node has as many connections as it may.");
    const [mine, theirs] = [this.#side(listener, version), listener.#side(this, version)];
    mine.other = theirs;
    theirs.other = mine;
    theirs.events = listener.#options.opened(theirs);
    mine.events = this.#options.opened(mine);
    return mine;
  }

  #side(peer: MemoryTransport, version: number): MemorySide {
    const { self } = this;
    const info = decodePlain(encodePlain(peer.#options.info, "msgpack"), "msgpack", peerLimits(this.#hub.limits));
    const side = new MemorySide(this.#hub, { self, peer: peer.self, info, version }, () => {
      this.sides.delete(side);
      this.#told();
    });
    this.sides.add(side);
    return side;
  }
}

function refusal(detail: string): HoldfastError {
  return new HoldfastError("unavailable", detail);
}
