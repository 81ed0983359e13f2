/**
 * A small service with everything that a log can hold: events of three versions, timers that fire, are replaced and are
 * cancelled, sends with and without replies, refusals of every kind, calls, and what operators do about calls and about a
 * broken entity. In three generations of its code.
 *
 * Invariant: every generation evolves the same state from what all earlier ones recorded.
 */
import { z } from "zod";
import { callOutcome } from "../../src/model/call-outcome.ts";
import { type AnyEntity, defineEntity } from "../../src/model/entity.ts";
import { sendOutcome } from "../../src/model/send-outcome.ts";

export interface OrderState {
  lines: { cents: number; currency: string }[];
  paid: "no" | "asked" | "yes" | "refused";
  reminders: number;
}

type Generation = 1 | 2 | 3;

function place(state: OrderState, event: { cents: number; currency: string }): void {
  state.lines.push({ cents: event.cents, currency: event.currency });
}

/** The event `placed` as each generation wrote it. */
const placed = {
  1: (state: OrderState, event: { amount: number }) => place(state, { cents: event.amount * 100, currency: "INR" }),
  2: {
    version: 2,
    upcast: { 1: (old: { amount: number }) => ({ cents: old.amount * 100 }) },
    evolve: (state: OrderState, event: { cents: number }) => place(state, { ...event, currency: "INR" }),
  },
  3: {
    version: 3,
    upcast: {
      1: (old: { amount: number }) => ({ cents: old.amount * 100 }),
      2: (old: { cents: number }) => ({ ...old, currency: "INR" }),
    },
    evolve: place,
  },
};

const payloads = {
  1: (amount: number) => ({ amount }),
  2: (amount: number) => ({ cents: amount * 100 }),
  3: (amount: number) => ({ cents: amount * 100, currency: "INR" }),
};

const till = defineEntity("till", {
  state: () => ({ cents: 0 }),
  events: {
    deposited: (state, event: { cents: number }) => {
      state.cents += event.cents;
    },
  },
  commands: (command) => ({
    deposit: command(z.object({ cents: z.int() }), (state, { cents }, ctx) => {
      if (ctx.key === "closed") return ctx.reject("closed", { cents: state.cents });
      ctx.emit("deposited", { cents });
      return (next) => next.cents;
    }),
  }),
  access: () => true,
});

/** Calls an outside that works, that does not, and one that waits for an operator; and breaks at an event. */
export const parcel = defineEntity("parcel", {
  state: () => ({ lines: [] as string[] }),
  events: {
    noted: (state, event: { line: string }) => {
      if (event.line === "poison") throw new Error("cannot be evolved");
      state.lines.push(event.line);
    },
  },
  calls: {
    ship: async ({ how }: { readonly how: string }) => {
      if (how === "never") throw new Error("the carrier is down");
      return { how };
    },
  },
  commands: (command) => ({
    ship: command(z.object({ how: z.string(), failure: z.enum(["park", "settle"]) }), (_state, input, ctx) => {
      ctx.emit("noted", { line: `ship ${input.how}` });
      ctx.call("ship", { how: input.how }, { result: "shipped", context: 7, attempts: 1, failure: input.failure });
    }),
    shipped: command(callOutcome<{ how: string }, number>(), (_state, outcome, ctx) => {
      ctx.emit("noted", { line: outcome.ok ? `shipped ${outcome.value.how}` : outcome.code });
    }),
    note: command(z.object({ line: z.string() }), (_state, { line }, ctx) => {
      ctx.emit("noted", { line });
    }),
  }),
  queries: { state: (state) => structuredClone(state) },
  access: () => true,
});

function orderOf(generation: Generation): AnyEntity {
  return defineEntity("order", {
    version: generation,
    state: (): OrderState => ({ lines: [], paid: "no", reminders: 0 }),
    events: {
      placed: placed[generation],
      payment: (state: OrderState, event: { paid: OrderState["paid"] }) => {
        state.paid = event.paid;
      },
      reminded: (state: OrderState) => {
        state.reminders++;
      },
    },
    commands: (command) => ({
      place: command(z.object({ amount: z.int().positive() }), (state, { amount }, ctx) => {
        if (state.lines.length >= 3) return ctx.reject("full", { lines: state.lines.length });
        ctx.emit("placed", payloads[generation](amount) as never);
        ctx.schedule("reminder", { afterMs: 60_000 }, "remind", { why: "unpaid" });
        return (next) => ({ lines: next.lines.length });
      }),
      pay: command(z.object({ till: z.string() }), (state, input, ctx) => {
        ctx.emit("payment", { paid: "asked" });
        const cents = state.lines.reduce((sum, line) => sum + line.cents, 0);
        ctx.send({ type: "till", key: input.till }, "deposit", { cents }, { reply: "settled", context: { cents } });
        ctx.send({ type: "till", key: "tips" }, "deposit", { cents: 1 });
        ctx.cancel("reminder");
      }),
      settled: command(sendOutcome<number, { cents: number }>(), (_state, outcome, ctx) => {
        ctx.emit("payment", { paid: outcome.ok ? "yes" : "refused" });
      }),
      remind: command(z.object({ why: z.string() }), (state, _input, ctx) => {
        ctx.emit("reminded", null as never);
        if (state.reminders < 2) ctx.schedule("reminder", { afterMs: 60_000 }, "remind", { why: "again" });
      }),
      roll: command((_state, _input, ctx) => {
        const dice = ctx.random.integer(6) + 1;
        return () => ({ dice });
      }),
      break: command(() => {
        throw new Error("this command is broken");
      }),
    }),
    queries: { state: (state) => structuredClone(state) },
    access: (principal, verb) => principal.kind !== "anonymous" && !(principal.id === "mallory" && verb.name === "pay"),
  });
}

export function sinkOf(generation: Generation): readonly AnyEntity[] {
  return [orderOf(generation), till, parcel];
}

export const entities = sinkOf(3);
