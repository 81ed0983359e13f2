/** A purse that chips are paid into. */
import { z } from "zod";
import { defineEntity } from "../../../src/model/entity.ts";

export const purse = defineEntity("purse", {
  state: () => ({ chips: 0, last: "" }),
  events: {
    paid: (state, event: { chips: number; note: string }) => {
      state.chips += event.chips;
      state.last = event.note;
    },
  },
  commands: (command) => ({
    pay: command(z.object({ chips: z.int(), note: z.string() }), (_state, { chips, note }, ctx) => {
      ctx.emit("paid", { chips, note });
    }),
  }),
  queries: { chips: (state) => state.chips },
  access: () => true,
});
