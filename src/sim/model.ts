/**
 * What the simulated service's log means, told a second time: from events to states, replies and views, without any of
 * the core's or the entities' code.
 *
 * Invariant: `states` holds the state after every version that the log has, and nothing else.
 */
import type { MarkRecord } from "../model/marks.ts";
import type { EventBody, StepRecord } from "../model/records.ts";

type State = Record<string, number | string>;

/** One entity as the log tells it. */
export class ModelEntity {
  readonly type: string;
  version = 0;
  /** JSON of the state by version; version 0 is the state before the first event. */
  readonly states = new Map<number, string>();
  #state: State;
  /** The state that a mark gave last, and the events since. */
  #base: State;
  readonly #since: { readonly at: number; readonly events: readonly EventBody[] }[] = [];

  constructor(type: string) {
    this.type = type;
    this.#state = { ...(initial[type] ?? {}) };
    this.#base = { ...this.#state };
    this.states.set(0, JSON.stringify(this.#state));
  }

  get balance(): number {
    return Number(this.#state["balance"] ?? 0);
  }

  /** @returns what is wrong with the state of a mark */
  applyMark(mark: MarkRecord, at: number): string | undefined {
    if (mark.state === null) return undefined;
    const state = mark.state.value as State;
    let problem: string | undefined;
    if (mark.verb === "skip") {
      const expected = { ...this.#base };
      for (const { at: offset, events } of this.#since)
        if (!mark.left.includes(offset)) for (const event of events) interpret(expected, event);
      if (JSON.stringify(expected) !== JSON.stringify(state))
        problem = `a skip of ${mark.left.join()} came to ${JSON.stringify(state)}, not ${JSON.stringify(expected)}`;
    }
    this.#state = { ...state };
    this.#base = { ...state };
    this.#since.length = 0;
    this.version = at;
    this.states.set(at, JSON.stringify(state));
    return problem;
  }

  apply(record: StepRecord, at: number): void {
    if (record.events.length > 0) this.#since.push({ at, events: record.events });
    for (const event of record.events) interpret(this.#state, event);
    if (record.events.length === 0) return;
    this.version = at;
    this.states.set(at, JSON.stringify(this.#state));
  }

  /** The reply that a command's record must hold, as JSON; undefined where the record alone does not tell. */
  reply(record: StepRecord): string | undefined {
    const state = this.#state;
    if (record.cause.kind === "settled" || "call" in record.cause) return "null";
    switch (record.command) {
      case "grant":
      case "transfer":
      case "pay":
      case "credit":
        return JSON.stringify({ balance: state["balance"] });
      case "add":
      case "bump":
      case "look":
      case "refuse":
        return JSON.stringify({ count: state["count"], sum: state["sum"] });
      case "arm":
      case "cancel":
        return JSON.stringify({ armed: state["armed"], rang: state["rang"] });
      case "ring":
        return "null";
      case "order":
        return JSON.stringify({ ordered: state["ordered"] });
      case "grow":
        return JSON.stringify({ days: state["days"] });
      case "poke":
        return JSON.stringify({ good: state["good"] });
      default:
        return undefined;
    }
  }
}

const initial: Readonly<Record<string, State>> = {
  wallet: { balance: 0, sent: 0, refunded: 0 },
  counter: { count: 0, sum: 0, dice: 0, atMs: 0 },
  alarm: { armed: 0, rang: 0, cancelled: 0, last: "" },
  fragile: { good: 0, half: 0 },
  courier: { ordered: 0, delivered: 0, told: 0, given: 0 },
  sapling: { height: 0, days: 0, tallest: 0, watered: 0 },
};

function interpret(state: State, event: EventBody): void {
  const payload = event.payload as Record<string, number | string>;
  const add = (name: string, by: number) => {
    state[name] = Number(state[name]) + by;
  };
  switch (event.name) {
    case "granted":
    case "credited":
      return add("balance", Number(payload["amount"]));
    case "debited":
      return add("balance", -Number(payload["amount"]));
    case "arrived":
      return add("sent", 1);
    case "refunded":
      add("balance", Number(payload["amount"]));
      return add("refunded", 1);
    case "added":
      add("count", 1);
      add("sum", Number(payload["amount"]));
      state["dice"] = payload["dice"] as number;
      state["atMs"] = payload["atMs"] as number;
      return;
    case "armed":
    case "rang":
      add(event.name, 1);
      state["last"] = payload["name"] as string;
      return;
    case "ordered":
    case "delivered":
      return add(event.name, 1);
    case "toldOf":
      return add("told", 1);
    case "givenUp":
      return add("given", 1);
    case "grew":
      add("height", Number(payload["by"]));
      state["tallest"] = Math.max(Number(state["tallest"]), Number(payload["by"]));
      return add("days", 1);
    case "watered":
      return add("watered", 1);
    case "cancelled":
      return add("cancelled", 1);
    case "done":
      return add("good", 1);
    case "latent":
      return add("good", 100);
    default:
      throw new Error(`the log holds an event "${event.name}" that no command may leave there`);
  }
}

/** What a view of this state must show, as JSON. */
export function viewFrom(type: string, stateJson: string, viewer: string): string {
  const state = JSON.parse(stateJson) as State;
  switch (type) {
    case "wallet":
      return JSON.stringify({ balance: state["balance"], viewer });
    case "counter":
      return JSON.stringify({ count: state["count"], sum: state["sum"] });
    case "alarm":
      return JSON.stringify({ rang: state["rang"] });
    default:
      return stateJson;
  }
}
