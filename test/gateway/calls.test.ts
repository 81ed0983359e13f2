/** Outside calls over HTTP: operators list, retry and drop them, everybody else is told the same `forbidden`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { callOutcome } from "../../src/model/call-outcome.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import type { Principal } from "../../src/model/records.ts";
import { startNode } from "../../src/runtime/node.ts";
import { type Answer, send } from "../hostile/request.ts";

const bank = { down: true };
const pay = async (_input: { amount: number }) => {
  if (bank.down) throw new Error("the bank is down");
  return { paid: true };
};

const order = defineEntity("order", {
  state: () => ({ ended: [] as string[] }),
  events: {
    ended: (state, event: { how: string }) => {
      state.ended.push(event.how);
    },
  },
  calls: { pay },
  commands: (command) => ({
    place: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
      ctx.call("pay", { amount }, { result: "paid", attempts: 1, failure: "park" });
    }),
    paid: command(callOutcome<typeof pay>(), (_state, outcome, ctx) => {
      ctx.emit("ended", { how: outcome.ok ? "paid" : outcome.code });
    }),
  }),
  queries: { ended: (state) => state.ended },
  access: () => true,
});

const principals: Readonly<Record<string, Principal>> = {
  olga: { kind: "operator", id: "olga" },
  ann: { kind: "user", id: "ann", roles: ["operator"] },
};

interface Listed {
  readonly more: boolean;
  readonly calls: readonly {
    readonly entity: { readonly type: string; readonly key: string };
    readonly call: string;
    readonly phase: string;
    readonly failed: number;
    readonly lastError: string;
    readonly key: string;
  }[];
}

async function start() {
  bank.down = true;
  const clock = systemClock;
  const log = openMemoryLog({ shardCount: 2 });
  const node = await startNode({ entities: [order], log, shardCount: 2, clock, random: systemRandom });
  const gateway = await startGateway({
    service: node,
    clock,
    random: systemRandom,
    authenticate: async (token) => {
      const principal = principals[token ?? ""];
      if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
      return { principal };
    },
    port: 0,
  });
  const ask = (who: string, method: string, path: string, body?: unknown): Promise<Answer> => {
    const headers = { authorization: `Bearer ${who}`, "content-type": "application/json" };
    return send(gateway.port, { method, path, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  };
  const list = async (search = "?parked=true") => JSON.parse((await ask("olga", "GET", base + search)).text) as Listed;
  return {
    ask,
    list,
    /** Places orders and waits until their calls are parked. */
    park: async (...keys: string[]) => {
      for (const key of keys) await ask("ann", "POST", `/v1/entities/order/${key}/commands/place`, { amount: 5 });
      while ((await list()).calls.length < keys.length) await new Promise((resolve) => setTimeout(resolve, 5));
    },
    ended: async (key: string, how: string) => {
      for (;;) {
        const { value } = JSON.parse((await ask("ann", "GET", `/v1/entities/order/${key}/queries/ended`)).text);
        if (value.length > 0) return assert.deepEqual(value, [how]);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    [Symbol.asyncDispose]: async () => {
      await gateway.close();
      await node.stop();
    },
  };
}

const base = "/v1/operator/calls";

test("an operator lists parked calls, has one tried again, and drops another", async () => {
  await using service = await start();
  await service.park("a", "b");
  const { calls, more } = await service.list();
  assert.equal(more, false);
  const told = calls.map(({ entity, failed, phase }) => `${entity.key} ${phase} after ${failed}`);
  assert.deepEqual(told.sort(), ["a parked after 1", "b parked after 1"]);
  assert.ok(calls.every(({ lastError, key }) => /the bank is down/.test(lastError) && key.length > 0));
  const idOf = (key: string) => calls.find(({ entity }) => entity.key === key)?.call ?? "";
  bank.down = false;
  assert.equal((await service.ask("olga", "POST", `${base}/order/a/${idOf("a")}/retry`)).status, 200);
  await service.ended("a", "paid");
  assert.equal((await service.ask("olga", "POST", `${base}/order/b/${idOf("b")}/drop`)).status, 200);
  await service.ended("b", "dropped");
  assert.deepEqual((await service.list("")).calls, []);
  assert.equal((await service.ask("olga", "POST", `${base}/order/a/${idOf("a")}/retry`)).code, "not-found");
});

test("a list is as long as was asked for and says whether there are more", async () => {
  await using service = await start();
  await service.park("a", "b", "c");
  const two = await service.list("?parked=true&limit=2&type=order");
  assert.deepEqual([two.calls.length, two.more], [2, true]);
  assert.equal((await service.list("?limit=3")).more, false);
  assert.deepEqual((await service.list("?type=other")).calls, []);
});

test("nobody else gets past the door, whatever stands behind it", async () => {
  await using service = await start();
  await service.park("a");
  const { call = "" } = (await service.list()).calls[0] ?? {};
  const tries = [`/order/a/${call}/drop`, "/order/never/2.0/drop", "/nothing/a/2.0/retry", "/order/a/x/destroy"];
  const answers = new Set<string>();
  for (const path of tries) answers.add((await service.ask("ann", "POST", base + path)).text);
  assert.equal(answers.size, 1);
  assert.equal((await service.ask("ann", "GET", base)).code, "forbidden");
  assert.equal((await service.ask("nobody", "GET", base)).code, "unauthenticated");
  assert.equal((await service.list()).calls.length, 1);
});

test("what does not fit is refused with a reason", async () => {
  await using service = await start();
  await service.park("a");
  const { call = "" } = (await service.list()).calls[0] ?? {};
  const code = async (path: string, body?: unknown) => (await service.ask("olga", "POST", base + path, body)).code;
  assert.equal(await code(`/order/a/${call}/destroy`), "not-found");
  assert.equal(await code("/order/a/17/retry"), "not-found");
  assert.equal(await code("/order/a/17.0/retry"), "not-found");
  assert.equal(await code("/order/!/17.0/retry"), "invalid-key");
  assert.equal(await code(`/order/a/${call}/drop`, { force: true }), "invalid-input");
  for (const search of ["?parked=yes", "?limit=0", "?limit=1001", "?limit=2&limit=3", "?all=true"])
    assert.equal((await service.ask("olga", "GET", base + search)).code, "invalid-frame", search);
  assert.equal((await service.ask("olga", "DELETE", `${base}/order/a/${call}/drop`)).status, 405);
});
