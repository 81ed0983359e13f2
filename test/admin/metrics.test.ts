/** The admin port over a real service: what it counts is what was done, who may read it, and what is never in it. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { systemRandom } from "../../src/adapters/system/random.ts";
import type { AdminOptions } from "../../src/admin/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { HoldfastError, isHoldfastError } from "../../src/model/errors.ts";
import type { CallResult, Principal } from "../../src/model/records.ts";
import { embedded } from "../../src/presets/embedded.ts";
import type { HoldfastNode } from "../../src/runtime/node.ts";
import type { Figures } from "../../src/runtime/service.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { send } from "../hostile/request.ts";

const canary = "cAnArY7531";

const box = defineEntity("box", {
  state: () => ({ count: 0, note: "" }),
  events: {
    counted: (state, event: { note: string }) => {
      state.count++;
      state.note = event.note;
    },
    broke: () => {
      throw new Error(`${canary} cannot be evolved`);
    },
  },
  commands: (command) => ({
    count: command(z.object({ note: z.string() }), (_state, { note }, context) => {
      if (note === "no") return context.reject("no");
      context.emit("counted", { note });
      return undefined;
    }),
    break: command((_state, _input, context) => {
      context.emit("broke", {});
    }),
    outside: command((_state, _input, context) => {
      context.call("fail", { note: canary }, { attempts: 1 });
    }),
  }),
  queries: { count: (state) => state.count },
  calls: {
    fail: () => {
      throw new Error(`${canary} is not there`);
    },
  },
  access: () => true,
});

const principals: Readonly<Record<string, Principal>> = {
  olga: { kind: "operator", id: `${canary}-olga` },
  ann: { kind: "user", id: "ann" },
};

async function start(admin: AdminOptions = { port: 0 }) {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-admin-"));
  const service = await embedded({
    entities: [box],
    directory,
    port: 0,
    admin,
    progress: false,
    limits: { residentEntitiesMax: 400 },
    authenticate: async (token) => {
      const principal = principals[token ?? ""];
      if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
      return { principal };
    },
  });
  return {
    ...service,
    port: service.admin?.port ?? 0,
    [Symbol.asyncDispose]: async () => {
      await service.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function execute(node: HoldfastNode, key: string, command: string, input: unknown): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const principal = principals["ann"] as Principal;
  return new Promise((resolve) =>
    node.execute({ entity: { type: "box", key }, command, input, requestId, principal }, resolve),
  );
}

/** Values by name and labels as they are written. */
async function scrape(port: number): Promise<{ text: string; values: ReadonlyMap<string, number> }> {
  const { status, text } = await send(port, { path: "/metrics" });
  assert.equal(status, 200);
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^([a-z_]+(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) values.set(name, Number(value));
  }
  return { text, values };
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

test("a scrape under load tells what was done, and holds no key, payload, error text or principal", async () => {
  await using service = await start();
  const { node, port } = service;
  const load: Promise<CallResult>[] = [];
  for (let index = 0; index < 1_000; index++)
    load.push(execute(node, `${canary}-${index % 500}`, "count", { note: index % 10 === 0 ? "no" : canary }));
  const during = await scrape(port);
  assert.ok((during.values.get('holdfast_replies_total{code="ok"}') ?? 0) <= 900);
  await Promise.all(load);
  assert.equal((await execute(node, canary, "break", undefined)).ok, false);
  assert.ok((await execute(node, `${canary}-outside`, "outside", undefined)).ok);
  await until(async () => (await node.figures()).callsParked === 1);
  await until(() => node.health().hot <= 402);
  for (let index = 0; index < 500; index++) await execute(node, `${canary}-${index}`, "count", { note: "again" });
  await until(() => node.health().hot <= 402);
  await until(async () => (await node.figures()).evictions >= 100);
  const { text, values } = await scrape(port);
  assert.equal(values.get("holdfast_commands_total"), 1_502);
  assert.equal(values.get('holdfast_replies_total{code="ok"}'), 1_401);
  assert.equal(values.get('holdfast_replies_total{code="rejected"}'), 100);
  assert.equal(values.get('holdfast_replies_total{code="overloaded"}'), 0);
  assert.equal(values.get('holdfast_replies_total{code="decide-failed"}'), 1);
  // 1,401 steps and 100 rejections, the mark of the broken entity, and the failed attempt
  assert.equal(values.get("holdfast_append_records_sum"), 1_503);
  const { commits, lookups, activations, evictions, stored } = await node.figures();
  assert.equal(values.get("holdfast_append_seconds_count"), commits.count);
  assert.equal(values.get("holdfast_append_bytes_sum"), commits.bytes);
  assert.equal(values.get("holdfast_lookups_total"), lookups);
  assert.equal(values.get("holdfast_activations_total"), activations);
  // 450 entities came into being at first (the commands of 50 were rejected), and at most 402 of them were in memory then
  assert.ok(activations >= 48 && evictions >= 100, `${activations} activations, ${evictions} evictions`);
  assert.equal(values.get("holdfast_entities_stored"), stored);
  assert.equal(values.get("holdfast_entities_quarantined"), 1);
  assert.equal(values.get("holdfast_calls"), 1);
  assert.equal(values.get("holdfast_calls_parked"), 1);
  assert.equal(values.get('holdfast_shards{phase="serving"}'), 16);
  assert.equal(values.get('holdfast_phase{phase="serving"}'), 1);
  assert.equal(values.get("holdfast_log_records"), 1_503 + 16);
  assert.equal(values.get("holdfast_recovery_eta_seconds"), undefined);
  for (const name of ['holdfast_memory_bytes{kind="rss"}', "holdfast_cpu_seconds_total"])
    assert.ok((values.get(name) ?? 0) > 0, name);
  assert.ok(values.has('holdfast_event_loop_delay_seconds{quantile="0.99"}'));
  assert.ok(!`${during.text}${text}`.includes(canary));
  assert.ok([...values.keys()].length < 200, "few series, whatever the number of entities");
});

test("status is the same for the admin port and for operators at the door, and for nobody else", async () => {
  await using service = await start();
  await execute(service.node, canary, "count", { note: canary });
  const path = "/v1/operator/status";
  const here = await send(service.port, { path });
  const door = (token: string) => send(service.gateway.port, { path, headers: { authorization: `Bearer ${token}` } });
  const there = await door("olga");
  assert.deepEqual([here.status, there.status], [200, 200]);
  const figures = JSON.parse(there.text) as Figures;
  assert.deepEqual([figures.phase, figures.commands, figures.hot], ["serving", 1, 1]);
  assert.deepEqual(Object.keys(JSON.parse(here.text) as object), Object.keys(figures));
  assert.ok(!`${here.text}${there.text}`.includes(canary));
  assert.equal((await door("ann")).status, 403);
  assert.equal((await door("nobody")).status, 401);
  assert.equal((await send(service.gateway.port, { path: "/metrics" })).status, 404, "the world's door has no metrics");
});

test("with a token the admin port tells nothing to who has not got it", async () => {
  const token = "a-token-of-monitoring";
  await using service = await start({ port: 0, token });
  for (const path of ["/metrics", "/v1/operator/status", "/livez", "/nothing"]) {
    for (const headers of [{}, { authorization: "Bearer another-token-of-it" }, { authorization: "Basic x" }])
      assert.equal((await send(service.port, { path, headers })).status, 401, path);
  }
  const headers = { authorization: `Bearer ${token}` };
  assert.equal((await send(service.port, { path: "/metrics", headers })).status, 200);
  assert.equal((await send(service.port, { path: "/nothing", headers })).status, 404);
  assert.equal((await send(service.port, { path: "/metrics", headers, method: "POST" })).status, 405);
});

test("pages of other origins, and names that were pointed at loopback, read nothing", async () => {
  await using service = await start();
  for (const headers of [{ origin: "https://evil.example" }, { host: "evil.example" }])
    assert.equal((await send(service.port, { path: "/metrics", headers })).status, 403);
});

test("an admin port that others could reach without a token is refused, and nothing is left running", async () => {
  for (const admin of [
    { port: 0, host: "0.0.0.0" },
    { port: 0, token: "short" },
  ])
    await assert.rejects(start(admin), (error) => isHoldfastError(error) && error.code === "invalid-configuration");
});
