/**
 * The entities whose histories are checked: a register, and a purse that pays by sends.
 *
 * Invariant: they do what `register` and `wallet` of the checkers' models say, and money is only made by `grant` and lost by `spend`.
 */
import { z } from "zod";
import { defineEntity } from "../../../src/model/entity.ts";

const value = z.int().min(0);
const amount = z.int().min(1).max(1_000);
const isClient = (principal: { readonly kind: string }) => principal.kind === "user";

type Register = { value: number; before: number };

export const register = registerThatReads(({ value: now }) => now);

/** A planted fault: a reader sees what was there before the last write. */
export const staleRegister = registerThatReads(({ before }) => before);

function registerThatReads(read: (state: Register) => number) {
  return defineEntity("register", {
    state: (): Register => ({ value: 0, before: 0 }),
    events: {
      written: (state, event: { value: number }) => {
        state.before = state.value;
        state.value = event.value;
      },
    },
    commands: (command) => ({
      write: command(z.object({ value }), (_state, input, ctx) => {
        ctx.emit("written", input);
        return (next) => next.value;
      }),
      /** Tells whether it was the expected value that is another now. */
      swap: command(z.object({ from: value, to: value }), (state, { from, to }, ctx) => {
        const fits = state.value === from;
        if (fits) ctx.emit("written", { value: to });
        return () => fits;
      }),
    }),
    queries: { read },
    access: isClient,
  });
}

export const purse = defineEntity("purse", {
  state: () => ({ balance: 0 }),
  events: {
    granted: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    spent: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
    paid: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
    took: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
  },
  commands: (command) => ({
    grant: command(z.object({ amount }), (_state, input, ctx) => {
      ctx.emit("granted", input);
      return (next) => next.balance;
    }),
    spend: command(z.object({ amount }), (state, input, ctx) => {
      if (state.balance < input.amount) return ctx.reject("not-covered");
      ctx.emit("spent", input);
      return (next) => next.balance;
    }),
    pay: command(z.object({ to: z.string(), amount }), (state, input, ctx) => {
      if (state.balance < input.amount) return ctx.reject("not-covered");
      ctx.emit("paid", { amount: input.amount });
      ctx.send({ type: "purse", key: input.to }, "take", { amount: input.amount });
      return (next) => next.balance;
    }),
    take: command(z.object({ amount }), (_state, input, ctx) => {
      ctx.emit("took", input);
      return (next) => next.balance;
    }),
  }),
  queries: { balance: (state) => state.balance },
  access: (principal, verb) => isClient(principal) !== (verb.name === "take"),
});
