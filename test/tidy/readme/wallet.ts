/** One entity, whole: its state, its events, what may be asked of it, who may ask. */
import { defineEntity } from "holdfast";
import { z } from "zod";

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
    credit: command(z.object({ amount: z.int().positive() }), (_state, { amount }, ctx) => {
      ctx.emit("credited", { amount });
    }),
    debit: command(z.object({ amount: z.int().positive() }), (state, { amount }, ctx) => {
      if (state.balance < amount) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", { amount });
      return (next) => ({ balance: next.balance });
    }),
  }),
  queries: { balance: (state) => state.balance },
  views: { purse: (state) => ({ balance: state.balance }) },
  access: (principal, _verb, key) => principal.kind === "user" && principal.id === key,
});
