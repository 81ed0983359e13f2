/**
 * Coordination as one simulated process has it open: slow, sometimes without an answer, away with its database.
 *
 * Invariant: what was asked is carried out once, twice (its answer was lost, and it was asked again) or, if the caller is told
 * `unavailable`, perhaps.
 */
import type { NodeRef, ShardTarget } from "../../model/cluster.ts";
import { HoldfastError } from "../../model/errors.ts";
import type {
  Change,
  ChangeResult,
  Coordination,
  Generation,
  LeaseToken,
  MemberId,
  Picture,
} from "../../ports/coordination.ts";
import type { Plain } from "../../std/plain.ts";
import type { Database } from "./database.ts";
import type { SimProcess } from "./sim-process.ts";

export class SimCoordination implements Coordination {
  readonly #database: Database;
  readonly #process: SimProcess;
  readonly #store: Coordination;
  readonly #closing = new AbortController();

  constructor(database: Database, process: SimProcess) {
    this.#database = database;
    this.#process = process;
    this.#store = database.openClient();
  }

  join(node: string, info: Plain, leaseMs: number): Promise<Generation> {
    return this.#ask(() => this.#store.join(node, info, leaseMs));
  }

  renew(member: MemberId, leaseMs: number): Promise<boolean> {
    return this.#ask(() => this.#store.renew(member, leaseMs));
  }

  describe(member: MemberId, info: Plain): Promise<boolean> {
    return this.#ask(() => this.#store.describe(member, info));
  }

  leave(member: MemberId): Promise<boolean> {
    return this.#ask(() => this.#store.leave(member));
  }

  evict(member: MemberId): Promise<boolean> {
    return this.#ask(() => this.#store.evict(member));
  }

  acquire(name: string, node: string, leaseMs: number, over?: LeaseToken): Promise<LeaseToken | undefined> {
    return this.#ask(() => this.#store.acquire(name, node, leaseMs, over));
  }

  extend(name: string, token: LeaseToken, leaseMs: number): Promise<boolean> {
    return this.#ask(() => this.#store.extend(name, token, leaseMs));
  }

  release(name: string, token: LeaseToken): Promise<void> {
    return this.#ask(() => this.#store.release(name, token));
  }

  assign(
    changes: readonly Change[],
    under?: { readonly name: string; readonly token: LeaseToken },
  ): Promise<readonly ChangeResult[]> {
    return this.#ask(async () => {
      const results = await this.#store.assign(changes, under);
      for (const [index, result] of results.entries()) this.#noteAssigned(changes[index] as Change, result);
      const held = under && this.#database.coordination.leases.get(under.name);
      if (results.some(({ ok }) => ok) && (held === undefined || held.token !== under?.token))
        this.#database.world.violated("only who holds the lease assigns", JSON.stringify(changes));
      return results;
    });
  }

  #noteAssigned({ shard, target }: Change, result: ChangeResult): void {
    const { owner, standbys, to, pin } = target as unknown as ShardTarget;
    const name = (ref: NodeRef | undefined) => (ref === undefined ? "nobody" : `${ref.node}.${ref.generation}`);
    const parts = [`owner ${name(owner)}`, `standbys ${standbys.map(name).join(" ") || "none"}`];
    if (to !== undefined) parts.push(`to ${name(to)}`);
    if (pin !== undefined) parts.push(`pin ${pin}`);
    const told = result.ok ? `version ${result.version}` : result.reason;
    this.#database.world.note(`assigned by ${this.#process.name}: shard ${shard}: ${parts.join(", ")}: ${told}`);
  }

  look(): Promise<Picture> {
    return this.#ask(() => this.#store.look());
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Picture> {
    const ended = () => signal.aborted || this.#closing.signal.aborted;
    let told = "";
    while (!ended()) {
      const news = await this.#ask(async () => this.#glance());
      if (news !== told && !ended()) yield await this.look();
      told = news;
      await this.#pause(signal);
    }
  }

  /** What makes a picture another. */
  #glance(): string {
    const { version, members, clock } = this.#database.coordination;
    const nowMs = clock.monotonic();
    const lapsed = [...members].flatMap(([node, { untilMs }]) => (untilMs <= nowMs ? [node] : []));
    return `${version} ${lapsed.join()}`;
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }

  #pause(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#process.clock.after(this.#database.swarm.pollMs, end);
      function end(): void {
        cancel();
        signal.removeEventListener("abort", end);
        resolve();
      }
      signal.addEventListener("abort", end);
    });
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closing.signal.aborted) throw new HoldfastError("internal", "Broken invariant: no call follows close()");
    const { world, swarm } = this.#database;
    return this.#process.ask(() =>
      this.#database.repeat("coordination", async () => {
        await this.#database.wait(swarm.coordination);
        const isLost = world.unlucky(swarm.coordinationLoss);
        if (isLost && world.prng.chance(0.5)) throw noAnswer();
        const answer = await call();
        await this.#database.wait(swarm.coordination);
        if (isLost) throw noAnswer();
        return answer;
      }),
    );
  }
}

function noAnswer(): HoldfastError {
  return new HoldfastError("unavailable", "Coordination did not answer.");
}
