/** The client against the real gateway and node, over real sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";
import { connect, rejectionOf, type StateChange, type ViewUpdate } from "../../src/client/index.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import { limitsDefault } from "../../src/model/limits.ts";
import { encodeServerFrame } from "../../src/wire/codec.ts";
import { parseClientMessages } from "../../src/wire/messages.ts";
import type { ServerMessage } from "../../src/wire/protocol.ts";
import { ofCode } from "./harness.ts";
import { type Entities, hurried, TestService, Wire } from "./service.ts";

const token = "dev:ann";

for (const encoding of ["msgpack", "json"] as const) {
  for (const [name, Socket] of [
    ["the platform's WebSocket", undefined],
    ["ws", WebSocket],
  ] as const) {
    test(`commands, queries and views work over ${encoding} and ${name}`, async () => {
      await using service = await new TestService().start();
      const socket = Socket === undefined ? {} : { WebSocket: Socket };
      await using client = connect<Entities>({ url: service.url, token, encoding, ...socket });
      const ledger = client.entity("ledger", "1");
      const updates = ledger.updates("summary");
      assert.deepEqual((await updates.next()).value?.value, { count: 0, last: null, fixed: { a: 1 } });
      const reply = await ledger.execute("enter", { number: 5 });
      assert.deepEqual(reply.value, { number: 5, count: 1 });
      assert.deepEqual(await ledger.query("entries"), { value: [5], version: reply.version });
      const { value: update } = (await updates.next()) as { value: ViewUpdate<unknown> };
      assert.deepEqual(update.value, { count: 1, last: 5, fixed: { a: 1 } });
      assert.equal(update.version, reply.version);
      const rejected = await ledger.execute("enter", { number: -5 }).catch((error: unknown) => error);
      assert.equal(rejectionOf(rejected)?.reason, "negative");
      assert.deepEqual(rejectionOf(rejected)?.details, { number: -5 });
      await assert.rejects(ledger.execute("enter", { number: 6 }, { ifVersion: 999 }), ofCode("version-mismatch"));
      await assert.rejects(ledger.execute("enter", { number: 0.5 }), ofCode("invalid-input"));
      await assert.rejects(client.entity("ledger", "no such/key").query("entries"), ofCode("invalid-key"));
      assert.ok(Math.abs(client.now() - Date.now()) < 1_000);
    });
  }
}

test("a repeated request id is carried out once, whoever repeats it", async () => {
  await using service = await new TestService().start();
  await using first = connect<Entities>({ url: service.url, token });
  await using second = connect<Entities>({ url: service.url, token });
  const requestId = first.requestId();
  const options = { requestId };
  const one = await first.entity("ledger", "1").execute("enter", { number: 1 }, options);
  const two = await second.entity("ledger", "1").execute("enter", { number: 1 }, options);
  assert.deepEqual(two, one);
});

test("calls of one turn are one frame on the wire", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "holdfast.v1" });
  await once(server, "listening");
  const sizes: number[] = [];
  server.on("connection", (socket) => {
    const say = (messages: ServerMessage[]) => socket.send(encodeServerFrame(messages, "msgpack"));
    socket.on("message", (data) => {
      const messages = parseClientMessages(data as Buffer, "msgpack", limitsDefault);
      sizes.push(messages.length);
      say(
        messages.map(
          (message): ServerMessage =>
            message.t === "hello"
              ? { t: "welcome", now: 0, run: "r", principal: { kind: "user", id: "u" }, limits: limitsDefault }
              : { t: "reply", id: "id" in message ? message.id : 0, version: 1, value: null },
        ),
      );
    });
  });
  const client = connect<Entities>({ url: `ws://127.0.0.1:${(server.address() as { port: number }).port}` });
  await client.opened();
  const ledger = client.entity("ledger", "1");
  await Promise.all(Array.from({ length: 500 }, (_, number) => ledger.execute("enter", { number })));
  assert.deepEqual(sizes, [1, 500]);
  await client.close();
  await new Promise((resolve) => server.close(resolve));
});

test("a subscription is resumed with deltas after a cut, and starts again after a restart", async () => {
  await using service = await new TestService().start();
  await using wire = await new Wire(() => service.port).listen();
  await using client = connect<Entities>({ url: wire.url, token });
  await using other = connect<Entities>({ url: service.url, token });
  const seen: ViewUpdate<{ count: number; fixed: object }>[] = [];
  let wake = (): void => {};
  client.entity("ledger", "1").watch("summary", (update) => {
    seen.push(update);
    wake();
  });
  const until = async (count: number): Promise<void> => {
    while (seen.at(-1)?.value.count !== count) await new Promise<void>((resolve) => (wake = resolve));
  };
  const enter = (number: number) => other.entity("ledger", "1").execute("enter", { number });
  await until(0);
  await enter(1);
  await until(1);
  wire.cut();
  await Promise.all([enter(2), enter(3)]);
  await until(3);
  assert.ok(seen.at(-1)?.patch !== undefined);
  await service.restart();
  await enter(4);
  await until(4);
  const versions = seen.map(({ version }) => version);
  assert.deepEqual(
    versions,
    [...versions].sort((left, right) => left - right),
  );
  assert.equal(new Set(seen.map(({ value }) => value.fixed)).size, 1, "what never changed is one object throughout");
});

test("a call is aborted or runs out of time while the server is away, and others go on when it is back", async () => {
  await using service = await new TestService().start();
  await using client = connect<Entities>({ url: service.url, token });
  await client.opened();
  await service.stop();
  const ledger = client.entity("ledger", "1");
  const controller = new AbortController();
  const aborted = assert.rejects(
    ledger.execute("enter", { number: 1 }, { signal: controller.signal }),
    ofCode("aborted"),
  );
  const late = assert.rejects(ledger.execute("enter", { number: 2 }, { timeoutMs: 50 }), ofCode("disconnected"));
  const patient = ledger.execute("enter", { number: 3 });
  controller.abort();
  await Promise.all([aborted, late]);
  assert.notEqual(client.state, "open");
  await service.start();
  assert.deepEqual((await patient).value, { number: 3, count: 1 });
  assert.deepEqual((await ledger.query("entries")).value, [3]);
});

test("a token that ends is replaced by what the function gives, and calls do not notice", async () => {
  await using service = await new TestService().start();
  let valid = "one";
  service.authenticate = (given) => {
    if (given !== valid) return Promise.reject(new HoldfastError("unauthenticated", "No."));
    const expiresAtMs = valid === "one" ? Date.now() + 100 : Date.now() + 60_000;
    return Promise.resolve({ principal: { kind: "user", id: "ann" }, expiresAtMs });
  };
  const given: string[] = [];
  await using client = connect<Entities>({
    url: service.url,
    token: () => {
      given.push(valid);
      return valid;
    },
  });
  await client.opened();
  valid = "two";
  const changes: StateChange[] = [];
  await new Promise<void>((resolve) =>
    client.onState((change) => {
      changes.push(change);
      if (change.state === "open") resolve();
    }),
  );
  assert.deepEqual(given, ["one", "two"]);
  await client.entity("ledger", "1").execute("enter", { number: 1 });
  valid = "three";
  await client.refresh();
  await client.entity("ledger", "1").execute("enter", { number: 2 });
  assert.equal(client.state, "open");
});

test("a token that is not valid closes the client, and says why", async () => {
  await using service = await new TestService().start();
  await using client = connect<Entities>({ url: service.url, token: "nonsense" });
  await assert.rejects(client.entity("ledger", "1").execute("enter", { number: 1 }), ofCode("unauthenticated"));
  assert.equal(client.state, "closed");
});

test("1,000 concurrent commands are each carried out once while the connection is cut and the service restarts", async () => {
  await using service = await new TestService().start();
  await using wire = await new Wire(() => service.port).listen();
  await using client = connect<Entities>({ url: wire.url, token, timeoutMs: 5_000_000, clock: hurried(100) });
  const replies = new Map<number, number>();
  let disturbances: Promise<void> = Promise.resolve();
  const disturb = async (round: number): Promise<void> => {
    if (round % 5 === 4) await service.restart();
    else if (round % 5 === 2) wire.cut();
    else wire.cutAtAnswer();
  };
  // 50 callers, each with 20 commands one after another, so that commands are under way all the time.
  const callers = Array.from({ length: 50 }, async (_, caller) => {
    for (let round = 0; round < 20; round++) {
      const number = caller * 1_000 + round;
      const { value } = await client.entity("ledger", String(caller % 10)).execute("enter", { number });
      assert.equal(value.number, number);
      replies.set(number, value.count);
      if (replies.size % 40 === 0) {
        const disturbance = replies.size / 40;
        disturbances = disturbances.then(() => disturb(disturbance));
      }
    }
  });
  await Promise.all(callers);
  await disturbances;
  const entered: number[] = [];
  for (let key = 0; key < 10; key++) {
    const { value } = await client.entity("ledger", String(key)).query("entries");
    value.forEach((number, index) => assert.equal(replies.get(number), index + 1, "the reply told its place"));
    entered.push(...value);
  }
  assert.equal(entered.length, 1_000, "none twice");
  assert.deepEqual(new Set(entered), new Set(replies.keys()), "none missing");
  assert.ok(wire.connections > 10 && wire.lost > 5, `${wire.connections} connections, ${wire.lost} lost answers`);
});

test("1,000 commands in flight at once survive a cut and a restart, each carried out once", async () => {
  await using service = await new TestService().start();
  await using wire = await new Wire(() => service.port).listen();
  await using client = connect<Entities>({ url: wire.url, token, timeoutMs: 5_000_000, clock: hurried(100) });
  await client.opened();
  const ledger = client.entity("ledger", "1");
  const all = Promise.all(Array.from({ length: 1_000 }, (_, number) => ledger.execute("enter", { number })));
  for (let round = 0; round < 5; round++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (round === 1) wire.cut();
    else wire.cutAtAnswer();
    if (round === 2) await service.restart();
    else await sleep(20);
  }
  const counts = (await all).map(({ value }) => value.count);
  assert.equal(new Set(counts).size, 1_000);
  assert.equal((await ledger.query("entries")).value.length, 1_000);
  assert.ok(wire.lost > 0);
});
