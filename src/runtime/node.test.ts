/** The whole path of one node over a memory log: commands, dedup, sends, timers, views, recovery. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult, WatchNews } from "../model/records.ts";
import { sendOutcome } from "../model/send-outcome.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const wallet = defineEntity("wallet", {
  state: () => ({ balance: 0, sent: 0, woken: 0 }),
  events: {
    credited: (state, event: { amount: number }) => {
      state.balance += event.amount;
    },
    debited: (state, event: { amount: number }) => {
      state.balance -= event.amount;
    },
    sent: (state, event: { ok: boolean }) => {
      state.sent += event.ok ? 1 : 0;
    },
    woken: (state) => {
      state.woken++;
    },
  },
  commands: (command) => ({
    credit: command(z.object({ amount: z.int().positive() }), (_state, { amount }, ctx) => {
      ctx.emit("credited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    debit: command(z.object({ amount: z.int().positive() }), (state, { amount }, ctx) => {
      if (state.balance < amount) return ctx.reject("insufficient-funds", { balance: state.balance });
      ctx.emit("debited", { amount });
      return (next) => ({ balance: next.balance });
    }),
    transfer: command(z.object({ to: z.string(), amount: z.int() }), (state, { to, amount }, ctx) => {
      if (state.balance < amount) return ctx.reject("insufficient-funds");
      ctx.emit("debited", { amount });
      ctx.send({ type: "wallet", key: to }, "credit", { amount }, { reply: "transferred", context: { amount } });
      return undefined;
    }),
    transferred: command(sendOutcome<{ balance: number }, { amount: number }>(), (_state, outcome, ctx) => {
      ctx.emit("sent", { ok: outcome.ok });
      if (!outcome.ok) ctx.emit("credited", { amount: outcome.context.amount });
    }),
    wakeIn: command(z.object({ ms: z.int() }), (_state, { ms }, ctx) => {
      ctx.emit("credited", { amount: 1 });
      ctx.schedule("wake", { afterMs: ms }, "wake");
    }),
    wake: command((_state, _input, ctx) => {
      ctx.emit("woken", {});
    }),
    explode: command(() => {
      throw new Error("boom");
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  views: { public: (state) => ({ balance: state.balance }) },
  access: (principal) => principal.kind !== "anonymous",
});

const alice = { kind: "user", id: "alice" } as const;
const requestId = () => makeUuidV7(Date.now(), systemRandom.bytes(16));

function execute(
  node: HoldfastNode,
  key: string,
  command: string,
  input: unknown,
  id = requestId(),
): Promise<CallResult> {
  return new Promise((resolve) =>
    node.execute({ entity: { type: "wallet", key }, command, input, requestId: id, principal: alice }, resolve),
  );
}

function query(node: HoldfastNode, key: string): Promise<CallResult> {
  return new Promise((resolve) =>
    node.query({ entity: { type: "wallet", key }, query: "state", input: undefined, principal: alice }, resolve),
  );
}

function start(store = createMemoryStore(16), onFault = () => {}) {
  return startNode({
    entities: [wallet],
    log: openMemoryLog({ store }),
    clock: systemClock,
    random: systemRandom,
    shardCount: 16,
    onFault,
    onCrash: (error) => {
      throw error;
    },
  });
}

test("a command's reply is computed from the state after its events", async () => {
  await using node = await start();
  assert.deepEqual(await execute(node, "a", "credit", { amount: 5 }), {
    ok: true,
    value: { balance: 5 },
    version: 2,
    created: true,
  });
  const refused = await execute(node, "a", "debit", { amount: 9 });
  assert.ok(!refused.ok && refused.code === "rejected" && refused.reason === "insufficient-funds");
  assert.deepEqual(refused.details, { balance: 5 });
});

test("a repeated request id gets the same answer, also after a restart, and has one effect", async () => {
  const store = createMemoryStore(16);
  const id = requestId();
  {
    await using node = await start(store);
    const [first, second] = await Promise.all([
      execute(node, "a", "credit", { amount: 5 }, id),
      execute(node, "a", "credit", { amount: 5 }, id),
    ]);
    assert.ok(first.ok && second.ok);
    assert.deepEqual(first.value, second.value);
  }
  await using node = await start(store);
  const again = await execute(node, "a", "credit", { amount: 5 }, id);
  assert.ok(again.ok);
  assert.deepEqual(again.value, { balance: 5 });
  const state = await query(node, "a");
  assert.ok(state.ok);
  assert.deepEqual(state.value, { balance: 5, sent: 0, woken: 0 });
});

test("a send arrives once and its outcome comes back, and the sum is kept", async () => {
  await using node = await start();
  await execute(node, "a", "credit", { amount: 10 });
  for (let count = 0; count < 5; count++) assert.ok((await execute(node, "a", "transfer", { to: "b", amount: 1 })).ok);
  await until(async () => (await valueOf(node, "a")).sent === 5);
  assert.equal((await valueOf(node, "a")).balance, 5);
  assert.equal((await valueOf(node, "b")).balance, 5);
});

test("a timer set before a restart fires once after it", async () => {
  const store = createMemoryStore(16);
  {
    await using node = await start(store);
    await execute(node, "a", "wakeIn", { ms: 30 });
  }
  await using node = await start(store);
  await until(async () => (await valueOf(node, "a")).woken === 1);
});

test("a decide that throws changes nothing and the entity goes on", async () => {
  await using node = await start();
  const failed = await execute(node, "a", "explode", undefined);
  assert.ok(!failed.ok && failed.code === "decide-failed" && !failed.detail.includes("boom"));
  assert.ok((await execute(node, "a", "credit", { amount: 1 })).ok);
});

test("a watcher hears the present value, then each durable change", async () => {
  await using node = await start();
  const news: WatchNews[] = [];
  const stop = node.watch({ entity: { type: "wallet", key: "a" }, view: "public", principal: alice }, (item) =>
    news.push(item),
  );
  await execute(node, "a", "credit", { amount: 1 });
  await execute(node, "a", "credit", { amount: 2 });
  stop();
  await execute(node, "a", "credit", { amount: 4 });
  assert.deepEqual(
    news.map((item) => item.ok && item.value),
    [{ balance: 0 }, { balance: 1 }, { balance: 3 }],
  );
});

test("nobody may do anything that access does not allow", async () => {
  await using node = await start();
  const principal = { kind: "anonymous", id: "" } as const;
  const entity = { type: "wallet", key: "a" };
  const result = await new Promise<CallResult>((resolve) =>
    node.execute({ entity, command: "credit", input: { amount: 1 }, requestId: requestId(), principal }, resolve),
  );
  assert.ok(!result.ok && result.code === "forbidden");
  const seen = await new Promise<WatchNews>(
    (resolve) => void node.watch({ entity, view: "public", principal }, resolve),
  );
  assert.ok(!seen.ok && seen.code === "forbidden");
});

async function valueOf(node: HoldfastNode, key: string) {
  const answer = await query(node, key);
  assert.ok(answer.ok);
  return answer.value as { balance: number; sent: number; woken: number };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
