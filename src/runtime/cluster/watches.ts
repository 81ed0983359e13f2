/**
 * Watches of views through a cluster: a watch stays while its entity's shard moves from node to node.
 *
 * Invariant: the listener hears versions that only grow, each from an owner; a shard that has no owner for a while is silence, not an end.
 */
import type { NodeRef } from "../../model/cluster.ts";
import { isHoldfastError } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { WatchCall, WatchNews } from "../../model/records.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import type { Directory } from "./directory.ts";
import type { Peer, Peers } from "./peers.ts";

/** After an owner said that it is none, or none was found. */
const againMs = 20;

interface Watched {
  readonly shard: ShardId;
  readonly call: WatchCall;
  readonly listener: (news: WatchNews) => void;
  version: number;
  /** Ends the watch where it is at present. */
  stop: () => void;
  /** Where that is; undefined: here, or nowhere. */
  at: Peer | undefined;
  waits: boolean;
  over: boolean;
  /** Since when it has no owner. */
  silentMs: number | undefined;
}

export interface WatchesOptions {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly serves: (shard: ShardId) => boolean;
  /** A watch at this node, which owns the shard. */
  readonly here: (call: WatchCall, listener: (news: WatchNews) => void) => () => void;
}

export class Watches {
  readonly #options: WatchesOptions;
  /** Of each shard. */
  readonly #watched = new Map<ShardId, Set<Watched>>();
  readonly #remote = new Map<Peer, Map<number, Watched>>();

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  watch(shard: ShardId, call: WatchCall, listener: (news: WatchNews) => void): () => void {
    const watched: Watched = {
      shard,
      call,
      listener,
      version: -1,
      stop: () => {},
      at: undefined,
      waits: false,
      over: false,
      silentMs: undefined,
    };
    let all = this.#watched.get(shard);
    if (all === undefined) {
      all = new Set();
      this.#watched.set(shard, all);
    }
    all.add(watched);
    this.#go(watched);
    return () => {
      if (watched.over) return;
      this.#end(watched);
      watched.stop();
    };
  }

  /** The shard's owner is another. */
  changed(shard: ShardId): void {
    for (const watched of this.#watched.get(shard) ?? []) if (watched.waits) this.#go(watched);
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid): boolean {
    if (said.t !== "news") return false;
    const watched = this.#remote.get(peer)?.get(said.id);
    if (watched === undefined) return true;
    if ("moved" in said) {
      this.#forget(peer, said.id);
      this.#options.directory.left(watched.shard, peer.ref);
      if (said.moved.owner !== undefined)
        this.#options.directory.owned(watched.shard, said.moved.owner, said.moved.epoch);
      this.#wait(watched);
      return true;
    }
    if (!said.news.ok) this.#forget(peer, said.id);
    this.#news(watched, said.news);
    return true;
  }

  closed(peer: Peer): void {
    const remote = this.#remote.get(peer);
    this.#remote.delete(peer);
    for (const watched of remote?.values() ?? []) this.#wait(watched);
  }

  #go(watched: Watched): void {
    if (watched.over) return;
    watched.waits = false;
    const { serves, here, directory, peers } = this.#options;
    const { shard, call } = watched;
    if (serves(shard)) {
      watched.stop = here(call, (news) => this.#news(watched, news));
      return;
    }
    const peer = peers.to(directory.owner(shard));
    if (peer === undefined) return this.#wait(watched);
    const id = peer.nextId();
    try {
      if (!peer.send({ t: "watch", id, call })) return this.#wait(watched);
    } catch (error) {
      // What the caller gave cannot be sent: it is the same for every owner elsewhere.
      if (!isHoldfastError(error)) throw error;
      this.#end(watched);
      const { code, message: detail } = error;
      return this.#options.clock.defer(() => watched.listener({ ok: false, code, detail }));
    }
    let remote = this.#remote.get(peer);
    if (remote === undefined) {
      remote = new Map();
      this.#remote.set(peer, remote);
    }
    remote.set(id, watched);
    watched.stop = () => {
      if (this.#remote.get(peer)?.delete(id) === true) peer.send({ t: "unwatch", id });
    };
  }

  #news(watched: Watched, news: WatchNews): void {
    if (watched.over) return;
    if (news.ok) {
      watched.silentMs = undefined;
      // What a former owner showed rests on records that the present one has; it shows the last of it again.
      if (news.version <= watched.version) return;
      watched.version = news.version;
      watched.listener(news);
    } else if (news.code === "unavailable" || news.code === "fenced") this.#wait(watched);
    else {
      this.#end(watched);
      watched.listener(news);
    }
  }

  #wait(watched: Watched): void {
    if (watched.over || watched.waits) return;
    const { clock, limits } = this.#options;
    watched.waits = true;
    watched.stop = () => {};
    const nowMs = clock.monotonic();
    watched.silentMs ??= nowMs;
    if (nowMs - watched.silentMs > limits.routeWaitMs) {
      this.#end(watched);
      return clock.defer(() =>
        watched.listener({
          ok: false,
          code: "unavailable",
          detail: "The shard has no owner at the moment; subscribe again.",
        }),
      );
    }
    clock.after(againMs, () => {
      if (watched.waits) this.#go(watched);
    });
  }

  #end(watched: Watched): void {
    watched.over = true;
    this.#watched.get(watched.shard)?.delete(watched);
  }

  #forget(peer: Peer, id: number): void {
    this.#remote.get(peer)?.delete(id);
  }
}

/** What this node serves to watchers at others. */
export class ServedWatches {
  readonly #stops = new Map<Peer, Map<number, () => void>>();

  /** @param start begins the watch here */
  begin(peer: Peer, id: number, start: (listener: (news: WatchNews) => void) => () => void): void {
    let stops = this.#stops.get(peer);
    if (stops === undefined) {
      stops = new Map();
      this.#stops.set(peer, stops);
    }
    const stop = start((news) => {
      // A connection without room is closed rather than let a viewer miss a value: it watches again.
      if (!peer.send({ t: "news", id, news })) peer.end("it takes its news too slowly");
      if (!news.ok) stops.delete(id);
    });
    stops.set(id, stop);
  }

  end(peer: Peer, id: number): void {
    this.#stops.get(peer)?.get(id)?.();
    this.#stops.get(peer)?.delete(id);
  }

  closed(peer: Peer): void {
    for (const stop of this.#stops.get(peer)?.values() ?? []) stop();
    this.#stops.delete(peer);
  }
}

/** Says to whom a question should go that came to a node which does not own the shard. */
export function movedTo(directory: Directory, shard: ShardId, self: NodeRef) {
  const owner = directory.owner(shard);
  const epoch = directory.epoch(shard);
  return owner === undefined || (owner.node === self.node && owner.generation === self.generation)
    ? { epoch }
    : { owner, epoch };
}
