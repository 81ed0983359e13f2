/** Entities for the tests of the testing kit: one that is right, and one with the mistakes that the kit must see. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { callOutcome } from "../model/call-outcome.ts";
import { defineEntity } from "../model/entity.ts";
import { sendOutcome } from "../model/send-outcome.ts";

function input<Input>(fits: (value: Input) => boolean): StandardSchemaV1<unknown, Input> {
  const validate = (value: unknown): StandardSchemaV1.Result<Input> =>
    fits(value as Input) ? { value: value as Input } : { issues: [{ message: "does not fit" }] };
  return { "~standard": { version: 1, vendor: "test", validate } };
}

const amount = input<{ amount: number }>((value) => value.amount > 0);
const payment = input<{ to: string; amount: number }>((value) => value.amount > 0);

export const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0, woken: 0 }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    debited: {
      version: 2,
      upcast: { 1: (old: { cents: number }) => ({ amount: old.cents / 100 }) },
      evolve: (state, event: { amount: number }) => {
        state.balance -= event.amount;
      },
    },
    woken: (state) => {
      state.woken++;
    },
  },
  calls: { receipt: async (input: { amount: number }) => `r${input.amount}` },
  commands: (command) => ({
    buy: command(amount, (_state, input, ctx) => {
      ctx.emit("debited", input);
      ctx.call("receipt", { amount: input.amount }, { result: "bought", context: "x", attempts: 3 });
    }),
    bought: command(callOutcome<string, string>(), () => undefined),
    credit: command(amount, (_state, input, ctx) => {
      ctx.emit("credited", input);
      return (next) => ({ balance: next.balance });
    }),
    debit: command(amount, (state, input, ctx) => {
      if (state.balance < input.amount) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", input);
      return (next) => ({ balance: next.balance });
    }),
    pay: command(payment, (_state, input, ctx) => {
      ctx.emit("debited", { amount: input.amount });
      ctx.send({ type: "wallet", key: input.to }, "credit", { amount: input.amount }, { reply: "paid", context: 7 });
    }),
    paid: command(sendOutcome(), () => undefined),
    dice: command((_state, _input, ctx) => {
      ctx.emit("credited", { amount: ctx.random.integer(1_000) });
      ctx.schedule("wake", { afterMs: 5_000 }, "wake");
      ctx.cancel("other");
      return () => ({ now: ctx.now });
    }),
    wake: command((_state, _input, ctx) => {
      ctx.emit("woken", {});
    }),
    explode: command(() => {
      throw new Error("boom");
    }),
  }),
  queries: { balance: (state) => state.balance, state: (state) => ({ ...state }) },
  views: { public: (state) => ({ balance: state.balance }) },
  access: (principal, verb) => principal.kind !== "anonymous" && verb.name !== "paid",
});

let outside = 0;

export const careless = defineEntity("careless", {
  state: () => ({ items: [] as number[], last: null as unknown }),
  events: {
    counted: (state) => {
      state.last = ++outside;
    },
    kept: (state, event: { list: number[] }) => {
      event.list.push(1);
      state.items = event.list;
    },
    dated: (state) => {
      state.last = new Date(0);
    },
  },
  commands: (command) => ({
    push: command((state) => {
      state.items.push(1);
    }),
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
    }),
    keep: command((_state, _input, ctx) => {
      ctx.emit("kept", { list: [] });
    }),
    date: command((_state, _input, ctx) => {
      ctx.emit("dated", {});
    }),
  }),
  access: () => true,
});
