/**
 * The world outside of the service: gets the attempts at calls, and is slow, wrong, silent, or answers a process that is
 * gone. Keeps the book of what the log says of calls, and holds the attempts to it.
 *
 * Invariants checked: an attempt is at a call that is durable and not settled, and not parked; all attempts at one call have
 * one key, and no two calls share one; a call is settled by one record; what settles it with a result was returned by an
 * attempt; failures are counted without a gap, and only the last of the allowed ones parks it.
 */
import type { CallAttempt } from "../model/entity.ts";
import { formatRef, type Offset } from "../model/ids.ts";
import type { CallBody, StepRecord } from "../model/records.ts";
import { callKey } from "../runtime/calls.ts";
import { Prng } from "../std/prng.ts";
import type { Parcel } from "./courier.ts";
import type { World } from "./world.ts";

interface OpenCall {
  readonly order: string;
  readonly body: CallBody;
  readonly key: string;
  failed: number;
  allowed: number;
  parked: boolean;
}

export class Outside {
  readonly #world: World;
  readonly #prng: Prng;
  /** Calls that are not settled, by `type/key at.index`. */
  readonly #open = new Map<string, OpenCall>();
  readonly #openByOrder = new Map<string, OpenCall>();
  readonly #keys = new Map<string, string>();
  readonly #orders = new Map<string, string>();
  /** Orders that were carried out, and those of them that were told to whoever asked. */
  readonly #done = new Set<string>();
  /** Ends the process; the simulation says how. */
  crash: () => void = () => {};

  constructor(world: World) {
    this.#world = world;
    this.#prng = new Prng(world.swarm.seed * 7 + 3);
  }

  get open(): number {
    return this.#open.size;
  }

  describeOpen(): string {
    return [...this.#open].map(([name, { failed, parked }]) => `${name} ${parked ? "parked" : failed}`).join(", ");
  }

  isOpen(name: string): boolean {
    return this.#open.has(name);
  }

  /** An attempt. */
  deliver({ order }: Parcel, { key, attempt, signal }: CallAttempt): Promise<{ readonly order: string }> {
    this.#world.note(`outside: ${order} attempt ${attempt}`);
    this.#checkAttempt(order, key, attempt);
    const { timeline } = this.#world;
    const draw = this.#world.faulty ? this.#prng.integer(100) : 0;
    if (draw > 92) throw new Error("a handler that throws at once");
    return new Promise((resolve, reject) => {
      const answer = () => {
        this.#done.add(order);
        resolve({ order });
      };
      const pauseMs = this.#prng.pick([0, 1, 20, 200]);
      if (draw < 40) timeline.after(pauseMs, answer);
      else if (draw < 65) timeline.after(pauseMs, () => reject(new Error(`no: ${order}`)));
      else if (draw < 75) timeline.after(this.#prng.between(100, 5_000), answer);
      else if (draw < 80) timeline.after(pauseMs, () => resolve({ order: (() => order) as unknown as string }));
      else if (draw < 86) {
        // done outside, and the process is gone before it hears of it
        this.#done.add(order);
        timeline.after(pauseMs, () => {
          if (this.#world.faulty) this.crash();
          resolve({ order });
        });
      } else signal.addEventListener("abort", () => reject(new Error("aborted")));
    });
  }

  #checkAttempt(order: string, key: string, attempt: number): void {
    const call = this.#openByOrder.get(order);
    if (call === undefined) {
      this.#world.violated("calls rest on durable records", `attempt ${attempt} at ${order}, which does not stand`);
      return;
    }
    if (call.parked || attempt !== call.failed + 1)
      this.#world.violated("attempts are counted", `attempt ${attempt} at ${order} after ${call.failed} failures`);
    const known = this.#keys.get(order) ?? key;
    const user = this.#orders.get(key) ?? order;
    if (known !== key || user !== order || key !== call.key)
      this.#world.violated("a call has one key", `${order} came with ${key}, before with ${known}`);
    this.#keys.set(order, key);
    this.#orders.set(key, order);
  }

  /** A durable record. */
  apply(record: StepRecord, at: Offset): void {
    const entity = formatRef(record.entity);
    this.#takeCause(record, entity, at);
    for (const [index, body] of record.calls.entries()) {
      const { order } = body.input as unknown as Parcel;
      const key = callKey(record.entity, { at, index }, record.time);
      const call: OpenCall = { order, body, key, failed: 0, allowed: body.attempts, parked: false };
      this.#open.set(`${entity} ${at}.${index}`, call);
      this.#openByOrder.set(order, call);
    }
  }

  #takeCause(record: StepRecord, entity: string, at: Offset): void {
    const { cause } = record;
    if (!("call" in cause)) return;
    const name = `${entity} ${cause.call.at}.${cause.call.index}`;
    const call = this.#open.get(name);
    if (call === undefined) {
      this.#world.violated("calls settle once", `${name} does not stand, but "${cause.kind}" is at ${at}`);
      return;
    }
    switch (cause.kind) {
      case "called":
        this.#settled(record, call, name, cause.attempt);
        break;
      case "call-dropped":
        this.#close(name, call);
        break;
      case "call-retried":
        if (!call.parked || cause.by.kind !== "operator")
          this.#world.violated("only parked calls are retried", `${name} at ${at}`);
        call.parked = false;
        call.allowed = call.failed + call.body.attempts;
        break;
      default: {
        const { attempt, retryAtMs } = cause;
        const last = attempt >= call.allowed;
        if (attempt !== call.failed + 1 || last !== (retryAtMs === null))
          this.#world.violated("attempts are counted", `${name}: failure ${attempt} after ${call.failed} at ${at}`);
        call.failed = attempt;
        call.parked = retryAtMs === null;
      }
    }
  }

  #settled(record: StepRecord, call: OpenCall, name: string, attempt: number): void {
    const delivered = record.events.some((event) => event.name === "delivered");
    if (!this.#keys.has(call.order))
      this.#world.violated("calls are attempted", `${name} was settled without an attempt`);
    if (delivered && !this.#done.has(call.order))
      this.#world.violated("results are the outside's", `${name} was settled with a result nobody returned`);
    const last = call.body.failure === "settle" && attempt >= call.allowed;
    if (!delivered && call.body.result !== undefined && !last)
      this.#world.violated("calls settle once", `${name} was given up before its last attempt`);
    this.#close(name, call);
  }

  #close(name: string, call: OpenCall): void {
    this.#open.delete(name);
    this.#openByOrder.delete(call.order);
  }
}
