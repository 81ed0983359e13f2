/**
 * The service that is simulated: entities that use every part of the core, and misbehave where authors do.
 *
 * Invariant: what a command does is a function of state, input and context. Money is only moved, except by `grant`.
 * `model.ts` interprets the same events without looking at this file's code.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { defineEntity } from "../model/entity.ts";
import { sendOutcome } from "../model/send-outcome.ts";

/** The few shapes that inputs have here. */
function input<Input>(fits: (value: Input) => boolean): StandardSchemaV1<unknown, Input> {
  const validate = (value: unknown): StandardSchemaV1.Result<Input> =>
    typeof value === "object" && value !== null && fits(value as Input)
      ? { value: value as Input }
      : { issues: [{ message: "does not fit" }] };
  return { "~standard": { version: 1, vendor: "holdfast-sim", validate } };
}

interface Ring {
  readonly name: string;
  readonly afterMs: number;
  readonly repeat: number;
}

const amount = input<{ readonly amount: number }>((value) => Number.isSafeInteger(value.amount) && value.amount > 0);
const ring = input<Ring>((value) => typeof value.name === "string" && value.afterMs >= 0 && value.repeat >= 0);
const transfer = input<{ readonly to: readonly string[]; readonly amount: number }>(
  (value) => Array.isArray(value.to) && value.amount > 0,
);
const named = input<{ readonly name: string }>((value) => typeof value.name === "string");
const how = input<{ readonly how: string }>((value) => typeof value.how === "string");
const users = new Set(["user", "entity", "system"]);

/** Money. Transfers (`pay` is a relaxed one) go by a send with a reply; one coin in some credits goes on to the `till` without a reply. */
export const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0, sent: 0, refunded: 0 }),
  events: {
    granted: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    debited: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    arrived: (state) => {
      state.sent++;
    },
    refunded: (state, event: { amount: number }) => {
      state.balance += event.amount;
      state.refunded++;
    },
  },
  commands: (command) => ({
    grant: command(amount, (_state, input, ctx) => {
      ctx.emit("granted", { amount: input.amount });
      return (next) => ({ balance: next.balance });
    }),
    transfer: command(transfer, (state, input, ctx) => {
      const total = input.amount * input.to.length;
      if (state.balance < total) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", { amount: total });
      for (const key of input.to) {
        const context = { amount: input.amount };
        ctx.send({ type: "wallet", key }, "credit", { amount: input.amount }, { reply: "settle", context });
      }
      return (next) => ({ balance: next.balance });
    }),
    pay: command(
      transfer,
      (state, input, ctx) => {
        const total = input.amount * input.to.length;
        if (state.balance < total) return ctx.reject("insufficient-funds", { balance: state.balance });
        ctx.emit("debited", { amount: total });
        for (const key of input.to) {
          const context = { amount: input.amount };
          ctx.send({ type: "wallet", key }, "credit", { amount: input.amount }, { reply: "settle", context });
        }
        return (next) => ({ balance: next.balance });
      },
      { durability: { relaxed: { windowMs: 100 } } },
    ),
    credit: command(amount, (_state, input, ctx) => {
      if (input.amount % 5 === 0) return ctx.reject("unlucky");
      if (input.amount % 7 === 0 && ctx.random.integer(2) === 0) throw new Error("a decide that throws now and then");
      ctx.emit("credited", { amount: input.amount });
      if (input.amount % 3 === 0 && ctx.key !== "till") {
        ctx.emit("debited", { amount: 1 });
        ctx.send({ type: "wallet", key: "till" }, "credit", { amount: 1 });
      }
      return (next) => ({ balance: next.balance });
    }),
    settle: command(sendOutcome<unknown, { amount: number }>(), (_state, outcome, ctx) => {
      if (outcome.ok) ctx.emit("arrived", {});
      else ctx.emit("refunded", { amount: outcome.context.amount });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  views: { own: (state, viewer) => ({ balance: state.balance, viewer: viewer.id }) },
  access: (principal, verb) => users.has(principal.kind) && (verb.name !== "credit" || principal.kind === "entity"),
});

/** Counts (`bump` is a relaxed `add`), throws dice, and has commands that change nothing. */
export const counter = defineEntity("counter", {
  state: () => ({ count: 0, sum: 0, dice: 0, atMs: 0 }),
  events: {
    added: (state, event: { amount: number; dice: number; atMs: number }) => {
      state.count++;
      state.sum += event.amount;
      state.dice = event.dice;
      state.atMs = event.atMs;
    },
  },
  commands: (command) => ({
    add: command(amount, (_state, input, ctx) => {
      ctx.emit("added", { amount: input.amount, dice: ctx.random.integer(1_000_000), atMs: ctx.now });
      return (next) => ({ count: next.count, sum: next.sum });
    }),
    bump: command(
      amount,
      (_state, input, ctx) => {
        ctx.emit("added", { amount: input.amount, dice: ctx.random.integer(1_000_000), atMs: ctx.now });
        return (next) => ({ count: next.count, sum: next.sum });
      },
      { durability: { relaxed: { windowMs: 400 } } },
    ),
    look: command((_state, _input, _ctx) => (next) => ({ count: next.count, sum: next.sum })),
    refuse: command((state, _input, ctx) => ctx.reject("never", { count: state.count, sum: state.sum })),
  }),
  queries: { state: (state) => ({ ...state }) },
  views: { total: (state) => ({ count: state.count, sum: state.sum }) },
  access: (principal) => users.has(principal.kind),
});

/** Timers: single, repeated, replaced, cancelled, and a decide that throws now and then. */
export const alarm = defineEntity("alarm", {
  state: () => ({ armed: 0, rang: 0, cancelled: 0, last: "" }),
  events: {
    armed: (state, event: { name: string }) => {
      state.armed++;
      state.last = event.name;
    },
    rang: (state, event: { name: string }) => {
      state.rang++;
      state.last = event.name;
    },
    cancelled: (state) => {
      state.cancelled++;
    },
  },
  commands: (command) => ({
    arm: command(ring, (_state, input, ctx) => {
      ctx.emit("armed", { name: input.name });
      ctx.schedule(input.name, { afterMs: input.afterMs }, "ring", { ...input });
      return (next) => ({ armed: next.armed, rang: next.rang });
    }),
    cancel: command(named, (_state, input, ctx) => {
      ctx.emit("cancelled", {});
      ctx.cancel(input.name);
      return (next) => ({ armed: next.armed, rang: next.rang });
    }),
    ring: command(ring, (_state, input, ctx) => {
      if (ctx.random.integer(5) === 0) throw new Error("a timer's decide that throws now and then");
      ctx.emit("rang", { name: input.name });
      if (input.repeat > 0) {
        ctx.schedule(input.name, { afterMs: input.afterMs }, "ring", { ...input, repeat: input.repeat - 1 });
      }
      if (input.repeat % 2 === 1) ctx.send({ type: "counter", key: "bells" }, "add", { amount: 1 });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  views: { bell: (state) => ({ rang: state.rang }) },
  access: (principal) => users.has(principal.kind),
});

/** Code with bugs: throws while deciding, while evolving (having changed half of the state), and while replying. */
export const fragile = defineEntity("fragile", {
  state: () => ({ good: 0, half: 0 }),
  events: {
    done: (state) => {
      state.good++;
    },
    poison: (state) => {
      state.half++;
      throw new Error("an evolve that throws");
    },
  },
  commands: (command) => ({
    poke: command(how, (_state, input, ctx) => {
      if (input.how === "throw") throw new Error("a decide that throws");
      ctx.emit("done", {});
      if (input.how === "poison") ctx.emit("poison", {});
      return (next) => {
        if (input.how === "reply") throw new Error("a reply that throws");
        return { good: next.good };
      };
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  views: { all: (state) => ({ ...state }) },
  access: (principal) => users.has(principal.kind),
});

export const entities = [wallet, counter, alarm, fragile] as const;
/** The view that watchers of each type look at. */
export const viewOf: Readonly<Record<string, string>> = {
  wallet: "own",
  counter: "total",
  alarm: "bell",
  fragile: "all",
};
