/** Type tests: inference from a definition, checked by the compiler; what must not compile is marked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { callOutcome } from "./call-outcome.ts";
import { defineEntity } from "./entity.ts";

const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0 }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    debited: {
      version: 2,
      upcast: { 1: (old: { sum: number }) => ({ amount: old.sum }) },
      evolve: (state, event: { amount: number }) => {
        state.balance -= event.amount;
      },
    },
  },
  commands: (command) => ({
    debit: command(z.object({ amount: z.int().positive() }), (state, { amount }, ctx) => {
      if (state.balance < amount) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    close: command((_state, _input, ctx) => {
      ctx.emit("credited", { amount: 0 });
    }),
  }),
  queries: { balance: (state) => state.balance },
  views: { public: (state) => ({ rich: state.balance > 100 }) },
  access: () => true,
});

type Types = NonNullable<(typeof wallet)["types"]>;

test("commands, queries and views of a definition are inferred without annotations", () => {
  const input: Types["commands"]["debit"]["input"] = { amount: 1 };
  const reply: Types["commands"]["debit"]["reply"] = { balance: 1 };
  const none: Types["commands"]["close"]["reply"] = null;
  const answer: Types["queries"]["balance"]["reply"] = 5;
  const view: Types["views"]["public"] = { rich: true };
  // @ts-expect-error the input is an object with a number
  const wrong: Types["commands"]["debit"]["input"] = { amount: "1" };
  // @ts-expect-error no such command
  const missing: Types["commands"]["credit"][] = [];
  const name: "wallet" = wallet.name;
  assert.ok([input, reply, answer, view, wrong, name, missing].length === 7 && none === null);
});

test("an event that does not exist, or has another payload, does not compile", () => {
  assert.throws(() =>
    defineEntity("w", {
      state: () => ({}),
      events: { credited: (_state, _event: { amount: number }) => {} },
      commands: (command) => ({
        // @ts-expect-error unknown event
        bad: command((_state, _input, ctx) => ctx.emit("nope", {})),
        // @ts-expect-error wrong payload
        worse: command((_state, _input, ctx) => ctx.emit("credited", { amount: "1" })),
      }),
    }),
  );
});

test("names and inputs of calls are inferred, and so is what comes back", () => {
  const charge = async (input: { amount: number }) => ({ receipt: `r${input.amount}` });
  const shop = defineEntity("shop", {
    state: () => ({ last: "" }),
    events: {
      charged: (state, event: { receipt: string }) => {
        state.last = event.receipt;
      },
    },
    calls: {
      charge,
      tell: async (input: { to: string }, { key, signal }) => {
        signal.throwIfAborted();
        return `${key} ${input.to}`;
      },
    },
    commands: (command) => ({
      buy: command((_state, _input, ctx) => {
        ctx.call("charge", { amount: 1 }, { result: "charged" });
        ctx.call("tell", { to: "x" });
      }),
      charged: command(callOutcome<typeof charge, number>(), (_state, outcome, ctx) => {
        if (outcome.ok) ctx.emit("charged", outcome.value);
        const context: number = outcome.context;
        // @ts-expect-error a failure has no value
        const none = outcome.ok ? "" : outcome.value;
        assert.equal([context, none].length, 2);
      }),
    }),
  });
  const compiles = () =>
    defineEntity("shop", {
      state: () => ({}),
      events: {},
      calls: { charge },
      commands: (command) => ({
        // @ts-expect-error no such call
        one: command((_state, _input, ctx) => ctx.call("chrage", { amount: 1 })),
        // @ts-expect-error another shape of input
        two: command((_state, _input, ctx) => ctx.call("charge", { cents: 1 })),
        // @ts-expect-error a plan that is none
        three: command((_state, _input, ctx) => ctx.call("charge", { amount: 1 }, { failure: "forget" })),
      }),
    });
  const none = () =>
    defineEntity("plain", {
      state: () => ({}),
      events: {},
      commands: (command) => ({
        // @ts-expect-error an entity without calls can call nothing
        one: command((_state, _input, ctx) => ctx.call("charge", { amount: 1 })),
      }),
    });
  assert.equal(shop.calls.size, 2);
  assert.ok(typeof compiles === "function" && typeof none === "function");
});
