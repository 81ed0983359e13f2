/** An erasure at the door: the operator's route, and what clients that watch see of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { openMemoryKeys } from "../../src/adapters/keys/memory.ts";
import { openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { connect } from "../../src/client/index.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { personal, type Sealed } from "../../src/model/sealed.ts";
import { startNode } from "../../src/runtime/node.ts";

const person = defineEntity("person", {
  personal: true,
  state: () => ({ names: [] as Sealed<string>[] }),
  events: {
    named: (state, event: { name: Sealed<string> }) => {
      state.names.push(event.name);
    },
  },
  commands: (command) => ({
    name: command(z.object({ name: z.string().transform(personal) }), (_state, { name }, ctx) => {
      ctx.emit("named", { name });
      return (next) => ({ names: next.names });
    }),
  }),
  views: { names: (state) => ({ names: state.names, filler: "so that a delta is smaller than the view is" }) },
  access: () => true,
});

async function start() {
  const node = await startNode({
    entities: [person],
    log: openMemoryLog({ shardCount: 1 }),
    keys: await openMemoryKeys({ random: systemRandom }),
    shardCount: 1,
    clock: systemClock,
    random: systemRandom,
  });
  const gateway = await startGateway({
    service: node,
    clock: systemClock,
    random: systemRandom,
    authenticate: async (token) => ({ principal: { kind: token === "olga" ? "operator" : "user", id: token ?? "" } }),
    port: 0,
  });
  const erase = async (subject: string, token: string, init: RequestInit = {}) => {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`${gateway.url}/v1/operator/erasures/${subject}`, {
      method: "POST",
      headers,
      ...init,
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return {
    erase,
    client: () => connect<{ person: typeof person }>({ url: gateway.url, token: "ann" }),
    async [Symbol.asyncDispose]() {
      await gateway.close();
      await node.stop();
    },
  };
}

test("whoever watches sees an erasure at once, and who comes back with an old view gets a whole new one", async () => {
  await using service = await start();
  await using client = service.client();
  const ann = client.entity("person", "ann");
  assert.deepEqual((await ann.execute("name", { name: "Ann" })).value, { names: ["Ann"] });
  const seen: unknown[] = [];
  const last = (): unknown => seen.at(-1);
  const told: (() => void)[] = [];
  const next = () => new Promise<void>((resolve) => told.push(resolve));
  const watch = ann.watch("names", ({ value }) => {
    seen.push(value.names);
    told.shift()?.();
  });
  await next();
  let heard = next();
  await ann.execute("name", { name: "Ann II" });
  await heard;
  heard = next();
  assert.deepEqual((await service.erase("person/ann", "olga")).body["value"], { subject: "person/ann", erased: true });
  await heard;
  assert.deepEqual([...seen], [["Ann"], ["Ann", "Ann II"], [null, null]]);
  watch.stop();
  // the gateway still has the watch for those who come back, and the client the view at its version
  heard = next();
  const again = ann.watch("names", ({ value }) => {
    seen.push(value.names);
    told.shift()?.();
  });
  await heard;
  assert.deepEqual(last(), [null, null]);
  heard = next();
  assert.deepEqual((await ann.execute("name", { name: "Anna" })).value, { names: [null, null, "Anna"] });
  await heard;
  assert.deepEqual(last(), [null, null, "Anna"]);
  again.stop();
});

test("only operators erase over HTTP; anybody else hears the same of every subject", async () => {
  await using service = await start();
  for (const subject of ["person/ann", "ghost/ann", "person/a%20b"]) {
    const { status, body } = await service.erase(subject, "ann");
    assert.deepEqual([status, body["code"]], [403, "forbidden"], subject);
  }
  assert.equal((await service.erase("ghost/ann", "olga")).body["code"], "unknown-type");
  assert.equal((await service.erase("person/a%20b", "olga")).body["code"], "invalid-key");
  const body = { headers: { Authorization: "Bearer olga", "Content-Type": "application/json" }, body: "{}" };
  assert.equal((await service.erase("person/ann", "olga", body)).body["code"], "invalid-input");
  assert.equal((await service.erase("person/ann", "olga", { method: "PUT" })).body["code"], "method-not-allowed");
  const nothing = await service.erase("person/ann", "olga");
  assert.deepEqual(nothing.body["value"], { subject: "person/ann", erased: false });
});
