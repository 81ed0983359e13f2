/** Quarantine over HTTP: operators deal with what is parked, everybody else is told the same `forbidden`. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import type { Principal } from "../../src/model/records.ts";
import { startNode } from "../../src/runtime/node.ts";
import { type Answer, send } from "../hostile/request.ts";

const box = defineEntity("box", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
    broke: () => {
      throw new Error("cannot be evolved");
    },
  },
  commands: (command) => ({
    count: command((_state, _input, context) => {
      context.emit("counted", {});
    }),
    break: command((_state, _input, context) => {
      context.emit("broke", {});
    }),
  }),
  queries: { count: (state) => state.count },
  access: () => true,
});

const principals: Readonly<Record<string, Principal>> = {
  olga: { kind: "operator", id: "olga" },
  ann: { kind: "user", id: "ann", roles: ["operator"] },
  batch: { kind: "service", id: "batch" },
};

async function start() {
  const node = await startNode({
    entities: [box],
    log: openMemoryLog({ shardCount: 2 }),
    shardCount: 2,
    clock: systemClock,
    random: systemRandom,
  });
  const gateway = await startGateway({
    service: node,
    clock: systemClock,
    random: systemRandom,
    authenticate: (token) => {
      const principal = principals[token ?? ""];
      return principal === undefined
        ? Promise.reject(new HoldfastError("unauthenticated", "no"))
        : Promise.resolve({ principal });
    },
    port: 0,
  });
  const ask = (who: string, method: string, path: string, body?: unknown): Promise<Answer> =>
    send(gateway.port, {
      method,
      path,
      headers: { authorization: `Bearer ${who}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    ask,
    [Symbol.asyncDispose]: async () => {
      await gateway.close();
      await node.stop();
    },
  };
}

const base = "/v1/operator/quarantine";
const valueOf = ({ text }: Answer) => (JSON.parse(text) as { value: Record<string, unknown> }).value;

test("an operator finds, inspects, skips, repairs and resumes what is parked", async () => {
  await using service = await start();
  const { ask } = service;
  await ask("ann", "POST", "/v1/entities/box/a/commands/count");
  await ask("ann", "POST", "/v1/entities/box/a/commands/break");
  const refused = await ask("ann", "POST", "/v1/entities/box/a/commands/count");
  assert.deepEqual([refused.status, refused.code], [423, "quarantined"]);
  assert.equal((await ask("ann", "POST", "/v1/entities/box/b/commands/count")).status, 200);
  const look = async () =>
    JSON.parse((await ask("olga", "GET", base)).text) as {
      parked: { parkedAt: number; why: string; readable: boolean }[];
    };
  let list = await look();
  // Its last good state is made anew from the log, beside the shard.
  while (list.parked[0]?.readable === false) list = await look();
  assert.deepEqual(
    list.parked.map(({ why }) => why),
    ["evolve"],
  );
  const inspected = valueOf(await ask("olga", "POST", `${base}/box/a/inspect`));
  assert.deepEqual(inspected["state"], { count: 1 });
  assert.equal((inspected["captured"] as { command: string }).command, "break");
  assert.equal((await ask("olga", "POST", `${base}/box/a/skip`)).status, 200);
  const repair = { state: { count: 7 }, ifParkedAt: list.parked[0]?.parkedAt };
  assert.equal((await ask("olga", "POST", `${base}/box/a/repair`, repair)).status, 200);
  assert.equal((await ask("olga", "POST", `${base}/box/a/resume`, { ifParkedAt: 1 })).code, "version-mismatch");
  assert.equal((await ask("olga", "POST", `${base}/box/a/resume`)).status, 200);
  assert.equal((await ask("ann", "POST", "/v1/entities/box/a/commands/count")).status, 200);
  assert.equal(valueOf(await ask("ann", "GET", "/v1/entities/box/a/queries/count")), 8);
  assert.equal((await ask("olga", "POST", `${base}/box/a/resume`)).code, "rejected");
});

test("nobody else gets past the door, whatever stands behind it", async () => {
  await using service = await start();
  await service.ask("ann", "POST", "/v1/entities/box/a/commands/break");
  const tries = ["/box/a/inspect", "/box/never/inspect", "/nothing/a/inspect", "/box/a/destroy", "/box/!/skip"];
  for (const who of ["ann", "batch"]) {
    const answers = new Set<string>();
    for (const path of tries) answers.add((await service.ask(who, "POST", base + path)).text);
    assert.equal(answers.size, 1);
    assert.equal((await service.ask(who, "GET", base)).code, "forbidden");
  }
  assert.equal((await service.ask("nobody", "GET", base)).code, "unauthenticated");
});

test("what does not fit is refused with a reason", async () => {
  await using service = await start();
  const { ask } = service;
  await ask("ann", "POST", "/v1/entities/box/a/commands/break");
  assert.equal((await ask("olga", "POST", `${base}/box/a/destroy`)).code, "not-found");
  assert.equal((await ask("olga", "POST", `${base}/none/a/resume`)).code, "unknown-type");
  for (const body of [undefined, {}, { state: 1 }, { state: {}, more: 1 }, { state: {}, ifParkedAt: "2" }, []])
    assert.equal((await ask("olga", "POST", `${base}/box/a/repair`, body)).code, "invalid-input");
  assert.equal((await ask("olga", "POST", `${base}/box/a/skip`, { state: {} })).code, "invalid-input");
  assert.equal((await ask("olga", "DELETE", `${base}/box/a/skip`)).status, 405);
});
