/**
 * Steps the coordinator while this node holds its lease, and performs what it asks for. Tells the coordinator what this node reports, wherever
 * it is.
 *
 * Invariants: what is written is written under the token of the lease, so a holder of before changes nothing; writes of one holder do not
 * overlap; when the lease is in doubt the state is dropped, since nothing in it has to be kept.
 */

import { stepCoordinator } from "../../core/cluster/coordinator.ts";
import {
  type AssignmentOutcome,
  type Coordinator,
  type CoordinatorEffect,
  type CoordinatorInput,
  type CoordinatorPicture,
  coordinatorDefault,
  makeCoordinator,
  type OperatorVerb,
} from "../../core/cluster/coordinator-state.ts";
import type { NodeRef, NodeReport } from "../../model/cluster.ts";
import { HoldfastError, isErrorCode } from "../../model/errors.ts";
import type { Limits } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import { type Coordination, type LeaseToken, leaseUsable, type Picture } from "../../ports/coordination.ts";
import type { Plain } from "../../std/plain.ts";
import type { PeerSaid, PeerVerb } from "../../wire/peer.ts";
import type { Peer, Peers } from "./peers.ts";

const leaseName = "coordinator";
/** Between ticks of the coordinator. */
const tickMs = 100;
/**
 * What is left without a coordinator waits for its lease to lapse, so this one is short: losing it costs nothing but another's start. Long
 * enough for a pause of a garbage collection.
 */
const leaseMost = 600;
/** Between attempts to get the lease of one that cannot be reached. */
const vacantMs = 50;
/** An operator's verb that finds no coordinator waits this long between attempts, and so long in all. */
const verbAgainMs = 100;

type Answer = (failure: { readonly code: string; readonly detail: string } | undefined) => void;

interface Holding {
  readonly token: LeaseToken;
  readonly state: Coordinator;
  untilMs: number;
}

export interface CoordinatorHostOptions {
  readonly self: NodeRef;
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly limits: Limits;
  /** Of the coordinator at most so long as that of a member. */
  readonly leaseMs: number;
  readonly standbys: number;
  readonly shardCount: number;
  readonly report: () => NodeReport;
  /** This node can reach the member of this name. */
  readonly reaches: (node: string) => boolean;
  /** What was written shows at once: here, and at the others. Never rejects. */
  readonly written: () => Promise<void>;
  readonly fault: (where: string, error: unknown) => void;
}

export class CoordinatorHost {
  readonly #options: CoordinatorHostOptions;
  readonly #leaseMs: number;
  #holding: Holding | undefined;
  /** Coordinators that this node deposed, and the running of each. */
  readonly #deposed = new Map<string, number>();
  /** The next attempt takes the lease from this holding. */
  #over: LeaseToken | undefined;
  #picture: Picture | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  #cancelTick: () => void = () => {};
  #cancelLease: () => void = () => {};

  constructor(options: CoordinatorHostOptions) {
    this.#options = options;
    this.#leaseMs = Math.min(options.leaseMs, leaseMost);
  }

  /** This node coordinates, as far as it knows. */
  get holds(): boolean {
    return this.#holding !== undefined && this.#options.clock.monotonic() < this.#holding.untilMs;
  }

  start(): void {
    this.#leaseSoon(0);
    this.#tickSoon();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTick();
    this.#cancelLease();
    const holding = this.#holding;
    this.#drop();
    await this.#writing;
    if (holding !== undefined)
      await this.#options.coordination
        .release(leaseName, holding.token)
        .catch((error: unknown) => this.#options.fault("the coordinator's lease", error));
  }

  /** @returns whether another node coordinates */
  pictured(picture: Picture): boolean {
    const before = this.#coordinator;
    this.#picture = picture;
    this.#step({ kind: "picture", picture: picture as unknown as CoordinatorPicture });
    return before !== this.#coordinator;
  }

  /**
   * The connection with a member ended. If it coordinates, it is deposed, dead or not: another coordinator costs nothing, none costs time.
   * Of one running once: two that have only lost each other do not go on deposing each other.
   */
  gone({ node, generation }: NodeRef): void {
    if (node !== this.#coordinator || this.#holding !== undefined || this.#options.reaches(node)) return;
    const known = new Set(this.#picture?.members.map((member) => member.node));
    for (const name of this.#deposed.keys()) if (!known.has(name)) this.#deposed.delete(name);
    if (this.#deposed.get(node) !== generation) this.#over = this.#lease?.token;
    this.#deposed.set(node, generation);
    this.#leaseSoon(0);
  }

  /** Sends this node's report to whoever coordinates. */
  tell(report: NodeReport, peers: Peers): void {
    if (this.holds) return this.#step({ kind: "report", report });
    const node = this.#coordinator;
    for (const peer of peers.all) if (peer.ref.node === node) peer.send({ t: "status", report });
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid): boolean {
    if (said.t === "status") this.#step({ kind: "report", report: said.report });
    else if (said.t === "verb") {
      const { id } = said;
      this.#take(said, (failure) => {
        const code = failure !== undefined && isErrorCode(failure.code) ? failure.code : "unavailable";
        peer.send(
          failure === undefined
            ? { t: "verb-answer", id, ok: true }
            : { t: "verb-answer", id, ok: false, code, detail: failure.detail },
        );
      });
    } else return false;
    return true;
  }

  /** Has the coordinator do what an operator asks. @throws `unavailable`, `invalid-input`, `overloaded` */
  async ask(verb: PeerVerb, peers: Peers): Promise<void> {
    const { clock, limits } = this.#options;
    const untilMs = clock.monotonic() + limits.routeWaitMs;
    for (;;) {
      const failure = await this.#askOnce(verb, peers);
      if (failure === undefined) return;
      const code = isErrorCode(failure.code) ? failure.code : "unavailable";
      if (code !== "unavailable" || clock.monotonic() >= untilMs) throw new HoldfastError(code, failure.detail);
      await new Promise<void>((resolve) => clock.after(verbAgainMs, resolve));
    }
  }

  #askOnce(verb: PeerVerb, peers: Peers): Promise<{ code: string; detail: string } | undefined> {
    return new Promise((resolve) => {
      if (this.holds) return this.#take(verb, resolve);
      const none = { code: "unavailable", detail: "There is no coordinator at the moment; ask again." };
      const peer = [...peers.all].find(({ ref }) => ref.node === this.#coordinator);
      const sent = peer?.askVerb(verb, (answer) => resolve(answer.kind === "verb" ? answer.failure : none));
      if (sent !== true) resolve(none);
    });
  }

  get #lease() {
    return this.#picture?.leases.find(({ name, leftMs }) => name === leaseName && leftMs > 0);
  }

  get #coordinator(): string | undefined {
    return this.#lease?.node;
  }

  #take(verb: PeerVerb, answer: Answer): void {
    if (!this.holds)
      return answer({ code: "unavailable", detail: "This node does not coordinate at the moment; ask again." });
    this.#step({ kind: "verb", verb: verbOf(verb), caller: { answer } });
  }

  #step(input: WithoutTime<CoordinatorInput>): void {
    const holding = this.#holding;
    if (holding === undefined) return;
    if (!this.holds) return this.#drop();
    const effects: CoordinatorEffect[] = [];
    stepCoordinator(holding.state, { ...input, nowMs: this.#options.clock.monotonic() } as CoordinatorInput, effects);
    if (effects.length > 0) this.#perform(holding, effects);
  }

  #perform(holding: Holding, effects: readonly CoordinatorEffect[]): void {
    for (const effect of effects) {
      if (effect.kind !== "answer") continue;
      const { answer } = effect.caller as { answer: Answer };
      answer(effect.failure && { code: effect.failure.code, detail: effect.failure.message });
    }
    const writes = effects.filter(({ kind }) => kind !== "answer");
    if (writes.length === 0) return;
    this.#writing = (this.#writing ?? Promise.resolve()).then(async () => {
      for (const effect of writes) await this.#write(holding, effect);
    });
  }

  async #write(holding: Holding, effect: CoordinatorEffect): Promise<void> {
    const { coordination, fault } = this.#options;
    try {
      if (effect.kind === "evict") await coordination.evict(effect.member);
      else if (effect.kind === "describe") await coordination.describe(effect.member, effect.info as unknown as Plain);
      else if (effect.kind === "assign") await this.#assign(holding, effect);
    } catch (error) {
      fault(`the coordinator's ${effect.kind}`, error);
    }
    if (!this.#closed) await this.#options.written();
  }

  async #assign(holding: Holding, { changes }: Extract<CoordinatorEffect, { kind: "assign" }>): Promise<void> {
    const { coordination, fault } = this.#options;
    const asked = changes.map(({ shard, expected, target }) => ({
      shard,
      expected,
      target: target as unknown as Plain,
    }));
    const results = await coordination
      .assign(asked, { name: leaseName, token: holding.token })
      .catch((error: unknown) => {
        fault("the coordinator's assignments", error);
        return undefined;
      });
    const outcomes = changes.map((change, index) => {
      const outcome: AssignmentOutcome = results?.[index] ?? { ok: false, reason: "unknown" };
      return { change, outcome };
    });
    if (this.#holding === holding) this.#step({ kind: "assigned", outcomes });
  }

  #tickSoon(): void {
    if (this.#closed) return;
    this.#cancelTick = this.#options.clock.after(tickMs, () => {
      this.#step({ kind: "tick" });
      this.#tickSoon();
    });
  }

  #leaseSoon(afterMs: number): void {
    if (this.#closed) return;
    this.#cancelLease();
    this.#cancelLease = this.#options.clock.after(afterMs, () => void this.#keepLease());
  }

  async #keepLease(): Promise<void> {
    const { coordination, clock, self, fault, reaches } = this.#options;
    const leaseMs = this.#leaseMs;
    const fromMs = clock.monotonic();
    const untilMs = fromMs + leaseMs * leaseUsable;
    try {
      const holding = this.#holding;
      if (holding === undefined) {
        const over = this.#over;
        this.#over = undefined;
        const token = await coordination.acquire(leaseName, self.node, leaseMs, over);
        if (this.#closed) return;
        if (token !== undefined) this.#begin(token, untilMs);
      } else if (await coordination.extend(leaseName, holding.token, leaseMs)) holding.untilMs = untilMs;
      else this.#drop();
    } catch (error) {
      fault("the coordinator's lease", error);
    }
    const [holder, holds] = [this.#coordinator, this.#holding !== undefined];
    if (holds || holder === undefined || reaches(holder)) this.#leaseSoon(leaseMs / 4);
    else this.#leaseSoon(Math.min(vacantMs, leaseMs / 4));
  }

  #begin(token: LeaseToken, untilMs: number): void {
    const { self, shardCount, standbys } = this.#options;
    const state = makeCoordinator({ ...coordinatorDefault, self, shardCount, standbys });
    this.#holding = { token, state, untilMs };
    const picture = this.#picture;
    if (picture !== undefined) this.#step({ kind: "picture", picture: picture as unknown as CoordinatorPicture });
    this.#step({ kind: "report", report: this.#options.report() });
    void this.#options.written();
  }

  /** Whoever waits for a verb asks the next one. */
  #drop(): void {
    const holding = this.#holding;
    this.#holding = undefined;
    for (const { caller } of holding?.state.verbs ?? [])
      (caller as { answer: Answer }).answer({
        code: "unavailable",
        detail: "The coordinator is another node now; ask again.",
      });
  }
}

type WithoutTime<Each> = Each extends unknown ? Omit<Each, "nowMs"> : never;

function verbOf(verb: PeerVerb): OperatorVerb {
  if (verb.verb === "move") return { kind: "move", shards: verb.shards, to: verb.to };
  if (verb.verb === "pin") return { kind: "pin", shards: verb.shards, to: verb.to };
  return { kind: "drain", node: verb.node, on: verb.on };
}
