/**
 * The simulated entity that has work done outside, and misbehaves where authors do.
 *
 * Invariant: orders of one courier are numbered in the log's order, so an order that was durable names its call.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { callOutcome } from "../model/call-outcome.ts";
import { type CallAttempt, defineEntity } from "../model/entity.ts";

export interface Order {
  readonly failure: "park" | "tell" | "settle";
  readonly attempts: number;
  readonly timeoutMs: number;
  readonly quiet: boolean;
}

/** What the outside is told. */
export interface Parcel {
  readonly order: string;
}

const order: StandardSchemaV1<unknown, Order> = {
  "~standard": {
    version: 1,
    vendor: "holdfast-sim",
    validate: (value) =>
      typeof (value as Order | null)?.attempts === "number"
        ? { value: value as Order }
        : { issues: [{ message: "does not fit" }] },
  },
};

export type Deliver = (parcel: Parcel, attempt: CallAttempt) => Promise<{ readonly order: string }>;

export function makeCourier(deliver: Deliver) {
  return defineEntity("courier", {
    state: () => ({ ordered: 0, delivered: 0, told: 0, given: 0 }),
    events: {
      ordered: (state) => {
        state.ordered++;
      },
      delivered: (state, _event: { order: string }) => {
        state.delivered++;
      },
      toldOf: (state) => {
        state.told++;
      },
      givenUp: (state) => {
        state.given++;
      },
    },
    calls: { deliver },
    commands: (command) => ({
      order: command(order, (state, { failure, attempts, timeoutMs, quiet }, ctx) => {
        ctx.emit("ordered", {});
        const name = `${ctx.key}-${state.ordered + 1}`;
        const options = { attempts, timeoutMs, context: name };
        ctx.call("deliver", { order: name }, quiet ? options : { ...options, failure, result: "done" });
        return (next) => ({ ordered: next.ordered });
      }),
      done: command(callOutcome<Deliver, string>(), (_state, outcome, ctx) => {
        if (ctx.random.integer(6) === 0) throw new Error("a result's decide that throws now and then");
        if (outcome.ok) ctx.emit("delivered", { order: outcome.value.order });
        else ctx.emit(outcome.code === "parked" ? "toldOf" : "givenUp", {});
      }),
    }),
    queries: { state: (state) => ({ ...state }) },
    views: { all: (state) => ({ ...state }) },
    access: (principal, verb) => ["user", "entity", "system"].includes(principal.kind) && verb.name !== "done",
  });
}
