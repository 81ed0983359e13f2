/**
 * Frames from owners to those who follow their shards.
 *
 * An owner pushes each frame when it is durable. A follower that misses some, because it began later or the connection was full, reads them from
 * the log. Invariant: nothing is waited for on the way of a command: a push that is not taken is dropped, and the follower told to read.
 */
import { type NodeRef, sameNode } from "../../model/cluster.ts";
import { isHoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { Append, ShardLog } from "../../ports/log.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import { Heeding, type HeedingOptions, lookMs } from "./heeding.ts";
import type { Peer } from "./peers.ts";
import { StateChecks } from "./state-checks.ts";

interface Followed {
  /** Who was asked to push. */
  asked: NodeRef | undefined;
  /** As the owner told last. */
  durable: Offset;
  filling: boolean;
  /** It is to be read again when the reading under way has ended. */
  again: boolean;
  heardMs: number;
}

export interface FollowingOptions extends HeedingOptions {
  /** A shard's copy does not go with its log any more: it must be made anew. */
  readonly broken: (shard: ShardId, error: unknown) => void;
  /** A standby got on. */
  readonly advanced: (shard: ShardId) => void;
  readonly log: Pick<ShardLog, "tail">;
  /** The log could not be read just now. */
  readonly fault: (where: string, error: unknown) => void;
}

export class Following {
  readonly #options: FollowingOptions;
  /** Of shards that are not followed here. */
  readonly heeding: Heeding;
  readonly checks: StateChecks;
  /** Followed here. */
  readonly #followed = new Map<ShardId, Followed>();
  /** Who follows what is owned here; and those of them that missed a push. */
  readonly #followers = new Map<ShardId, Set<Peer>>();
  readonly #missed = new Map<Peer, Set<ShardId>>();
  #looking = false;
  #closed = false;

  constructor(options: FollowingOptions) {
    this.#options = options;
    this.heeding = new Heeding(options);
    const { clock, roles } = options;
    const tell = (shard: ShardId, said: PeerSaid) => {
      for (const peer of this.#followers.get(shard) ?? []) peer.send(said);
    };
    this.checks = new StateChecks({ clock, roles, tell });
  }

  /** Records that the owner has and this node has not, as far as it knows. */
  lag(shard: ShardId): number {
    return Math.max(0, (this.#followed.get(shard)?.durable ?? 0) - this.#options.roles.position(shard).tail);
  }

  /** The shard is followed from now on, or its owner is another. */
  begin(shard: ShardId): void {
    const { roles, clock, directory, peers } = this.#options;
    this.heeding.begin(shard);
    if (!roles.follows(shard)) return;
    let followed = this.#followed.get(shard);
    if (followed === undefined) {
      followed = { asked: undefined, durable: 0, filling: false, again: false, heardMs: clock.monotonic() };
      this.#followed.set(shard, followed);
    }
    const owner = directory.owner(shard);
    const peer = peers.to(owner);
    if (peer === undefined || sameNode(followed.asked, owner)) return;
    if (peer.send({ t: "follow", shard, from: roles.position(shard).tail })) followed.asked = owner;
  }

  end(shard: ShardId): void {
    const followed = this.#followed.get(shard);
    this.#followed.delete(shard);
    this.#options.peers.to(followed?.asked)?.send({ t: "unfollow", shard });
  }

  /** Of an owner: one of its shards got on. */
  durable({ shard, epoch, at, count, frame }: Append): void {
    const followers = this.#followers.get(shard);
    if (followers === undefined) return;
    const said = { t: "push", shard, epoch, at, count, durable: at + count } as const;
    for (const peer of followers) if (!peer.send(said, frame)) this.#miss(peer, shard);
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid, bytes: Uint8Array | undefined): boolean {
    if (said.t === "follow") this.#follow(peer, said.shard);
    else if (said.t === "unfollow") this.#followers.get(said.shard)?.delete(peer);
    else if (said.t === "push") {
      this.heeding.pushed(said, bytes);
      this.#pushed(said, bytes);
    } else if (said.t === "hashed") this.#hashed(said);
    else return false;
    return true;
  }

  /** It takes messages again. */
  drained(peer: Peer): void {
    const missed = this.#missed.get(peer);
    this.#missed.delete(peer);
    for (const shard of missed ?? []) this.#tell(peer, shard);
  }

  closed(peer: Peer): void {
    this.#missed.delete(peer);
    this.heeding.closed(peer);
    for (const followers of this.#followers.values()) followers.delete(peer);
    for (const followed of this.#followed.values()) if (sameNode(followed.asked, peer.ref)) followed.asked = undefined;
  }

  /** The node ends: nothing more is read. */
  close(): void {
    this.#closed = true;
  }

  /** Now and then: of shards of which nothing was pushed the tails are looked at, all at once, and what is missing is read. */
  sweep(): void {
    const nowMs = this.#options.clock.monotonic();
    const silent = this.heeding.silent();
    this.checks.sweep(this.#checked());
    for (const [shard, followed] of this.#followed) {
      this.begin(shard);
      if (nowMs - followed.heardMs >= lookMs && !followed.filling) silent.push(shard);
    }
    if (silent.length > 0 && !this.#looking) void this.#look(silent);
  }

  async #look(silent: readonly ShardId[]): Promise<void> {
    const { log, fault } = this.#options;
    this.#looking = true;
    try {
      for (const [index, { tail }] of (await log.tail(silent)).entries()) this.#told(silent[index] as ShardId, tail);
    } catch (error) {
      fault("the tails of shards of which nothing is heard", error);
    } finally {
      this.#looking = false;
    }
  }

  #told(shard: ShardId, tail: Offset): void {
    this.heeding.told(shard, tail);
    const followed = this.#followed.get(shard);
    if (followed === undefined) return;
    const { roles, clock } = this.#options;
    followed.heardMs = clock.monotonic();
    if (tail > roles.position(shard).tail) this.#fill(shard, followed);
  }

  /** Owned here, and followed by somebody. */
  #checked(): ShardId[] {
    const { roles } = this.#options;
    const shards: ShardId[] = [];
    for (const [shard, peers] of this.#followers) if (peers.size > 0 && roles.owns(shard)) shards.push(shard);
    return shards.sort((one, other) => one - other);
  }

  #hashed(said: Extract<PeerSaid, { t: "hashed" }>): void {
    try {
      this.checks.heard(said);
    } catch (error) {
      this.#broken(said.shard, error);
    }
  }

  #broken(shard: ShardId, error: unknown): void {
    if (isHoldfastError(error) && error.code === "state-damaged") this.checks.differed(shard);
    this.#options.broken(shard, error);
  }

  #follow(peer: Peer, shard: ShardId): void {
    const { roles } = this.#options;
    if (!roles.owns(shard)) return;
    let followers = this.#followers.get(shard);
    if (followers === undefined) {
      followers = new Set();
      this.#followers.set(shard, followers);
    }
    followers.add(peer);
    this.#tell(peer, shard);
  }

  /** Where the next push begins: what is before it is in the log. */
  #tell(peer: Peer, shard: ShardId): void {
    const { roles } = this.#options;
    if (!roles.owns(shard)) return;
    const { epoch, durable } = roles.position(shard);
    if (!peer.send({ t: "push", shard, epoch, at: durable, count: 0, durable })) this.#miss(peer, shard);
  }

  #miss(peer: Peer, shard: ShardId): void {
    if (peer.isOver) return;
    const missed = this.#missed.get(peer);
    if (missed === undefined) this.#missed.set(peer, new Set([shard]));
    else missed.add(shard);
  }

  #pushed(said: Extract<PeerSaid, { t: "push" }>, bytes: Uint8Array | undefined): void {
    const { roles, clock, advanced } = this.#options;
    const { shard, epoch, at, count, durable } = said;
    const followed = this.#followed.get(shard);
    if (followed === undefined) return;
    followed.durable = Math.max(followed.durable, durable);
    followed.heardMs = clock.monotonic();
    if (followed.filling) return;
    if (count === 0 || bytes === undefined) {
      if (at > roles.position(shard).tail) this.#fill(shard, followed);
      return;
    }
    try {
      if (roles.feed({ shard, epoch, at, count, bytes })) advanced(shard);
      else this.#fill(shard, followed);
    } catch (error) {
      this.#broken(shard, error);
    }
  }

  #fill(shard: ShardId, followed: Followed): void {
    if (this.#closed) return;
    if (followed.filling) {
      followed.again = true;
      return;
    }
    followed.filling = true;
    void this.#read(shard, followed);
  }

  async #read(shard: ShardId, followed: Followed): Promise<void> {
    const { roles, fault, advanced } = this.#options;
    try {
      // Without progress (the shard is just being claimed, say) it is left to the next push or sweep: no circle of reads.
      for (let before = 0; ; ) {
        followed.again = false;
        before = roles.position(shard).tail;
        await roles.fill(shard);
        const { tail } = roles.position(shard);
        if (!followed.again && (followed.durable <= tail || tail === before)) break;
      }
      followed.filling = false;
      advanced(shard);
    } catch (error) {
      followed.filling = false;
      // The node ends, and its log was closed under the reading.
      if (this.#closed) return;
      if (roles.follows(shard)) fault(`the log of shard ${shard}, which is followed`, error);
      else this.#broken(shard, error);
    }
  }
}
