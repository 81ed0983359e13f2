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
import { type Coordination, type Lease, type LeaseToken, leaseUsable, type Picture } from "../../ports/coordination.ts";
import type { Plain } from "../../std/plain.ts";
import type { PeerSaid, PeerVerb } from "../../wire/peer.ts";
import type { Peer, Peers } from "./peers.ts";

const leaseName = "coordinator";
/** Between attempts to get the lease of a coordinator that cannot be reached. */
const vacantMs = 50;
/** Between ticks of the coordinator. */
const tickMs = 100;
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
  /**
   * Of the coordinator's lease: shorter than a member's, since what it writes is written under its token, and being wrong about it costs another
   * coordinator's first look.
   */
  readonly leaseMs: number;
  readonly standbys: number;
  readonly shardCount: number;
  readonly report: () => NodeReport;
  readonly peers: Peers;
  /** Looks at the picture as it is now, for the whole node. Never rejects. */
  readonly look: () => Promise<void>;
  /** Whoever coordinates has changed: this node's report is due. */
  readonly elected: () => void;
  readonly fault: (where: string, error: unknown) => void;
}

export class CoordinatorHost {
  readonly #options: CoordinatorHostOptions;
  #holding: Holding | undefined;
  /** Coordinators that this node deposed, and the running of each. */
  readonly #deposed = new Map<string, number>();
  /** The next attempt takes the lease from this holding. */
  #over: LeaseToken | undefined;
  #picture: Picture | undefined;
  #writing: Promise<void> | undefined;
  /** Who said last that it coordinates: a picture tells of leases only when something else in it has changed. */
  #told: { readonly node: string; readonly token: LeaseToken } | undefined;
  #closed = false;
  #cancelTick: () => void = () => {};
  #cancelLease: () => void = () => {};

  constructor(options: CoordinatorHostOptions) {
    this.#options = options;
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

  pictured(picture: Picture): void {
    this.#picture = picture;
    this.#step({ kind: "picture", picture: picture as unknown as CoordinatorPicture });
  }

  /**
   * The connection with a member ended. If it coordinates, it is deposed, dead or not: another coordinator costs nothing, none costs time.
   * Of one running once: two that have only lost each other do not go on deposing each other.
   */
  gone({ node, generation }: NodeRef): void {
    if (node !== this.#coordinator || this.#holding !== undefined || this.#options.peers.named(node) !== undefined)
      return;
    const known = new Set(this.#picture?.members.map((member) => member.node));
    for (const name of this.#deposed.keys()) if (!known.has(name)) this.#deposed.delete(name);
    if (this.#deposed.get(node) !== generation) this.#over = this.#lease?.token;
    this.#deposed.set(node, generation);
    this.#leaseSoon(0);
  }

  /** Sends this node's report to whoever coordinates. */
  tell(report: NodeReport): void {
    if (this.holds) return this.#step({ kind: "report", report });
    this.#options.peers.named(this.#coordinator)?.send({ t: "status", report });
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid): boolean {
    if (said.t === "status") this.#step({ kind: "report", report: said.report });
    else if (said.t === "coordinates") this.#hear(peer, said.token, said.version);
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
    } else if (said.t === "reports") {
      const { id } = said;
      const holding = this.#holding;
      const failure = {
        ok: false,
        code: "unavailable",
        detail: "This node does not coordinate at the moment.",
      } as const;
      peer.send({
        t: "reported",
        id,
        ...(holding === undefined ? failure : { ok: true, reports: reportsOf(holding) }),
      });
    } else return false;
    return true;
  }

  /** What nodes reported to whoever coordinates; nothing while nobody does. */
  reports(): Promise<readonly NodeReport[]> {
    return new Promise((resolve) => {
      if (this.#holding !== undefined) return resolve(reportsOf(this.#holding));
      const peer = this.#options.peers.named(this.#coordinator);
      const sent = peer?.askReports((answer) => resolve(answer.kind === "reports" ? answer.reports : []));
      if (sent !== true) resolve([]);
    });
  }

  /** Has the coordinator do what an operator asks. @throws `unavailable`, `invalid-input`, `overloaded` */
  async ask(verb: PeerVerb): Promise<void> {
    const { clock, limits } = this.#options;
    const untilMs = clock.monotonic() + limits.routeWaitMs;
    for (;;) {
      const failure = await this.#askOnce(verb);
      if (failure === undefined) return;
      const code = isErrorCode(failure.code) ? failure.code : "unavailable";
      if (code !== "unavailable" || clock.monotonic() >= untilMs) throw new HoldfastError(code, failure.detail);
      await new Promise<void>((resolve) => clock.after(verbAgainMs, resolve));
    }
  }

  #askOnce(verb: PeerVerb): Promise<{ code: string; detail: string } | undefined> {
    return new Promise((resolve) => {
      if (this.holds) return this.#take(verb, resolve);
      const none = { code: "unavailable", detail: "There is no coordinator at the moment; ask again." };
      const peer = this.#options.peers.named(this.#coordinator);
      const sent = peer?.askVerb(verb, (answer) => resolve(answer.kind === "verb" ? answer.failure : none));
      if (sent !== true) resolve(none);
    });
  }

  get #lease(): Lease | undefined {
    return this.#picture && leaseIn(this.#picture);
  }

  get #coordinator(): string | undefined {
    const lease = this.#lease;
    if (this.#told !== undefined && this.#told.token >= (lease?.token ?? 0)) return this.#told.node;
    return lease?.node;
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
    await this.#look();
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

  /** What was written shows at once, here and at the others. */
  async #look(): Promise<void> {
    if (this.#closed) return;
    await this.#options.look();
    if (this.#picture !== undefined) this.#tellAll(this.#picture.version);
  }

  #tellAll(version: number): void {
    const token = this.#holding?.token;
    if (token === undefined) return;
    for (const peer of this.#options.peers.all) peer.send({ t: "coordinates", token, version });
  }

  #hear({ ref: { node } }: Peer, token: LeaseToken, version: number): void {
    if (token > (this.#told?.token ?? 0)) {
      this.#told = { node, token };
      this.#options.elected();
    }
    if (version > (this.#picture?.version ?? 0)) void this.#options.look();
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
    const { coordination, clock, leaseMs, self, fault } = this.#options;
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
    const isVacant = this.#holding === undefined && this.#options.peers.named(this.#coordinator) === undefined;
    this.#leaseSoon(isVacant ? Math.min(vacantMs, leaseMs / 4) : leaseMs / 4);
  }

  #begin(token: LeaseToken, untilMs: number): void {
    const { self, shardCount, standbys } = this.#options;
    const state = makeCoordinator({ ...coordinatorDefault, self, shardCount, standbys });
    this.#holding = { token, state, untilMs };
    if (this.#picture !== undefined) this.pictured(this.#picture);
    this.#step({ kind: "report", report: this.#options.report() });
    void this.#look();
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

/** Who coordinates, by name. */
export function coordinatorOf(picture: Picture): string | undefined {
  return leaseIn(picture)?.node;
}

function leaseIn({ leases }: Picture): Lease | undefined {
  return leases.find(({ name, leftMs }) => name === leaseName && leftMs > 0);
}

function reportsOf({ state }: Holding): readonly NodeReport[] {
  return [...state.reports.values()].map(({ report }) => report);
}

type WithoutTime<Each> = Each extends unknown ? Omit<Each, "nowMs"> : never;

function verbOf(verb: PeerVerb): OperatorVerb {
  if (verb.verb === "move") return { kind: "move", shards: verb.shards, to: verb.to };
  if (verb.verb === "pin") return { kind: "pin", shards: verb.shards, to: verb.to };
  return { kind: "drain", node: verb.node, on: verb.on };
}
