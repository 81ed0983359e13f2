/** A wallet that breaks at an amount that its evolve does not expect, and charges a bank that is down. */
import { z } from "zod";
import { callOutcome } from "../../../src/model/call-outcome.ts";
import { defineEntity } from "../../../src/model/entity.ts";

const charge = async (_input: { readonly amount: number }): Promise<null> => {
  throw new Error("the bank is down");
};

/** @param mended its evolve takes what broke it */
export function makeWallet(mended: boolean) {
  return defineEntity("wallet", {
    state: () => ({ balance: 0, charges: [] as string[] }),
    events: {
      credited: (state, event: { amount: number }) => {
        if (event.amount === 13 && !mended) throw new Error("thirteen is not an amount");
        state.balance += event.amount;
      },
      charged: (state, event: { how: string }) => {
        state.charges.push(event.how);
      },
    },
    calls: { charge },
    commands: (command) => ({
      credit: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
        ctx.emit("credited", { amount });
        return (next) => ({ balance: next.balance });
      }),
      charge: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
        ctx.call("charge", { amount }, { result: "charged", attempts: 1, failure: "park" });
      }),
      charged: command(callOutcome<typeof charge>(), (_state, outcome, ctx) => {
        ctx.emit("charged", { how: outcome.ok ? "ok" : outcome.code });
      }),
    }),
    access: (principal) => principal.id === "ann",
  });
}

export const wallet = makeWallet(false);
