/**
 * A service whose chips can be counted: accounts that give to each other, one of which tells an outside of it.
 *
 * Invariant: `opened` alone makes chips, so at any moment the balances and what is under way between accounts add up to
 * what was opened; and each id of a command stands once.
 */
import { z } from "zod";
import { defineEntity } from "../../src/model/entity.ts";
import { sendOutcome } from "../../src/model/send-outcome.ts";

export const opening = 1_000;

const id = z.string().regex(/^[a-z0-9.-]{1,40}$/);

interface AccountState {
  balance: number;
  /** Of commands that were carried out. */
  ids: string[];
  taken: number;
  ticks: number;
}

/** Set by tests that want to hear of the outside. */
export const outside: { told: (key: string) => Promise<void> } = { told: async () => {} };

export const account = defineEntity("account", {
  state: (): AccountState => ({ balance: 0, ids: [], taken: 0, ticks: 0 }),
  events: {
    opened: (state) => {
      state.balance += opening;
    },
    gave: (state, event: { id: string; amount: number }) => {
      state.balance -= event.amount;
      state.ids.push(event.id);
    },
    took: (state, event: { amount: number }) => {
      state.balance += event.amount;
      state.taken += 1;
    },
    ticked: (state) => {
      state.ticks += 1;
    },
  },
  calls: {
    tell: async (_input: { readonly amount: number }, { key }) => {
      await outside.told(key);
      return null;
    },
  },
  commands: (command) => ({
    open: command((_state, _input, ctx) => {
      ctx.emit("opened", {});
      ctx.schedule("tick", { afterMs: 3_600_000 }, "tick");
    }),
    give: command(
      z.object({ id, to: z.string(), amount: z.int().positive(), tell: z.boolean().optional() }),
      (_state, input, ctx) => {
        const { amount } = input;
        ctx.emit("gave", { id: input.id, amount });
        ctx.send({ type: "account", key: input.to }, "take", { amount }, { reply: "given" });
        if (input.tell === true) ctx.call("tell", { amount });
        return (next) => ({ balance: next.balance });
      },
    ),
    take: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
      ctx.emit("took", { amount });
    }),
    given: command(sendOutcome<null, undefined>(), () => {}),
    tick: command((_state, _input, ctx) => {
      ctx.emit("ticked", {});
    }),
  }),
  queries: { state: (state) => ({ balance: state.balance, ids: [...state.ids], taken: state.taken }) },
  access: () => true,
});
