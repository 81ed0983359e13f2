/** Type tests: what a client infers from definitions, checked by the compiler; what must not compile is marked. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineEntity } from "../model/entity.ts";
import type { connect } from "./index.ts";
import type { Client, EntityMap, Reply, Untyped, ViewOf } from "./types.ts";

const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0 }),
  events: {
    debited: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
  },
  commands: (command) => ({
    debit: command(z.object({ amount: z.int().positive() }), (_state, { amount }, ctx) => {
      ctx.emit("debited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    close: command((_state, _input, ctx) => {
      ctx.emit("debited", { amount: 0 });
    }),
  }),
  queries: {
    balance: (state) => state.balance,
    above: { input: z.object({ floor: z.number() }), read: (state) => state.balance > 0 },
  },
  views: { public: (state) => ({ rich: state.balance > 100 }) },
});

type Entities = { wallet: typeof wallet };
type Same<Left, Right> = (<T>() => T extends Left ? 1 : 2) extends <T>() => T extends Right ? 1 : 2 ? true : false;
const holds = <_Claim extends true>(): void => {};

// never called: the compiler is the test
export async function compiles(client: Client<Entities>, untyped: Client<Untyped>): Promise<void> {
  const entity = client.entity("wallet", "7");
  const debited = await entity.execute("debit", { amount: 5 }, { timeoutMs: 5, ifVersion: 3 });
  holds<Same<typeof debited, Reply<{ balance: number }>>>();
  const closed = await entity.execute("close");
  holds<Same<typeof closed, Reply<null>>>();
  await entity.execute("close", undefined, { requestId: "x" });
  const balance = await entity.query("balance");
  holds<Same<typeof balance, Reply<number>>>();
  const above = await entity.query("above", { floor: 3 }, { timeoutMs: 5 });
  holds<Same<typeof above.value, boolean>>();
  entity.watch("public", ({ value, version }) =>
    holds<Same<[typeof value, typeof version], [{ rich: boolean }, number]>>(),
  );
  for await (const { value } of entity.updates("public")) holds<Same<typeof value, { rich: boolean }>>();
  holds<Same<ViewOf<typeof wallet, "public">, { rich: boolean }>>();

  // @ts-expect-error no such entity type
  client.entity("purse", "7");
  // @ts-expect-error no such command
  void entity.execute("credit", { amount: 5 });
  // @ts-expect-error the input is missing
  void entity.execute("debit");
  // @ts-expect-error the input is of another type
  void entity.execute("debit", { amount: "5" });
  // @ts-expect-error a command without input takes none
  void entity.execute("close", { amount: 5 });
  // @ts-expect-error no such query
  void entity.query("debit");
  // @ts-expect-error the query has an input
  void entity.query("above");
  // @ts-expect-error no such view
  entity.watch("private", () => {});
  // @ts-expect-error a definition stands under its own name
  holds<{ purse: typeof wallet } extends EntityMap<{ purse: typeof wallet }> ? true : false>();
  // @ts-expect-error a definition stands under its own name
  type _Wrong = ReturnType<typeof connect<{ purse: typeof wallet }>>;

  const anything = await untyped.entity("whatever", "1").execute("name", { any: "thing" });
  holds<Same<typeof anything, Reply<unknown>>>();
  untyped.entity("whatever", "1").watch("view", ({ value }) => holds<Same<typeof value, unknown>>());
}

test("names, inputs, replies and views of a definition are inferred by the client", () => {
  assert.equal(typeof compiles, "function");
});
