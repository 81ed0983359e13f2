/**
 * This node as a member: joins, renews its lease, watches the picture.
 *
 * The renewal is tied to the event loop: it is counted from before it was asked for, on this node's own monotonic clock, and a node that was
 * stuck for longer than it may rely on its lease knows itself to be none any more. Invariant: `held` is true only while coordination lets nobody
 * else take it for granted that this node is gone.
 */
import type { NodeInfo, NodeRef } from "../../model/cluster.ts";
import type { Clock } from "../../ports/clock.ts";
import { type Coordination, leaseUsable, type Picture } from "../../ports/coordination.ts";
import type { Plain } from "../../std/plain.ts";

/** Between attempts when coordination does not answer. */
const againMs = 100;

export interface MembershipOptions {
  readonly node: string;
  readonly coordination: Coordination;
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly pictured: (picture: Picture) => void;
  /** The membership is over: another running joined, or the lease lapsed. The node must not go on as this generation. */
  readonly lost: () => void;
  readonly fault: (where: string, error: unknown) => void;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #ending = new AbortController();
  #self: NodeRef | undefined;
  #info: NodeInfo | undefined;
  #untilMs = Number.NEGATIVE_INFINITY;
  #cancel: () => void = () => {};
  #looking: Promise<void> | undefined;
  /** Begins when the look under way has ended. */
  #nextLook: Promise<void> | undefined;
  #version = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Its lease holds, by this node's own clock. */
  get held(): boolean {
    return this.#options.clock.monotonic() < this.#untilMs;
  }

  get info(): NodeInfo | undefined {
    return this.#info;
  }

  /** @param info what is told of it, once its generation is known: its address may depend on that */
  async join(info: NodeInfo): Promise<NodeRef> {
    const { coordination, node, leaseMs, clock } = this.#options;
    const fromMs = clock.monotonic();
    const generation = await coordination.join(node, info as unknown as Plain, leaseMs);
    this.#untilMs = fromMs + leaseMs * leaseUsable;
    this.#info = info;
    this.#self = { node, generation };
    return this.#self;
  }

  /** Begins to renew and to watch. */
  start(): void {
    this.#renewSoon(this.#options.leaseMs / 4);
    void this.#watch();
  }

  /** Tells the picture as of now. Those who ask during a look share the next one. */
  look(): Promise<void> {
    if (this.#looking === undefined) {
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
      });
      return this.#looking;
    }
    this.#nextLook ??= this.#looking.then(() => {
      this.#nextLook = undefined;
      return this.look();
    });
    return this.#nextLook;
  }

  async describe(info: NodeInfo): Promise<void> {
    if (this.#self === undefined) return;
    await this.#options.coordination.describe(this.#self, info as unknown as Plain);
    this.#info = info;
  }

  async leave(): Promise<void> {
    this.close();
    const self = this.#self;
    this.#self = undefined;
    this.#untilMs = Number.NEGATIVE_INFINITY;
    if (self !== undefined) await this.#options.coordination.leave(self);
  }

  close(): void {
    this.#ending.abort();
    this.#cancel();
  }

  #renewSoon(afterMs: number): void {
    if (this.#ending.signal.aborted) return;
    this.#cancel = this.#options.clock.after(afterMs, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { coordination, clock, leaseMs, fault, lost } = this.#options;
    const self = this.#self;
    if (self === undefined) return;
    const fromMs = clock.monotonic();
    try {
      const renewed = await coordination.renew(self, leaseMs);
      if (this.#ending.signal.aborted) return;
      if (!renewed) {
        this.close();
        this.#untilMs = Number.NEGATIVE_INFINITY;
        return lost();
      }
      this.#untilMs = fromMs + leaseMs * leaseUsable;
      this.#renewSoon(leaseMs / 4);
    } catch (error) {
      fault("the renewal of this node's lease", error);
      this.#renewSoon(againMs);
    }
  }

  async #look(): Promise<void> {
    const { coordination, fault } = this.#options;
    try {
      if (!this.#ending.signal.aborted) this.#told(await coordination.look());
    } catch (error) {
      if (!this.#ending.signal.aborted) fault("the cluster's picture", error);
    }
  }

  /** An older picture than the last came by a slower way, or the store was put back: another look tells. */
  #told(picture: Picture): void {
    if (this.#ending.signal.aborted) return;
    const isOlder = picture.version < this.#version;
    this.#version = picture.version;
    if (isOlder) void this.look();
    else this.#options.pictured(picture);
  }

  async #watch(): Promise<void> {
    const { coordination, clock, fault } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        for await (const picture of coordination.watch(signal)) this.#told(picture);
      } catch (error) {
        if (!signal.aborted) fault("the watch of the cluster's picture", error);
      }
      if (!signal.aborted) await new Promise<void>((resolve) => clock.after(againMs, resolve));
    }
  }
}
