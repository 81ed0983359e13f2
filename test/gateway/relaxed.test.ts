/** A relaxed command over each way in: its answer says that it is not on disk yet; everything else says nothing of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { connect, rejectionOf } from "../../src/client/index.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { startNode } from "../../src/runtime/node.ts";
import { startTestNode } from "../../src/testing/index.ts";

const meter = defineEntity("meter", {
  durability: { relaxed: { windowMs: 60_000 } },
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      return (next) => next.count;
    }),
    refuse: command((_state, _input, ctx) => ctx.reject("never")),
    surely: command(
      (_state, _input, ctx) => {
        ctx.emit("counted", {});
        return (next) => next.count;
      },
      { durability: "durable" },
    ),
  }),
  access: () => true,
});

async function start(): Promise<{ url: string } & AsyncDisposable> {
  const system = { clock: systemClock, random: systemRandom };
  const shardCount = 2;
  const log = openMemoryLog({ store: createMemoryStore(shardCount) });
  const node = await startNode({ entities: [meter], log, shardCount, ...system });
  const authenticate = developmentAuthentication({ warn: () => {} });
  const gateway = await startGateway({ service: node, authenticate, port: 0, ...system });
  return {
    url: gateway.url,
    [Symbol.asyncDispose]: async () => {
      await gateway.close();
      await node.stop();
    },
  };
}

test("HTTP says durable: false in the body, and in the problem of a rejection", async () => {
  await using service = await start();
  const post = async (command: string) => {
    const url = `${service.url}/v1/entities/meter/m/commands/${command}`;
    const headers = { authorization: "Bearer dev:ann", connection: "close" };
    return (await (await fetch(url, { method: "POST", headers })).json()) as Record<string, unknown>;
  };
  assert.deepEqual(await post("count"), { value: 1, version: 2, durable: false });
  const refused = await post("refuse");
  assert.deepEqual([refused["code"], refused["durable"]], ["rejected", false]);
  assert.deepEqual(await post("surely"), { value: 2, version: 4 });
});

for (const encoding of ["msgpack", "json"] as const) {
  test(`the client's reply says durable: false over ${encoding}, and so do a rejection's details`, async () => {
    await using service = await start();
    await using client = connect<{ meter: typeof meter }>({ url: service.url, token: "dev:ann", encoding });
    const entity = client.entity("meter", "m");
    assert.deepEqual(await entity.execute("count"), { value: 1, version: 2, durable: false });
    const error = await entity.execute("refuse").catch((caught: unknown) => caught);
    assert.equal(rejectionOf(error)?.reason, "never");
    assert.ok(isHoldfastError(error) && error.details?.["durable"] === false);
    assert.deepEqual(await entity.execute("surely"), { value: 2, version: 4 });
  });
}

test("OpenAPI tells of the window, for relaxed commands only", async () => {
  await using service = await start();
  const answer = await fetch(`${service.url}/openapi.json`, { headers: { connection: "close" } });
  const { paths } = (await answer.json()) as {
    paths: Record<string, { post: { responses: Record<string, { description: string }> } }>;
  };
  const said = (command: string) =>
    paths[`/v1/entities/meter/{key}/commands/${command}`]?.post.responses["200"]?.description;
  assert.match(said("count") ?? "", /within 60000 ms/);
  assert.equal(said("surely"), "Carried out, durable.");
});

test("a test node loses by a restart what was answered early, and keeps it after the window", async () => {
  await using node = await startTestNode({ entities: [meter] });
  assert.deepEqual((await node.execute(meter, "m", "count")).durable, false);
  await node.restart();
  assert.equal((await node.execute(meter, "m", "count")).value, 1);
  await node.advance(60_000);
  await node.restart();
  assert.equal((await node.execute(meter, "m", "surely")).value, 2);
});
