/**
 * Shards of other nodes that feeds here go through: their frames come from their owners, into the recent frames alone.
 *
 * No copy of a state is kept for it. A push that is missed costs nothing but time: the log is asked for its tail where nothing was heard for
 * `lookMs`, and what is behind that is read from it. Invariant: what is put into the recent frames is durable.
 */
import { type NodeRef, sameNode } from "../../model/cluster.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import type { RecentFrames } from "../recent-frames.ts";
import type { ShardRoles } from "../shard-roles.ts";
import type { Directory } from "./directory.ts";
import type { Peer, Peers } from "./peers.ts";

/** Without a push of a shard the log's tail is asked for so often: one question for all such shards. */
export const lookMs = 500;

interface Heeded {
  /** How many want its frames, and how many would know its tail alone. */
  frames: number;
  tails: number;
  /** Who was asked to push. */
  asked: NodeRef | undefined;
  heardMs: number;
}

export interface HeedingOptions {
  readonly clock: Clock;
  readonly roles: ShardRoles;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly recent: RecentFrames;
}

export class Heeding {
  readonly #options: HeedingOptions;
  readonly #heeded = new Map<ShardId, Heeded>();

  constructor(options: HeedingOptions) {
    this.#options = options;
  }

  /**
   * The recent frames know how far these shards are from now on.
   * @param what `frames`: they get what is pushed; `tails`: what the log says of its tail now and then
   * @returns ends it
   */
  heed(shards: readonly ShardId[], what: "frames" | "tails"): () => void {
    for (const shard of shards) {
      let heeded = this.#heeded.get(shard);
      if (heeded === undefined) {
        heeded = { frames: 0, tails: 0, asked: undefined, heardMs: Number.NEGATIVE_INFINITY };
        this.#heeded.set(shard, heeded);
      }
      heeded[what]++;
      this.begin(shard);
    }
    let over = false;
    return () => {
      if (over) return;
      over = true;
      for (const shard of shards) this.#unheed(shard, what);
    };
  }

  /** The shard's owner is another, or its role here. */
  begin(shard: ShardId): void {
    const heeded = this.#heeded.get(shard);
    if (heeded === undefined || heeded.frames === 0) return;
    if (this.#isHere(shard)) {
      // What is asked for then is the standby's.
      heeded.asked = undefined;
      return;
    }
    const { directory, peers, recent } = this.#options;
    const owner = directory.owner(shard);
    if (sameNode(heeded.asked, owner)) return;
    const from = Math.max(1, recent.tail(shard));
    if (peers.to(owner)?.send({ t: "follow", shard, from }) === true) heeded.asked = owner;
  }

  pushed({ shard, epoch, at, count }: Extract<PeerSaid, { t: "push" }>, bytes: Uint8Array | undefined): void {
    const heeded = this.#heeded.get(shard);
    if (heeded === undefined || this.#isHere(shard)) return;
    heeded.heardMs = this.#options.clock.monotonic();
    if (count === 0 || bytes === undefined) this.#options.recent.begin(shard, at);
    else this.#options.recent.add({ shard, epoch, at, count, frame: bytes });
  }

  closed(peer: Peer): void {
    for (const heeded of this.#heeded.values()) if (sameNode(heeded.asked, peer.ref)) heeded.asked = undefined;
  }

  /** Of which nothing was heard for long: the log is to be asked for their tails. */
  silent(): ShardId[] {
    const dueMs = this.#options.clock.monotonic() - lookMs;
    const silent: ShardId[] = [];
    for (const [shard, { heardMs }] of this.#heeded) {
      this.begin(shard);
      if (heardMs <= dueMs && !this.#isHere(shard)) silent.push(shard);
    }
    return silent;
  }

  /** The log told the tail of a shard. */
  told(shard: ShardId, tail: Offset): void {
    const { recent, clock } = this.#options;
    const heeded = this.#heeded.get(shard);
    if (heeded === undefined || this.#isHere(shard)) return;
    heeded.heardMs = clock.monotonic();
    if (tail <= recent.tail(shard)) return;
    // Whoever was asked does not push: it is asked again.
    heeded.asked = undefined;
    recent.begin(shard, tail);
  }

  #unheed(shard: ShardId, what: "frames" | "tails"): void {
    const heeded = this.#heeded.get(shard);
    if (heeded === undefined) return;
    heeded[what]--;
    if (heeded.frames === 0 && heeded.asked !== undefined) {
      if (!this.#isHere(shard)) this.#options.peers.to(heeded.asked)?.send({ t: "unfollow", shard });
      heeded.asked = undefined;
    }
    if (heeded.frames === 0 && heeded.tails === 0) this.#heeded.delete(shard);
  }

  /** Its frames come by without anybody's asking. */
  #isHere(shard: ShardId): boolean {
    const { roles } = this.#options;
    return roles.owns(shard) || roles.follows(shard);
  }
}
