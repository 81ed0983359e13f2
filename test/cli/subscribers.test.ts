/** Durable subscribers over the door: the operator's verbs as a child process, and a consumer that pulls over HTTP. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import type { ChangeItem } from "../../src/model/feeds.ts";
import type { CallResult, Principal } from "../../src/model/records.ts";
import { type EmbeddedService, embedded } from "../../src/presets/embedded.ts";
import { Downstream } from "../../src/propagation/subscribers.harness.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { type Answer, send } from "../hostile/request.ts";
import { holdfast, temporaryDirectory } from "./harness.ts";
import { wallet } from "./services/wallet.ts";

const data = temporaryDirectory();
const principals: Readonly<Record<string, Principal>> = {
  "olga-token": { kind: "operator", id: "olga" },
  "ann-token": { kind: "user", id: "ann" },
  "reports-token": { kind: "service", id: "reports" },
};
const downstream = new Downstream();
let service: EmbeddedService;

before(async () => {
  service = await embedded({
    entities: [wallet],
    directory: data,
    shardCount: 2,
    port: 0,
    admin: { port: 0 },
    progress: false,
    onFault: () => {},
    sinks: { analytics: downstream.sink },
    subscribers: [{ name: "declared", form: "changes", sink: "analytics", start: "beginning" }],
    authenticate: async (token) => {
      const principal = principals[token ?? ""];
      if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
      return { principal };
    },
  });
});

after(() => service.stop());

function credit(key: string, amount: number): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const call = { entity: { type: "wallet", key }, command: "credit", input: { amount }, requestId };
  return new Promise((resolve) => service.node.execute({ ...call, principal: { kind: "user", id: "ann" } }, resolve));
}

const operator = (...args: readonly string[]) =>
  holdfast("subscribers", ...args, "--url", service.url, "--token", "olga-token");

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await operator(...args);
  assert.equal(code, 0, `${args.join(" ")}: ${err}`);
  return out;
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise(setImmediate);
}

function post(path: string, token: string, body: unknown): Promise<Answer> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return send(service.gateway.port, { method: "POST", path, headers, body: JSON.stringify(body) });
}

test("an operator creates a subscriber, sees how it goes, pauses, rewinds and deletes it, and the log says who", async () => {
  for (let amount = 1; amount <= 5; amount++) await credit("a", amount);
  await until(() => downstream.ids.length === 5);
  const config = JSON.stringify({
    form: "changes",
    sink: "analytics",
    start: "beginning",
    filter: { types: ["wallet"] },
  });
  assert.match(await must("create", "audit", "--config", config), /^audit {2}\w+ {2}changes to analytics/);
  await until(() => downstream.ids.length === 10);
  await until(async () => /^audit {2}running .*up to date, 5 items taken/m.test(await must("list")));
  assert.match(await must("list"), /^declared {2}running {2}changes to analytics, up to date/m);
  const shown = await must("show", "audit");
  assert.match(shown, /owner operator:olga, created 20/);
  assert.match(shown, /records are kept for it/);
  assert.match(await must("pause", "audit"), /pause is recorded/);
  await until(async () => /^audit {2}paused/m.test(await must("list")));
  await credit("a", 6);
  await until(() => downstream.ids.length === 11);
  assert.match(await must("list"), /^audit {2}paused.* records behind/m);
  await must("resume", "audit");
  await until(() => downstream.ids.length === 12);
  const unasked = await operator("rewind", "audit", "--start", "beginning");
  assert.deepEqual([unasked.code, /add --yes/.test(unasked.err)], [2, true]);
  await must("rewind", "audit", "--start", "beginning", "--yes");
  await until(() => downstream.ids.length === 18);
  await must("delete", "audit", "--yes");
  assert.equal(JSON.parse(await must("list", "--json")).subscribers.length, 1);
  const gone = await operator("show", "audit");
  assert.deepEqual([gone.code, /^error not-found: /.test(gone.err)], [1, true]);
  const { out } = await holdfast("events", "holdfast-subscriber/audit", "--data", data);
  for (const event of ["created", "paused", "resumed", "rewound", "deleted"])
    assert.match(out, new RegExp(`${event} v1 .*"by":{"kind":"operator","id":"olga"}`), event);
});

test("what a sink refuses is seen, skipped, set aside, delivered again and given up", async () => {
  downstream.refuse = (batch) =>
    batch.items.some((item) => (item as ChangeItem).entity.key === "bad")
      ? new HoldfastError("rejected", "no row for bad")
      : undefined;
  const start = JSON.stringify({ form: "changes", sink: "analytics", rejected: "aside" });
  await must("create", "picky", "--config", start);
  await credit("bad", 7);
  await until(async () => /^picky .*1 set aside/m.test(await must("list")));
  assert.match(await must("show", "picky"), /aside 1: 1 of wallet\/bad at \d:\d+, .*: no row for bad/);
  await until(async () => /^declared {2}parked/m.test(await must("list")));
  assert.match(await must("show", "declared"), /parked since .*: rejected: no row for bad\n {4}in front of 1 items/);
  downstream.refuse = () => undefined;
  const before = downstream.ids.length;
  await must("replay", "picky", "--ids", "1");
  await until(() => downstream.ids.length === before + 1);
  await until(async () => !/set aside/.test(await must("list")));
  await must("skip", "declared", "--yes");
  await until(async () => /^declared {2}running/m.test(await must("list")));
  assert.equal(downstream.ids.length, before + 1);
  const none = await operator("drop", "picky", "--yes");
  assert.match(none.err, /^error not-found: /);
  const bad = await operator("create", "worse", "--config", '{"form":"rows"}');
  assert.match(bad.err, /^error invalid-input: .*\n`form` is one of changes, absolutes, deltas/);
});

test("a consumer pulls over HTTP what is its own, and acknowledges it", async () => {
  const path = "/v1/operator/subscribers/reports";
  const ask = { form: "changes", start: "beginning", owner: { kind: "service", id: "reports" } };
  assert.equal((await post(path, "ann-token", ask)).status, 403);
  assert.equal((await post(path, "olga-token", ask)).status, 200);
  assert.equal((await post(path, "olga-token", ask)).status, 409, "there is one");
  const pull = async (verb: string, body: unknown, token = "reports-token") => {
    const { status, text } = await post(`/v1/subscribers/reports/${verb}`, token, body);
    return { status, body: JSON.parse(text) as Record<string, unknown> };
  };
  for (const [token, name] of [
    ["ann-token", "reports"],
    ["ann-token", "nothing"],
  ] as const)
    assert.equal((await post(`/v1/subscribers/${name}/fetch`, token, {})).status, 403);
  await until(async () => (await pull("join", { member: "one" })).status === 200);
  const fetched = await pull("fetch", { member: "one", items: 3, waitMs: 1_000 });
  assert.equal((fetched.body["items"] as unknown[]).length, 3);
  const { cursor } = fetched.body;
  assert.deepEqual((await pull("ack", { member: "one", cursor })).body, { moved: [] });
  assert.equal((await pull("ack", { member: "one", cursor })).status, 400, "it was acknowledged");
  assert.equal((await pull("ack", { member: "one" })).status, 400);
  assert.equal((await pull("fetch", { items: 0 })).status, 400);
  assert.equal((await pull("steal", {})).status, 404);
  assert.equal((await pull("leave", { member: "one" })).status, 200);
  assert.match(await must("list"), /^reports {2}running {2}changes is pulled, .*3 items taken/m);
});

test("monitoring sees every subscriber, and the document of the API names their routes and not their entities", async () => {
  const { text } = await send(service.admin?.port ?? 0, { path: "/metrics" });
  assert.match(text, /^holdfast_subscriber_state\{subscriber="declared",state="running"\} 1$/m);
  assert.match(text, /^holdfast_subscriber_lag_records\{subscriber="declared"\} 0$/m);
  const api = (await send(service.gateway.port, { path: "/openapi.json" })).text;
  assert.match(api, /\/v1\/operator\/subscribers\/\{name\}\/rewind/);
  assert.doesNotMatch(api, /holdfast-subscriber/);
  const inside = await post("/v1/entities/holdfast-subscriber/declared/commands/commit", "olga-token", {});
  assert.equal(inside.status, 403, "nobody moves a cursor but its running");
  const verified = await holdfast("verify", "--service", "test/cli/services/wallet.ts", "--data", data);
  assert.equal(verified.code, 0, `${verified.out}${verified.err}`);
});
