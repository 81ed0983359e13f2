/**
 * Coordination in memory: for one process, for tests and for the simulator.
 *
 * Invariants: the same answers as the durable ones. Leases lapse by the clock of the store, which several clients may share as
 * several nodes share a database.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { ShardId } from "../../model/ids.ts";
import type { Clock } from "../../ports/clock.ts";
import type {
  Assignment,
  Change,
  ChangeResult,
  Coordination,
  Generation,
  LeaseToken,
  MemberId,
  Picture,
} from "../../ports/coordination.ts";
import { checkChanges, checkLease, checkName } from "../../ports/coordination-checks.ts";
import type { Plain } from "../../std/plain.ts";

/** What outlives a client that is closed. */
export interface CoordinationStore {
  readonly clock: Clock;
  version: number;
  generations: number;
  readonly members: Map<string, { generation: Generation; info: Plain; untilMs: number }>;
  readonly leases: Map<string, { node: string | undefined; token: LeaseToken; untilMs: number }>;
  readonly assignments: Map<ShardId, Assignment>;
}

/** @param clock its monotonic time is the store's */
export function createCoordinationStore(clock: Clock): CoordinationStore {
  return { clock, version: 1, generations: 0, members: new Map(), leases: new Map(), assignments: new Map() };
}

/** @param pollMs between two looks of a watch. Default 50. */
export function openMemoryCoordination(store: CoordinationStore, pollMs = 50): Coordination {
  return new MemoryCoordination(store, pollMs);
}

class MemoryCoordination implements Coordination {
  readonly #store: CoordinationStore;
  readonly #pollMs: number;
  readonly #closing = new AbortController();

  constructor(store: CoordinationStore, pollMs: number) {
    this.#store = store;
    this.#pollMs = pollMs;
  }

  async join(node: string, info: Plain, leaseMs: number): Promise<Generation> {
    this.#check(() => checkLease(node, leaseMs));
    const generation = ++this.#store.generations;
    this.#store.version++;
    this.#store.members.set(node, { generation, info: structuredClone(info), untilMs: this.#nowMs + leaseMs });
    return generation;
  }

  async renew(member: MemberId, leaseMs: number): Promise<boolean> {
    this.#check(() => checkLease(member.node, leaseMs));
    const found = this.#current(member);
    if (found === undefined || found.untilMs <= this.#nowMs) return false;
    found.untilMs = this.#nowMs + leaseMs;
    return true;
  }

  async describe(member: MemberId, info: Plain): Promise<boolean> {
    this.#check(() => checkName(member.node));
    const found = this.#current(member);
    if (found === undefined || found.untilMs <= this.#nowMs) return false;
    found.info = structuredClone(info);
    this.#store.version++;
    return true;
  }

  async leave(member: MemberId): Promise<boolean> {
    this.#check(() => checkName(member.node));
    return this.#current(member) !== undefined && this.#remove(member.node);
  }

  async evict(member: MemberId): Promise<boolean> {
    this.#check(() => checkName(member.node));
    const found = this.#current(member);
    return found !== undefined && found.untilMs <= this.#nowMs && this.#remove(member.node);
  }

  async acquire(name: string, node: string, leaseMs: number): Promise<LeaseToken | undefined> {
    this.#check(() => checkLease(name, leaseMs));
    checkName(node);
    const held = this.#store.leases.get(name);
    if (held?.node !== undefined && held.node !== node && held.untilMs > this.#nowMs) return undefined;
    const token = (held?.token ?? 0) + 1;
    this.#store.leases.set(name, { node, token, untilMs: this.#nowMs + leaseMs });
    return token;
  }

  async extend(name: string, token: LeaseToken, leaseMs: number): Promise<boolean> {
    this.#check(() => checkLease(name, leaseMs));
    const held = this.#held(name, token);
    if (held === undefined) return false;
    held.untilMs = this.#nowMs + leaseMs;
    return true;
  }

  async release(name: string, token: LeaseToken): Promise<void> {
    this.#check(() => checkName(name));
    const held = this.#store.leases.get(name);
    if (held?.token !== token) return;
    held.node = undefined;
    held.untilMs = this.#nowMs;
  }

  async assign(
    changes: readonly Change[],
    under?: { readonly name: string; readonly token: LeaseToken },
  ): Promise<readonly ChangeResult[]> {
    this.#check(() => checkChanges(changes));
    if (under !== undefined && this.#held(under.name, under.token) === undefined)
      return changes.map(() => ({ ok: false, reason: "deposed" }));
    if (changes.length > 0) this.#store.version++;
    return changes.map(({ shard, expected, target }): ChangeResult => {
      if ((this.#store.assignments.get(shard)?.version ?? 0) !== expected) return { ok: false, reason: "stale" };
      const version = expected + 1;
      this.#store.assignments.set(shard, { shard, version, target: structuredClone(target) });
      return { ok: true, version };
    });
  }

  async look(): Promise<Picture> {
    this.#check(() => {});
    const { version, members, leases, assignments } = this.#store;
    const left = (untilMs: number) => Math.max(0, untilMs - this.#nowMs);
    return structuredClone({
      version,
      members: [...members]
        .map(([node, { generation, info, untilMs }]) => ({ node, generation, info, leftMs: left(untilMs) }))
        .sort((one, other) => (one.node < other.node ? -1 : 1)),
      leases: [...leases]
        .map(([name, { node, token, untilMs }]) => ({ name, token, node, leftMs: left(untilMs) }))
        .sort((one, other) => (one.name < other.name ? -1 : 1)),
      assignments: [...assignments.values()].sort((one, other) => one.shard - other.shard),
    });
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Picture> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    let told = "";
    while (!ended.aborted) {
      const picture = await this.look();
      const news = JSON.stringify([
        picture.version,
        picture.members.filter(({ leftMs }) => leftMs === 0).map(({ node }) => node),
        picture.leases.map(({ name, token, node }) => [name, token, node]),
      ]);
      if (news !== told) yield picture;
      told = news;
      await waited(this.#store.clock, this.#pollMs, ended);
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  get #nowMs(): number {
    return this.#store.clock.monotonic();
  }

  #current({ node, generation }: MemberId) {
    const found = this.#store.members.get(node);
    return found?.generation === generation ? found : undefined;
  }

  #held(name: string, token: LeaseToken) {
    const held = this.#store.leases.get(name);
    return held?.token === token && held.node !== undefined && held.untilMs > this.#nowMs ? held : undefined;
  }

  #remove(node: string): true {
    this.#store.members.delete(node);
    this.#store.version++;
    return true;
  }

  #check(arguments_: () => void): void {
    if (this.#closing.signal.aborted) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    arguments_();
  }
}

/** Resolves after the time, or when the signal aborts. */
async function waited(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const cancel = clock.after(ms, done);
    function done(): void {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
