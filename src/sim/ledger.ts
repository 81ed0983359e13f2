/**
 * What sends and timers of the log must add up to (calls: `outside.ts`): each send received once and settled once, each timer fired once and
 * not before its time, and no money made or lost on the way.
 *
 * Invariant: it reads records only, in the order of each shard's log; between shards in any order, since a process that
 * recovers reads shards one after the other.
 */
import { formatRef } from "../model/ids.ts";
import type { Captured, MarkRecord } from "../model/marks.ts";
import type { StepRecord } from "../model/records.ts";
import type { World } from "./world.ts";

interface Pair {
  sent: number;
  received: number;
  settled: number;
  /** Outcomes of sends whose settling was not seen, and refunds of sends whose outcome was not. */
  readonly failed: Map<number, boolean>;
}

interface OpenTimer {
  readonly setAt: number;
  readonly dueMs: number;
}

export class Ledger {
  readonly #world: World;
  readonly #pairs = new Map<string, Pair>();
  readonly #timers = new Map<string, Map<string, OpenTimer>>();
  #granted = 0;
  #held = 0;
  #inFlight = 0;
  #unsettled = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Timers, sends and calls that are still to come. */
  get open(): number {
    let timers = 0;
    for (const names of this.#timers.values()) timers += names.size;
    return timers + this.#unsettled + this.#world.outside.open;
  }

  describeOpen(): string {
    const timers = [...this.#timers].flatMap(([entity, names]) => [...names.keys()].map((name) => `${entity}!${name}`));
    const pairs = [...this.#pairs].filter(([, { sent, received, settled }]) => sent !== settled || sent !== received);
    const sends = pairs.map(([pair, { sent, received, settled }]) => `${pair} ${sent}/${received}/${settled}`);
    return [...timers, ...sends, this.#world.outside.describeOpen()].join(", ");
  }

  /** An operator left out the command that was held: its timer is gone, its send was answered. A second skip does nothing. */
  skip(mark: MarkRecord, { command, cause }: Captured, at: number): void {
    if (cause.kind === "request") return;
    const entity = formatRef(mark.entity);
    if (cause.kind === "timer" && this.#timers.get(entity)?.get(cause.name)?.setAt !== cause.setAt) return;
    if (cause.kind === "send" && this.#pair(`${formatRef(cause.from)} > ${entity}`).received >= cause.sequence) return;
    if (cause.kind === "settled" && this.#pair(`${entity} > ${formatRef(cause.to)}`).settled >= cause.sequence) return;
    if (cause.kind === "timer") return void this.#timers.get(entity)?.delete(cause.name);
    const outcome = { ok: false, code: "quarantined", reason: "", details: null } as const;
    const { time } = mark;
    const nothing = { events: [], sends: [], timers: [], calls: [] };
    this.apply({ kind: "step", time, entity: mark.entity, command, cause, outcome, ...nothing }, at);
  }

  apply(record: StepRecord, at: number): void {
    const entity = formatRef(record.entity);
    this.#takeCause(record, entity, at);
    this.#world.outside.apply(record, at);
    for (const change of record.timers) {
      let names = this.#timers.get(entity);
      if (names === undefined) this.#timers.set(entity, (names = new Map()));
      if (change.dueMs === null) names.delete(change.name);
      else names.set(change.name, { setAt: at, dueMs: change.dueMs });
    }
    for (const send of record.sends) this.#takeSend(entity, formatRef(send.to), send);
    for (const event of record.events) this.#takeMoney(event.name, event.payload);
  }

  /** Holds whenever every shard was read up to one moment. */
  checkMoney(when: string): void {
    const sum = this.#held + this.#inFlight;
    if (sum === this.#granted) return;
    const detail = `${when}: ${this.#granted} granted, ${this.#held} in wallets and ${this.#inFlight} under way`;
    this.#world.violated("money is kept", detail);
  }

  /** At rest nothing is open. */
  checkRest(): void {
    if (this.open > 0) this.#world.violated("nothing is stuck", `still open: ${this.describeOpen()}`);
    if (this.#inFlight !== 0) this.#world.violated("money is kept", `${this.#inFlight} are still under way`);
  }

  #takeCause(record: StepRecord, entity: string, at: number): void {
    const { cause } = record;
    if (cause.kind === "timer") {
      const timer = this.#timers.get(entity)?.get(cause.name);
      if (timer?.setAt !== cause.setAt) {
        this.#world.violated("timers fire once", `${entity}!${cause.name} set at ${cause.setAt} fired again at ${at}`);
      } else if (record.time < timer.dueMs) {
        this.#world.violated(
          "timers are not early",
          `${entity}!${cause.name} fired ${timer.dueMs - record.time} ms early`,
        );
      }
      this.#timers.get(entity)?.delete(cause.name);
    } else if (cause.kind === "send") {
      const name = `${formatRef(cause.from)} > ${entity}`;
      const pair = this.#pair(name);
      if (cause.sequence !== ++pair.received) {
        this.#world.violated("sends arrive once", `${name}: ${cause.sequence} was received as number ${pair.received}`);
      }
      this.#checkRefund(pair, cause.sequence, !record.outcome.ok, name);
      const credited = record.events.find((event) => event.name === "credited");
      if (credited !== undefined) this.#inFlight -= amountOf(credited.payload);
    } else if (cause.kind === "settled") {
      const name = `${entity} > ${formatRef(cause.to)}`;
      const pair = this.#pair(name);
      this.#unsettled--;
      if (cause.sequence !== ++pair.settled || pair.settled > pair.sent) {
        this.#world.violated("sends settle once", `${name}: ${cause.sequence} settled as number ${pair.settled}`);
      }
      const refund = record.events.find((event) => event.name === "refunded");
      if (refund !== undefined) this.#inFlight -= amountOf(refund.payload);
      if (record.command === "settle") this.#checkRefund(pair, cause.sequence, refund !== undefined, name);
    }
  }

  #takeSend(from: string, to: string, send: StepRecord["sends"][number]): void {
    const name = `${from} > ${to}`;
    const pair = this.#pair(name);
    this.#unsettled++;
    if (send.sequence !== ++pair.sent) {
      this.#world.violated("sends are in order", `${name}: ${send.sequence} was sent as number ${pair.sent}`);
    }
    if (send.command === "credit") this.#inFlight += amountOf(send.input);
  }

  /** The money of a send comes back exactly if its receiver refused it. The two may be seen in either order. */
  #checkRefund(pair: Pair, sequence: number, failed: boolean, name: string): void {
    const known = pair.failed.get(sequence);
    if (known === undefined) pair.failed.set(sequence, failed);
    else if (known !== failed)
      this.#world.violated("sends settle once", `${name}: ${sequence} settled with another outcome`);
  }

  #takeMoney(event: string, payload: unknown): void {
    const amount = amountOf(payload);
    if (event === "granted") this.#granted += amount;
    if (event === "granted" || event === "credited" || event === "refunded") this.#held += amount;
    if (event === "debited") this.#held -= amount;
  }

  #pair(name: string): Pair {
    let pair = this.#pairs.get(name);
    if (pair === undefined) this.#pairs.set(name, (pair = { sent: 0, received: 0, settled: 0, failed: new Map() }));
    return pair;
  }
}

function amountOf(payload: unknown): number {
  return Number((payload as { amount?: number } | null)?.amount ?? 0);
}
