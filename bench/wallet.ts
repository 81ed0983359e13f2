/** The benchmark's entity: a wallet that cannot be overdrawn. Every command is one event and replies with the balance. */
import { defineEntity } from "holdfast";
import { z } from "zod";

const amount = z.object({ amount: z.int().positive() });

export const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0 }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    debited: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
  },
  commands: (command) => ({
    credit: command(amount, (_state, input, ctx) => {
      ctx.emit("credited", { amount: input.amount });
      return (next) => ({ balance: next.balance });
    }),
    creditRelaxed: command(
      amount,
      (_state, input, ctx) => {
        ctx.emit("credited", { amount: input.amount });
        return (next) => ({ balance: next.balance });
      },
      { durability: { relaxed: { windowMs: 100 } } },
    ),
    debit: command(amount, (state, input, ctx) => {
      if (state.balance < input.amount) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", { amount: input.amount });
      return (next) => ({ balance: next.balance });
    }),
  }),
  queries: { balance: (state) => state.balance },
  access: () => true,
});

/** An entity of about 200 bytes, for many of them. */
export const account = defineEntity("account", {
  state: (key: string) => ({
    balance: 0,
    owner: `Player number ${key}`,
    currency: "chips",
    level: 1,
    email: `${key}@players.example`,
    flags: ["verified", "adult", "newsletter"],
    limits: { day: 100_000, week: 500_000, month: 1_000_000 },
    movements: 0,
  }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
      state.movements++;
    },
  },
  commands: (command) => ({
    credit: command(amount, (_state, input, ctx) => {
      ctx.emit("credited", { amount: input.amount });
      return (next) => ({ balance: next.balance });
    }),
  }),
  access: () => true,
});
