/** Projections over HTTP and server-sent events, of a whole service on a real disk. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import { defineProjection } from "../../src/model/projection.ts";
import type { CallResult, Principal } from "../../src/model/records.ts";
import { type EmbeddedService, embedded } from "../../src/presets/embedded.ts";
import { applyPatch, type PatchOperation } from "../../src/std/patch.ts";
import type { Plain } from "../../src/std/plain.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";

const game = defineEntity("game", {
  state: () => ({ hands: 0 }),
  events: {
    won: (state, _event: { player: string; amount: number }) => {
      state.hands++;
    },
  },
  commands: (command) => ({
    win: command(z.object({ player: z.string(), amount: z.number() }), (_state, input, context) => {
      context.emit("won", input);
    }),
  }),
  access: () => true,
});

/** So that a change of a number is smaller than the whole. */
const badges = Array.from({ length: 12 }, (_, at) => `badge-${at}`);

const wins = defineProjection("wins", {
  from: [game],
  document: () => ({ won: 0, hands: 0, badges }),
  key: ({ payload }) => payload.player,
  on: {
    game: {
      won: (document, { amount }) => {
        if (amount < 0) throw new Error("less than nothing");
        document.won += amount;
        document.hands += 1;
      },
    },
  },
  orderBy: { won: ({ won }) => won, hands: ({ hands }) => hands },
  access: ({ kind, id }, verb) => kind === "user" && (verb.kind === "list" || verb.key === id),
});

const principals: Readonly<Record<string, Principal>> = {
  ann: { kind: "user", id: "ann" },
  bob: { kind: "user", id: "bob" },
  olga: { kind: "operator", id: "olga" },
};

async function start(directory = mkdtempSync(join(tmpdir(), "holdfast-wins-")), version?: number) {
  const service = await embedded({
    entities: [game],
    projections: [version === undefined ? wins : { ...wins, version }],
    directory,
    port: 0,
    admin: { port: 0 },
    progress: false,
    limits: { projectionLingerMs: 1 },
    authenticate: async (token) => {
      const principal = principals[token ?? ""];
      if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
      return { principal };
    },
  });
  return { ...service, directory, [Symbol.asyncDispose]: () => end(service, directory) };
}

async function end(service: EmbeddedService, directory: string): Promise<void> {
  await service.stop();
  rmSync(directory, { recursive: true, force: true });
}

function win(service: EmbeddedService, player: string, amount: number): Promise<CallResult> {
  const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
  const principal: Principal = { kind: "system", id: "test" };
  const call = { entity: { type: "game", key: "g" }, command: "win", input: { player, amount }, requestId, principal };
  return new Promise((done) => service.node.execute(call, done));
}

async function folded(service: EmbeddedService, changes: number): Promise<void> {
  for (;;) {
    const [status] = service.projections.status();
    if (status?.phase === "serving" && status.changes >= changes) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function get(url: string, token = "ann"): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

type Event = { id: string; event: string; data: { version: number; value: Plain; patch: PatchOperation[] } };

/** A stream of events, one at a time. */
async function* follow(url: string, headers: Record<string, string> = {}): AsyncGenerator<Event, void> {
  const ending = new AbortController();
  const response = await fetch(url, {
    signal: ending.signal,
    headers: { authorization: "Bearer ann", accept: "text/event-stream", ...headers },
  });
  assert.equal(response.status, 200);
  let text = "";
  try {
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part;
      for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
        const fields = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        const field = (name: string) => fields.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const data = field("data");
        if (data !== undefined) yield { id: field("id") ?? "", event: field("event") ?? "", data: JSON.parse(data) };
      }
    }
  } finally {
    ending.abort();
  }
}

async function next(stream: AsyncGenerator<Event, void>): Promise<Event> {
  const { value } = await stream.next();
  assert.ok(value, "the stream ended");
  return value;
}

test("lists and documents are answered, with how old they may be", async () => {
  await using service = await start();
  const base = `${service.url}/v1/projections/wins`;
  await win(service, "ann", 5);
  await win(service, "bob", 3);
  await win(service, "bob", 1);
  await folded(service, 3);
  const list = await get(`${base}?limit=1`);
  assert.equal(list.status, 200);
  const { version, lagSeconds, ...rest } = list.body;
  assert.deepEqual(rest, {
    projection: "wins",
    phase: "serving",
    order: "won",
    documents: [{ key: "ann", value: { won: 5, hands: 1, badges } }],
    more: true,
  });
  assert.match(String(version), /^1-[0-9a-f]{16}$/);
  assert.equal(lagSeconds, 0);
  const byHands = await get(`${base}?order=hands`);
  assert.deepEqual((byHands.body["documents"] as { key: string }[])[0]?.key, "bob");
  assert.deepEqual((await get(`${base}/ann`)).body["value"], { won: 5, hands: 1, badges });
});

test("what is not allowed, not there or no ask is refused", async () => {
  await using service = await start();
  await folded(service, 0);
  const base = `${service.url}/v1/projections`;
  const codes = async (path: string, token = "ann") => {
    const { status, body } = await get(`${base}${path}`, token);
    return `${status} ${String(body["code"])}`;
  };
  assert.equal(await codes("/wins/bob"), "403 forbidden");
  assert.equal(await codes("/nothing"), "403 forbidden");
  assert.equal(await codes("/wins", "olga"), "403 forbidden");
  assert.equal(await codes("/wins", "nobody"), "401 unauthenticated");
  assert.equal(await codes("/wins?limit=0"), "400 invalid-input");
  assert.equal(await codes("/wins?limit=1001"), "400 invalid-input");
  assert.equal(await codes("/wins?limit=x"), "400 invalid-input");
  assert.equal(await codes("/wins?size=1"), "400 invalid-frame");
  assert.equal(await codes("/wins?order=age"), "404 not-found");
  assert.equal(await codes("/wins/a.b"), "400 invalid-key");
  assert.equal(await codes("/wins/ann?x=1"), "400 invalid-frame");
  assert.equal(await codes("/wins/ann/more"), "404 not-found");
  const posted = await fetch(`${base}/wins`, { method: "POST", headers: { authorization: "Bearer ann" } });
  assert.equal(posted.status, 405);
});

test("a stream begins with the list and goes on with deltas; who comes back gets what it missed", async () => {
  await using service = await start();
  const url = `${service.url}/v1/projections/wins?limit=3`;
  await win(service, "ann", 5);
  await folded(service, 1);
  const [list, own] = [follow(url), follow(`${service.url}/v1/projections/wins/ann`)];
  const first = await next(list);
  assert.equal((await next(own)).event, "absolute");
  assert.equal(first.event, "absolute");
  const value = (won: number, hands: number) => ({ won, hands, badges });
  assert.deepEqual(first.data.value, { documents: [{ key: "ann", value: value(5, 1) }], more: false });
  await win(service, "ann", 2);
  const second = await next(list);
  assert.equal(second.event, "delta");
  const now = applyPatch(first.data.value, second.data.patch);
  assert.deepEqual(now, { documents: [{ key: "ann", value: value(7, 2) }], more: false });
  assert.equal((await next(own)).event, "delta");
  await list.return();
  await own.return();
  await win(service, "bob", 9);
  await folded(service, 3);
  const again = follow(url, { "last-event-id": second.id });
  const missed = await next(again);
  assert.equal(missed.event, "delta");
  const after = applyPatch(now, missed.data.patch) as { documents: { key: string }[] };
  assert.deepEqual(
    after.documents.map(({ key }) => key),
    ["bob", "ann"],
  );
  await again.return();
});

test("after a restart it goes on from where it was, and another version is told apart in status and metrics", async () => {
  const first = await start();
  await win(first, "ann", 5);
  await win(first, "ann", 6);
  await folded(first, 2);
  await first.stop();
  const second = await start(first.directory);
  await folded(second, 0);
  assert.equal(second.projections.status()[0]?.changes, 0, "nothing was folded again");
  assert.deepEqual((await get(`${second.url}/v1/projections/wins/ann`)).body["value"], { won: 11, hands: 2, badges });
  await second.stop();
  await using third = await start(first.directory, 2);
  await folded(third, 2);
  const status = await get(`${third.url}/v1/operator/status`, "olga");
  const [shown] = status.body["projections"] as { name: string; phase: string; version: string }[];
  assert.deepEqual([shown?.name, shown?.phase, shown?.version.slice(0, 2)], ["wins", "serving", "2-"]);
  const metrics = await (await fetch(`${third.admin?.url}/metrics`)).text();
  assert.match(metrics, /holdfast_projection_current\{projection="wins"\} 1/);
  assert.match(metrics, /holdfast_projection_lag_records\{projection="wins"\} 0/);
  assert.match(metrics, /holdfast_projection_documents\{projection="wins"\} 1/);
});

test("a projection that failed answers what it had, and says so", async () => {
  await using service = await start();
  await win(service, "ann", 5);
  await folded(service, 1);
  await win(service, "ann", -5);
  while (service.projections.status()[0]?.phase !== "failed") await new Promise((resolve) => setTimeout(resolve, 2));
  const { status, body } = await get(`${service.url}/v1/projections/wins/ann`);
  assert.deepEqual(
    [status, body["phase"], body["lagSeconds"], body["value"]],
    [200, "failed", null, { won: 5, hands: 1, badges }],
  );
  const metrics = await (await fetch(`${service.admin?.url}/metrics`)).text();
  assert.match(metrics, /holdfast_projection_current\{projection="wins"\} 0/);
});

test("the document of the interface describes them", async () => {
  await using service = await start();
  const { body } = await get(`${service.url}/openapi.json`);
  const paths = body["paths"] as Record<string, { get: { operationId: string; parameters: { name: string }[] } }>;
  assert.deepEqual(
    paths["/v1/projections/wins"]?.get.parameters.map(({ name }) => name),
    ["limit", "order", "Last-Event-ID"],
  );
  assert.equal(paths["/v1/projections/wins/{key}"]?.get.operationId, "projections.wins.document");
});

test("a projection of an entity that the service does not have is refused", async () => {
  const other = defineEntity("game", { state: () => ({}), events: { won: () => {} }, commands: () => ({}) });
  const strange = defineProjection("strange", { from: [other], document: () => ({}), on: { game: { won: () => {} } } });
  const directory = mkdtempSync(join(tmpdir(), "holdfast-wins-"));
  const refused = embedded({
    entities: [game],
    projections: [strange],
    directory,
    port: 0,
    progress: false,
    authenticate: async () => ({ principal: { kind: "anonymous", id: "anonymous" } }),
  });
  await assert.rejects(refused, /invalid-definition|not among the service's entities/);
  rmSync(directory, { recursive: true, force: true });
});
