/**
 * Entities that break, for `quarantine.ts`: beside the steady wallets, one whose code fails in every way that quarantine
 * knows. Whether its event `cracked` can be evolved is set by `FRAGILE_BROKEN`, so that one start records it and the next
 * cannot replay it.
 */
import { defineEntity } from "holdfast";
import { z } from "zod";

const broken = process.env["FRAGILE_BROKEN"] === "yes";

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

export const fragile = defineEntity("fragile", {
  state: () => ({ sum: 0, text: "whole" }),
  events: {
    added: (state) => {
      state.sum++;
    },
    /** Cannot be evolved, neither now nor later. */
    burst: (state) => {
      state.text = "half";
      throw new Error("cannot be evolved");
    },
    /** Could be evolved when it was recorded. */
    cracked: (state) => {
      state.text = "half";
      if (broken) throw new Error("cannot be evolved any more");
      state.text = "whole";
    },
  },
  commands: (command) => ({
    add: command((_state, _input, ctx) => {
      ctx.emit("added", {});
    }),
    throw: command(() => {
      throw new Error("a decide that throws");
    }),
    spin: command(z.object({ ms: z.number() }), (_state, { ms }, ctx) => {
      spin(ms);
      ctx.emit("added", {});
    }),
    burst: command((_state, _input, ctx) => {
      ctx.emit("burst", {});
    }),
    crack: command((_state, _input, ctx) => {
      ctx.emit("cracked", {});
    }),
    throwLater: command((_state, _input, ctx) => {
      ctx.schedule("bomb", { afterMs: 1 }, "throw");
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access: () => true,
});
