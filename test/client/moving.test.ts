/** Which door a client goes to, when, and why; every event decided by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientLimits } from "../../src/client/limits.ts";
import { closeCode } from "../../src/wire/protocol.ts";
import { type CommandMessage, commands, ofCode, World } from "./harness.ts";

const two = ["http://a", "http://b"];

function watch(world: World): void {
  world.client.entity("table", "1").watch("seat", () => {});
}

test("it goes round the doors; one that failed rests while others may be dialled", async () => {
  const world = new World({ url: ["http://a", "http://b", "http://c"] });
  await world.settle();
  const dialled = new Set<string>();
  for (let door = 0; door < 3; door++) {
    dialled.add(world.socket.url);
    world.socket.closeWith(1006);
    assert.ok((world.states.at(-1)?.retryInMs ?? -1) <= Math.max(clientLimits.moveMs, clientLimits.reconnectBaseMs));
    await world.pass(clientLimits.reconnectBaseMs);
  }
  assert.equal(dialled.size, 3, "each before any came twice");
});

test("waits double while no door can be reached", async () => {
  const world = new World({ url: two });
  await world.settle();
  let longest = 0;
  for (let round = 0; round < 30; round++) {
    world.socket.closeWith(1006);
    const { retryInMs = 0 } = world.states.at(-1) ?? {};
    longest = Math.max(longest, retryInMs);
    await world.pass(retryInMs);
  }
  assert.ok(longest > 1_000, `${longest}`);
  assert.ok(world.clock.monotonic() > 20_000, "two doors are not dialled much more often than one");
});

test("a door that stops (4001) is left for another at once", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  socket.closeWith(closeCode.shuttingDown);
  await world.settle();
  assert.equal(world.sockets.length, 2);
  assert.notEqual(world.socket.url, socket.url);
});

test("a token that ended is no fault of the door: the same one is dialled", async () => {
  let asked = 0;
  const world = new World({ url: two, token: () => `t${++asked}` });
  const socket = await world.open();
  await world.pass(clientLimits.stableMs);
  socket.closeWith(closeCode.unauthenticated);
  await world.settle();
  assert.equal(world.sockets.length, 2);
  assert.equal(world.socket.url, socket.url);
});

test("a door that takes the dial and does not greet is left after `silenceMs`, and rests ten times as long", async () => {
  const world = new World({ url: two, silenceMs: 400 });
  await world.settle();
  const mute = world.socket;
  mute.accept();
  await world.pass(400 + clientLimits.moveMs);
  assert.notEqual(mute.closedWith, undefined);
  assert.notEqual(world.socket.url, mute.url);
  const { url } = world.socket;
  for (let times = 0; times < 3; times++) {
    await world.open();
    world.socket.closeWith(1006);
    await world.pass(clientLimits.reconnectBaseMs * 2 ** times);
    assert.equal(world.socket.url, url, "the other one still rests");
  }
});

test("where something is waited for, a silent door is asked after half of `silenceMs` and left after all of it", async () => {
  const world = new World({ url: two, silenceMs: 1_000 });
  const socket = await world.open();
  watch(world);
  await world.settle();
  socket.heard();
  await world.pass(500);
  assert.deepEqual(socket.heard(), [{ t: "ping" }]);
  socket.say({ t: "pong", now: world.clock.now() });
  await world.pass(999);
  assert.deepEqual(socket.heard(), [{ t: "ping" }]);
  assert.equal(world.client.state, "open");
  await world.pass(1);
  assert.notEqual(world.client.state, "open");
  await world.pass(clientLimits.moveMs);
  assert.notEqual(world.socket.url, socket.url);
});

test("where nothing is waited for, pings stay rare", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  await world.pass(clientLimits.pingMs - 1);
  assert.deepEqual(socket.heard(), []);
  await world.pass(clientLimits.silenceMs);
  assert.deepEqual(socket.heard(), [{ t: "ping" }]);
});

test("a slow line is given three times as long as it took before", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  watch(world);
  await world.pass(500);
  await world.pass(400);
  socket.say({ t: "pong", now: world.clock.now() });
  await world.pass(500 + 1_199);
  assert.equal(world.client.state, "open");
  await world.pass(1);
  assert.notEqual(world.client.state, "open");
});

test("while our own bytes still leave, the other side is not blamed", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  watch(world);
  await world.settle();
  socket.bufferedBytes = 300_000;
  for (let step = 0; step < 5; step++) {
    await world.pass(500);
    assert.equal(world.client.state, "open");
    socket.bufferedBytes -= 50_000;
  }
  await world.pass(1_000);
  assert.notEqual(world.client.state, "open", "nothing leaves any more");
});

test("a server that stops is told nothing new, and is left when it has answered", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  const first = world.execute("debit", { amount: 1 });
  await world.settle();
  const [sent] = commands(socket.heard()) as [CommandMessage];
  socket.say({ t: "leaving" });
  const second = world.execute("debit", { amount: 2 });
  await world.pass(clientLimits.leavingMs - 1);
  assert.deepEqual(commands(socket.heard()), []);
  socket.say({ t: "reply", id: sent.id, version: 1, value: "first" });
  assert.equal((await first).value, "first");
  await world.settle();
  assert.notEqual(world.socket.url, socket.url);
  const again = await world.open();
  const [other] = commands(again.heard()) as [CommandMessage];
  assert.deepEqual(other.input, { amount: 2 });
  again.say({ t: "reply", id: other.id, version: 2, value: "second" });
  assert.equal((await second).value, "second");
});

test("a server that stops and does not answer soon is left; the command is asked elsewhere with its id", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  const slow = world.execute("debit");
  await world.settle();
  const [sent] = commands(socket.heard()) as [CommandMessage];
  socket.say({ t: "leaving" });
  await world.pass(clientLimits.leavingMs);
  const again = await world.open();
  assert.notEqual(again.url, socket.url);
  assert.deepEqual(commands(again.heard()), [sent]);
  again.say({ t: "reply", id: sent.id, version: 1, value: null });
  await slow;
});

test("with nowhere else to go, answers of a server that stops are waited for until it closes", async () => {
  const world = new World();
  const socket = await world.open();
  const slow = world.execute("debit");
  await world.settle();
  const [sent] = commands(socket.heard()) as [CommandMessage];
  socket.say({ t: "leaving" });
  await world.pass(3_000);
  assert.equal(world.client.state, "open");
  socket.say({ t: "reply", id: sent.id, version: 1, value: null });
  await slow;
});

test("doors that a server tells of are learned and forgotten; what cannot be one is left out", async () => {
  const world = new World({ url: "http://a" });
  const socket = await world.open();
  const many = Array.from({ length: 200 }, (_, at) => `http://d${at}`);
  socket.say({ t: "doors", doors: ["http://a", "http://b", "ftp://c", "", "javascript:alert(1)", ...many] });
  socket.say({ t: "doors", doors: ["http://b", "http://a"] });
  const dialled = new Set<string>();
  for (let round = 0; round < 10; round++) {
    world.socket.closeWith(1006);
    await world.pass(world.states.at(-1)?.retryInMs ?? 0);
    dialled.add(world.socket.url);
  }
  assert.deepEqual([...dialled].sort(), ["ws://a/v1/socket", "ws://b/v1/socket"]);
});

test("a token that went out encrypted goes to no door without encryption", async () => {
  for (const [options, expected] of [
    [{ url: "https://a" }, ["wss://a/v1/socket", "wss://b/v1/socket"]],
    [{ url: "https://a", learnDoors: false }, ["wss://a/v1/socket"]],
    [
      { url: ["https://a", "http://c"] },
      ["ws://c/v1/socket", "ws://evil/v1/socket", "wss://a/v1/socket", "wss://b/v1/socket"],
    ],
  ] as const) {
    const world = new World(options);
    const socket = await world.open();
    socket.say({ t: "doors", doors: ["http://evil", "https://b"] });
    const dialled = new Set<string>([socket.url]);
    for (let round = 0; round < 12; round++) {
      world.socket.closeWith(1006);
      await world.pass(world.states.at(-1)?.retryInMs ?? 0);
      dialled.add(world.socket.url);
    }
    assert.deepEqual([...dialled].sort(), expected);
  }
});

test("no address, and a silence that is none, are refused", () => {
  assert.throws(() => new World({ url: [] }), ofCode("invalid-configuration"));
  assert.throws(() => new World({ url: ["http://a", "nonsense"] }), ofCode("invalid-configuration"));
  assert.throws(() => new World({ url: two, silenceMs: 0 }), ofCode("invalid-configuration"));
});

test("3 s in which a shard has no owner are seen by no caller, and everybody is served within 2 s of its end", async () => {
  const world = new World({ url: two });
  const socket = await world.open();
  const count = 1_000;
  let settled = 0;
  const all = Promise.all(
    Array.from({ length: count }, async (_, amount) => {
      await world.execute("debit", { amount });
      settled++;
    }),
  );
  const carriedOut = new Set<string>();
  const codes = ["unavailable", "fenced", "outcome-unknown", "overloaded"] as const;
  const serveUntil = async (untilMs: number, serving: boolean): Promise<void> => {
    while (world.clock.monotonic() < untilMs && settled < count) {
      for (const message of socket.heard()) {
        if (message.t === "ping") socket.say({ t: "pong", now: world.clock.now() });
        if (message.t !== "command") continue;
        const code = codes[message.id.charCodeAt(35) % codes.length] ?? "unavailable";
        const { id } = message;
        if (serving) socket.say({ t: "reply", id, version: 1, value: null });
        else socket.say({ t: "error", id, code, detail: "", retryAfterMs: code === "unavailable" ? 500 : 100 });
        if (serving) carriedOut.add(id);
      }
      await world.pass(5);
    }
  };
  await serveUntil(3_000, false);
  assert.equal(settled, 0);
  await serveUntil(20_000, true);
  const tookMs = world.clock.monotonic() - 3_000;
  await all;
  assert.equal(carriedOut.size, count);
  assert.ok(tookMs <= 2_000, `${tookMs} ms`);
});
