/** Entities of the cluster's benchmark, beside the wallet: one whose state is nearly as large as a state may be. */
import { defineEntity } from "holdfast";
import { z } from "zod";

/** Of 1 MiB that a state may have. */
export const bulkBytes = 900_000;

export const bulk = defineEntity("bulk", {
  state: () => ({ touched: 0, text: "x".repeat(bulkBytes) }),
  events: {
    touched: (state) => {
      state.touched++;
    },
  },
  commands: (command) => ({
    touch: command(z.null(), (_state, _input, ctx) => {
      ctx.emit("touched", null);
      return (next) => next.touched;
    }),
  }),
  queries: {},
  access: () => true,
});

export type LoadType = "wallet" | "bulk";

/** The one command that the load sends to each. */
export function commandOf(type: LoadType) {
  return type === "wallet"
    ? ({ command: "credit", input: { amount: 5 } } as const)
    : ({ command: "touch", input: null } as const);
}
