/** The command line beside a node that runs: its status, and what operators did about an entity. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createMemoryStore, openMemoryLog } from "../../src/adapters/memory/log.ts";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { systemRandom } from "../../src/adapters/system/random.ts";
import { startAdmin } from "../../src/admin/server.ts";
import { defineEntity } from "../../src/model/entity.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import { embedded } from "../../src/presets/embedded.ts";
import { prepareNode } from "../../src/runtime/node.ts";
import type { Figures } from "../../src/runtime/service.ts";
import { entities } from "../golden/kitchen-sink.ts";
import { recordSink, sinkShards } from "../golden/record-sink.ts";
import { send } from "../hostile/request.ts";
import { holdfast, temporaryDirectory } from "./harness.ts";

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
    count: command((_state, _input, context) => context.emit("counted", {})),
    break: command((_state, _input, context) => context.emit("broke", {})),
  }),
  access: () => true,
});

async function start(directory: string) {
  return embedded({
    entities: [box],
    directory,
    port: 0,
    admin: { port: 0 },
    progress: false,
    authenticate: async (token) => {
      if (token === "olga") return { principal: { kind: "operator", id: "olga" } };
      if (token === undefined) return { principal: { kind: "user", id: "ann" } };
      throw new HoldfastError("unauthenticated", "no");
    },
  });
}

test("events prints what operators did about a parked entity, each with who it was", async () => {
  const directory = temporaryDirectory();
  const service = await start(directory);
  const ask = (path: string, body?: object, token?: string) =>
    send(service.gateway.port, {
      method: "POST",
      path,
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  assert.equal((await ask("/v1/entities/box/b/commands/count")).status, 200);
  assert.equal((await ask("/v1/entities/box/b/commands/break")).status, 500);
  const verb = (name: string, body?: object) => ask(`/v1/operator/quarantine/box/b/${name}`, body, "olga");
  while ((await verb("resume")).status !== 200) {
    // its last good state is being made anew from the log; parked again by the next command, for the other verbs
  }
  assert.equal((await ask("/v1/entities/box/b/commands/break")).status, 500);
  for (const [name, body] of [["inspect"], ["skip"], ["repair", { state: { count: 7 } }], ["resume"]] as const)
    assert.equal((await verb(name, body)).status, 200, name);
  assert.equal((await ask("/v1/entities/box/b/commands/count")).status, 200);
  await service.stop();
  const { code, out } = await holdfast("events", "box/b", "--data", directory);
  assert.equal(code, 0);
  const told = [...out.matchAll(/quarantine: (\w+) {2}\((\w+) "(\w+)"\)/g)].map(([, ...each]) => each.join(" "));
  assert.deepEqual(told, [
    "park system holdfast",
    "resume operator olga",
    "park system holdfast",
    "inspect operator olga",
    "skip operator olga",
    "repair operator olga",
    "resume operator olga",
  ]);
  assert.match(out, /evolve: "Error: cannot be evolved/);
  assert.match(out, /state {"count":7}/);
});

test("status shows how a node is, from its admin port and, with an operator's token, from its door", async () => {
  const directory = temporaryDirectory();
  const service = await start(directory);
  try {
    await send(service.gateway.port, {
      method: "POST",
      path: "/v1/entities/box/b/commands/count",
      headers: { "content-type": "application/json" },
    });
    const text = await holdfast("status", "--url", service.admin?.url ?? "");
    assert.equal(text.code, 0, text.err);
    assert.match(
      text.out,
      /^phase +serving\nshards +16 serving\nentities +1 in memory, 0\.0 MB, 0 in the state store\n/,
    );
    assert.match(text.out, /\nanswers +ok 1\n/);
    assert.match(text.out, /\ncheckpoint +2 records behind, /);
    const tokenFile = join(directory, "token");
    writeFileSync(tokenFile, "olga\n");
    const json = await holdfast("status", "--url", service.url, "--token-file", tokenFile, "--json");
    assert.equal(json.code, 0, json.err);
    assert.equal((JSON.parse(json.out) as Figures).commands, 1);
    const refused = await holdfast("status", "--url", service.url);
    assert.deepEqual([refused.code, refused.out], [1, ""]);
    assert.match(refused.err, /^error forbidden: [^\n]+\nOnly an operator/);
  } finally {
    await service.stop();
  }
  const gone = await holdfast("status", "--url", service.url);
  assert.deepEqual([gone.code, gone.out], [1, ""]);
  assert.match(gone.err, /does not answer .*Is the node running\?/);
  assert.equal((await holdfast("status", "--url", "nonsense")).code, 2);
});

test("status shows how far a recovery is and for how long still", async () => {
  const store = createMemoryStore(sinkShards);
  await recordSink(async () => openMemoryLog({ store }));
  const log = openMemoryLog({ store });
  const read = log.read.bind(log);
  let goOn = (): void => {};
  const halted = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  log.read = async function* (from) {
    for await (const frames of read(from)) {
      yield frames.slice(0, 1);
      await halted;
      yield frames.slice(1);
    }
  };
  const node = prepareNode({ entities, log, clock: systemClock, random: systemRandom, shardCount: sinkShards });
  const admin = await startAdmin(node, { port: 0 });
  const recovered = node.recover();
  const { code, out } = await holdfast("status", "--url", admin.url);
  assert.equal(code, 1);
  assert.match(out, /^phase +recovering\n[^\n]+\nrecovery +[█░]+ \d+ % {2}\d+ of \d+ records {2}[\d.]+ \w+ left\n/);
  goOn();
  await recovered;
  assert.equal((await holdfast("status", "--url", admin.url)).code, 0);
  await admin.close();
  await node.stop();
});
