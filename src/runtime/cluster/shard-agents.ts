/**
 * Makes of each shard here what the picture says: owner, standby, or neither.
 *
 *   target says owner       none -> follow -> promote          target says standby      none -> follow
 *   target says neither     standby -> drop                    another took it          owner -> giveUp -> follow or drop
 *
 * A move: this node, being `to`, has caught up, says `take` to the owner; that one gives up, says `yours`; this one promotes.
 * Invariants: one step of a shard at a time; a step that failed is tried again after a wait that grows; a shard that was handed over is not
 * claimed back while the one who took it can be reached, unless that one never claimed.
 */
import { backoff } from "../../core/alarms.ts";
import { type NodeRef, type ShardTarget, sameNode } from "../../model/cluster.ts";
import type { Epoch, ShardId } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import type { ReleaseReason } from "../shard-host.ts";
import type { ShardRoles } from "../shard-roles.ts";
import type { Directory } from "./directory.ts";
import type { Following } from "./following.ts";
import type { Peer, Peers } from "./peers.ts";

/** Longest wait between attempts of a step. */
const againMostMs = 5_000;
/** Between two `take` of one move. */
const takeMs = 100;

interface Handed {
  readonly to: NodeRef;
  readonly epoch: Epoch;
  readonly untilMs: number;
}

interface Agent {
  busy: boolean;
  tries: number;
  /** It was looked at again while a step was under way. */
  again: boolean;
  handed: Handed | undefined;
  /** The owner before said `yours`, and nobody has claimed since. */
  granted: boolean;
  /** The epoch of this node's last claim, unless it gave that up. */
  claimed: Epoch;
  /** Another owner was met in the log: until then, or another target, it is not claimed back. */
  fencedUntilMs: number;
  /** When `take` was said last. */
  tookMs: number;
}

export interface ShardAgentsOptions {
  readonly self: NodeRef;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly roles: ShardRoles;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly following: Following;
  /** This node serves the shard from now on, in this epoch. */
  readonly served: (shard: ShardId, epoch: Epoch) => void;
  /** Its role is another, or it got as far as a report should tell. */
  readonly changed: (shard: ShardId) => void;
  readonly fault: (where: string, error: unknown) => void;
}

export class ShardAgents {
  readonly #options: ShardAgentsOptions;
  readonly #agents = new Map<ShardId, Agent>();
  /** Being given up: calls wait for the next owner. */
  readonly leaving = new Set<ShardId>();
  readonly counts = { claims: 0, failovers: 0, movesGiven: 0, movesTaken: 0 };
  #closed = false;

  constructor(options: ShardAgentsOptions) {
    this.#options = options;
  }

  close(): void {
    this.#closed = true;
  }

  /** The target, or anything that a step may wait for, is another. */
  look(shard: ShardId): void {
    const agent = this.#agent(shard);
    if (agent.busy) agent.again = true;
    else void this.#run(shard, agent);
  }

  /** The target is of another version: what was handed over is the coordinator's to know. */
  targeted(shard: ShardId): void {
    const agent = this.#agent(shard);
    agent.handed = undefined;
    agent.fencedUntilMs = 0;
    agent.tries = 0;
    this.look(shard);
  }

  /** Its incarnation here has ended. */
  released(shard: ShardId, reason: ReleaseReason): void {
    const { clock, limits } = this.#options;
    if (reason === "fenced") this.#agent(shard).fencedUntilMs = clock.monotonic() + limits.handoffMs;
    this.look(shard);
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid): boolean {
    if (said.t === "take") void this.#give(peer, said.shard, said.epoch);
    else if (said.t === "yours") this.#given(said);
    else return false;
    return true;
  }

  /** Now and then: moves that wait for an answer. */
  sweep(): void {
    for (const [shard, agent] of this.#agents) if (!agent.busy) void this.#run(shard, agent);
  }

  async #run(shard: ShardId, agent: Agent): Promise<void> {
    agent.busy = true;
    for (let more = true; more && !this.#closed; ) {
      agent.again = false;
      try {
        more = await this.#step(shard, agent);
        agent.tries = 0;
      } catch (error) {
        // The node ends, and its log was closed under a step that was under way.
        if (this.#closed) return;
        this.#options.fault(`shard ${shard} of this node`, error);
        const waitMs = Math.min(backoff(agent.tries++), againMostMs);
        await new Promise<void>((resolve) => this.#options.clock.after(waitMs, resolve));
        more = true;
      }
      more ||= agent.again;
    }
    agent.busy = false;
  }

  /** @returns whether there may be another one at once */
  async #step(shard: ShardId, agent: Agent): Promise<boolean> {
    const { roles, directory, self, following, changed } = this.#options;
    const target = directory.target(shard);
    const meant = meantFor(target, self);
    if (roles.owns(shard)) {
      // A move that has come through is `to` until the coordinator has heard of it.
      if (meant === "owner" || meant === "to" || this.leaving.has(shard) || target === undefined) return false;
      // Somebody else is to own it, and nobody asked: whoever that is has claimed it, or is about to.
      await this.#leave(shard, target.owner);
      return true;
    }
    if (!roles.follows(shard)) {
      // What a former owner has in memory can never leave it, and takes the room of others.
      if (meant === undefined) roles.drop(shard);
      // To bring its copy up again is work; the node is still the way to the shard for those at its door, who wait for the claim.
      if (meant === undefined || this.#awaitsClaim(shard, agent)) return false;
      await roles.follow(shard);
      following.begin(shard);
      changed(shard);
      return true;
    }
    if (meant === undefined) {
      agent.granted = false;
      following.end(shard);
      roles.drop(shard);
      changed(shard);
      return false;
    }
    // The target of a move that has claimed and then lost its incarnation is still the last owner: nobody else would claim.
    const isMine = agent.granted || roles.position(shard).epoch === agent.claimed;
    if (meant === "to" ? isMine : meant === "owner" && this.#mayClaim(shard, agent))
      return await this.#claim(shard, agent);
    if (meant === "to") this.#take(shard, agent);
    return false;
  }

  #mayClaim(shard: ShardId, agent: Agent): boolean {
    const { handed, fencedUntilMs } = agent;
    const { roles, peers, clock } = this.#options;
    if (clock.monotonic() < fencedUntilMs) {
      clock.after(fencedUntilMs - clock.monotonic(), () => this.look(shard));
      return false;
    }
    if (handed === undefined) return true;
    if (peers.to(handed.to) === undefined) return true;
    if (roles.position(shard).epoch > handed.epoch) return false;
    if (clock.monotonic() >= handed.untilMs) return true;
    clock.after(handed.untilMs - clock.monotonic(), () => this.look(shard));
    return false;
  }

  /** It handed the shard over, and whoever has it now has not said so: the sweep looks again. */
  #awaitsClaim(shard: ShardId, { handed }: Agent): boolean {
    const { directory, peers, clock } = this.#options;
    if (handed === undefined || peers.to(handed.to) === undefined || clock.monotonic() >= handed.untilMs) return false;
    return directory.epoch(shard) <= handed.epoch;
  }

  async #claim(shard: ShardId, agent: Agent): Promise<boolean> {
    const { roles, following, served } = this.#options;
    if (!(await roles.promote(shard))) return false;
    this.counts.claims++;
    if (agent.granted) this.counts.movesTaken++;
    else if (roles.position(shard).epoch > 1) this.counts.failovers++;
    following.end(shard);
    agent.handed = undefined;
    agent.granted = false;
    agent.claimed = roles.position(shard).epoch;
    served(shard, roles.position(shard).epoch);
    return true;
  }

  #take(shard: ShardId, agent: Agent): void {
    const { directory, peers, roles, clock, following } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - agent.tookMs < takeMs || following.lag(shard) > this.#options.limits.handoffLagMax) return;
    const { epoch, tail } = roles.position(shard);
    if (peers.to(directory.owner(shard))?.send({ t: "take", shard, epoch, at: tail }) === true) agent.tookMs = nowMs;
  }

  /** The target of a move is ready. */
  async #give(peer: Peer, shard: ShardId, epoch: Epoch): Promise<void> {
    const { roles, directory } = this.#options;
    const target = directory.target(shard);
    const no = (reason: string) => void peer.send({ t: "yours", shard, epoch, ok: false, reason });
    if (!roles.owns(shard) || this.leaving.has(shard)) return no("it is not owned here");
    if (!sameNode(target?.to, peer.ref)) return no("nobody told this node of the move");
    const handed = await this.#leave(shard, peer.ref);
    if (handed === undefined) return no("the owner before ended otherwise");
    this.counts.movesGiven++;
    peer.send({ t: "yours", shard, epoch: handed.epoch, ok: true, tail: handed.tail });
    this.look(shard);
  }

  async #leave(shard: ShardId, to: NodeRef | undefined) {
    const { roles, directory, self, clock, limits, changed } = this.#options;
    this.leaving.add(shard);
    const handed = await roles.giveUp(shard).finally(() => this.leaving.delete(shard));
    directory.left(shard, self);
    if (handed !== undefined) this.#agent(shard).claimed = 0;
    if (handed !== undefined && to !== undefined)
      this.#agent(shard).handed = { to, epoch: handed.epoch, untilMs: clock.monotonic() + limits.handoffMs };
    changed(shard);
    return handed;
  }

  #given(said: Extract<PeerSaid, { t: "yours" }>): void {
    const { shard } = said;
    const agent = this.#agent(shard);
    if (!said.ok) {
      this.#options.clock.after(takeMs, () => this.look(shard));
      return;
    }
    agent.granted = true;
    this.look(shard);
  }

  #agent(shard: ShardId): Agent {
    let agent = this.#agents.get(shard);
    if (agent === undefined) {
      agent = {
        busy: false,
        tries: 0,
        again: false,
        handed: undefined,
        granted: false,
        claimed: 0,
        fencedUntilMs: 0,
        tookMs: Number.NEGATIVE_INFINITY,
      };
      this.#agents.set(shard, agent);
    }
    return agent;
  }
}

function meantFor(target: ShardTarget | undefined, self: NodeRef): "owner" | "to" | "standby" | undefined {
  if (target === undefined) return undefined;
  if (sameNode(target.owner, self)) return "owner";
  if (sameNode(target.to, self)) return "to";
  return target.standbys.some((standby) => sameNode(standby, self)) ? "standby" : undefined;
}
