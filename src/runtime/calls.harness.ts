/**
 * A shop that charges cards outside, and the outside of its tests: each attempt waits there for the test's word.
 *
 * Invariant: an attempt that the test says nothing about hangs until its time is up.
 */
import { z } from "zod";
import { callOutcome } from "../model/call-outcome.ts";
import { type CallAttempt, defineEntity } from "../model/entity.ts";
import { type TestNode } from "../testing/node.ts";

export interface Seen extends CallAttempt {
  readonly input: { readonly amount: number };
  succeed(value: { readonly receipt: string }): void;
  fail(message: string): void;
}

/** Every attempt so far, the first one first. */
export class Outside {
  readonly seen: Seen[] = [];
  /** The shop's code cannot evolve its event `broken`. */
  broken = true;

  charge(input: { readonly amount: number }, attempt: CallAttempt): Promise<{ readonly receipt: string }> {
    return new Promise((resolve, reject) => {
      this.seen.push({ ...attempt, input, succeed: resolve, fail: (message) => reject(new Error(message)) });
    });
  }

  get last(): Seen {
    const last = this.seen.at(-1);
    if (last === undefined) throw new Error("There was no attempt.");
    return last;
  }
}

const plan = z.object({
  amount: z.int(),
  failure: z.enum(["park", "tell", "settle"]).optional(),
  attempts: z.int().optional(),
  timeoutMs: z.int().optional(),
});

export function makeShop(outside: Outside) {
  const charge = (input: { readonly amount: number }, attempt: CallAttempt) => outside.charge(input, attempt);
  return defineEntity("shop", {
    state: () => ({ log: [] as string[] }),
    events: {
      logged: (state, event: { line: string }) => {
        state.log.push(event.line);
      },
      broken: (state) => {
        if (outside.broken) throw new Error("cannot be evolved");
        state.log.push("mended");
      },
    },
    calls: { charge },
    commands: (command) => ({
      order: command(plan, (_state, { amount, failure, attempts, timeoutMs }, ctx) => {
        ctx.emit("logged", { line: `ordered ${amount}` });
        ctx.call(
          "charge",
          { amount },
          {
            result: "charged",
            context: { amount },
            ...(failure === undefined ? {} : { failure }),
            ...(attempts === undefined ? {} : { attempts }),
            ...(timeoutMs === undefined ? {} : { timeoutMs }),
          },
        );
      }),
      twice: command((_state, _input, ctx) => {
        ctx.call("charge", { amount: 1 });
        ctx.call("charge", { amount: 2 });
      }),
      refuse: command((_state, _input, ctx) => {
        ctx.call("charge", { amount: 1 });
        return ctx.reject("no");
      }),
      break: command((_state, _input, ctx) => {
        ctx.emit("broken", {});
      }),
      silent: command((_state, _input, ctx) => {
        ctx.call("charge", { amount: 1 }, { failure: "settle" });
      }),
      picky: command((_state, _input, ctx) => {
        ctx.call("charge", { amount: 3 }, { result: "throw", attempts: 2 });
      }),
      throw: command(callOutcome<typeof charge>(), (_state, outcome) => {
        if (outcome.ok) throw new Error("cannot take it");
      }),
      charged: command(callOutcome<typeof charge, { amount: number }>(), (_state, outcome, ctx) => {
        const told = outcome.ok ? outcome.value.receipt : `${outcome.code}: ${outcome.reason}`;
        ctx.emit("logged", { line: `charged ${outcome.context.amount}: ${told}` });
        if (told === "break") ctx.emit("broken", {});
      }),
    }),
    queries: { log: (state) => state.log },
    access: (principal, verb) => principal.kind === "user" && verb.name !== "charged",
  });
}

/** Lets promises of handlers and what follows from them run. */
export async function pump(node: TestNode): Promise<void> {
  await node.advance(0);
}
