/** The connection's life: greeting, reconnecting, tokens, silence, the end; every event decided by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientLimits } from "../../src/client/limits.ts";
import { HoldfastError } from "../../src/model/errors.ts";
import { closeCode } from "../../src/wire/protocol.ts";
import { ofCode, World } from "./harness.ts";

test("the address is completed, and an impossible one refused", async () => {
  const world = new World({ url: "https://host:8443" });
  await world.settle();
  assert.equal(world.socket.url, "wss://host:8443/v1/socket");
  assert.equal(world.socket.protocol, "holdfast.v1");
  const other = new World({ url: "ws://host/own/path?x=1", encoding: "json" });
  await other.settle();
  assert.equal(other.socket.url, "ws://host/own/path?x=1");
  assert.equal(other.socket.protocol, "holdfast.v1.json");
  for (const url of ["/v1/socket", "ftp://host", ""])
    assert.throws(() => new World({ url }), ofCode("invalid-configuration"));
});

test("it greets with the token, opens with the welcome, and says so", async () => {
  const world = new World({ token: async () => "t1" });
  assert.equal(world.client.state, "connecting");
  const opened = world.client.opened();
  await world.settle();
  world.socket.accept();
  assert.deepEqual(world.socket.heard(), [{ t: "hello", token: "t1" }]);
  world.socket.say(world.welcome());
  await opened;
  assert.equal(world.client.state, "open");
  assert.deepEqual(world.client.principal, { kind: "user", id: "u" });
  await world.client[Symbol.asyncDispose]();
  assert.deepEqual(
    world.states.map(({ state }) => state),
    ["open", "closed"],
  );
  assert.equal(world.socket.closedWith, closeCode.consent);
  await assert.rejects(world.client.opened(), ofCode("disconnected"));
});

test("reconnections come after waits that double, chosen at random, and start small again after a stable connection", async () => {
  const world = new World();
  await world.settle();
  const waits: number[] = [];
  for (let failures = 0; failures < 12; failures++) {
    world.socket.closeWith(1006);
    const change = world.states.at(-1);
    assert.equal(change?.state, "waiting");
    assert.equal(change.error?.code, "disconnected");
    const wait = change.retryInMs ?? -1;
    assert.ok(wait <= Math.min(clientLimits.reconnectMaxMs, clientLimits.reconnectBaseMs * 2 ** failures), `${wait}`);
    waits.push(wait);
    await world.pass(wait);
    assert.equal(world.sockets.length, failures + 2);
  }
  assert.ok(new Set(waits).size === waits.length && waits.some((wait) => wait > 1_000), waits.join(" "));
  await world.open();
  await world.pass(clientLimits.stableMs);
  world.socket.closeWith(1006);
  assert.ok((world.states.at(-1)?.retryInMs ?? -1) <= clientLimits.reconnectBaseMs);
  await world.client.close();
  assert.equal(world.clock.timers, 0);
});

test("a connection that is lost as soon as it is open does not end the doubling", async () => {
  const world = new World();
  let longest = 0;
  for (let round = 0; round < 12; round++) {
    await world.reopenOrOpen();
    world.socket.closeWith(1006);
    longest = Math.max(longest, world.states.at(-1)?.retryInMs ?? 0);
  }
  assert.ok(longest > 1_000, `${longest}`);
});

test("a server that stops (4001) is reconnected to at once; one that never greets is not run over", async () => {
  const world = new World();
  await world.open();
  world.socket.closeWith(closeCode.shuttingDown);
  await world.settle();
  assert.equal(world.sockets.length, 2);
  world.socket.closeWith(closeCode.shuttingDown);
  await world.settle();
  assert.equal(world.sockets.length, 2);
  assert.equal(world.client.state, "waiting");
});

test("no welcome in time, or no socket at all, is a failed attempt", async () => {
  const world = new World();
  await world.settle();
  world.socket.accept();
  const mute = world.socket;
  await world.pass(clientLimits.connectMs);
  assert.notEqual(mute.closedWith, undefined);
  assert.ok(world.states.some(({ state }) => state === "waiting"));
  mute.say(world.welcome());
  assert.notEqual(world.client.state, "open", "a socket that was given up is not listened to");
});

test("a silent connection is pinged, and dropped when nothing comes back", async () => {
  const world = new World();
  const socket = await world.open();
  await world.pass(clientLimits.pingMs);
  assert.deepEqual(socket.heard(), [{ t: "ping" }]);
  socket.say({ t: "pong", now: world.clock.now() });
  await world.pass(clientLimits.pongMs + clientLimits.pingMs - 1);
  assert.deepEqual(socket.heard(), []);
  await world.pass(1);
  assert.deepEqual(socket.heard(), [{ t: "ping" }]);
  await world.pass(clientLimits.pongMs);
  assert.notEqual(socket.closedWith, undefined);
  assert.notEqual(world.client.state, "open");
  await world.reopen();
  assert.equal(world.client.state, "open");
});

test("pongs keep the server's clock known, also after our clock was set", async () => {
  const world = new World();
  await world.open();
  world.clock.wrongMs = 5_000_000;
  await world.pass(clientLimits.pingMs);
  world.socket.say({ t: "pong", now: world.clock.now() - world.clock.wrongMs });
  assert.equal(world.client.now(), world.clock.now() - world.clock.wrongMs);
});

test("a refused token is asked for once more; the same one again ends the client for good", async () => {
  let asked = 0;
  const world = new World({ token: () => `t${Math.min(++asked, 2)}` });
  await world.settle();
  world.socket.accept();
  world.socket.say({ t: "error", code: "unauthenticated", detail: "The token has ended." });
  world.socket.closeWith(closeCode.unauthenticated);
  await world.settle();
  world.socket.accept();
  assert.deepEqual(world.socket.heard(), [{ t: "hello", token: "t2" }]);
  world.socket.say(world.welcome());
  await world.settle();
  assert.equal(world.client.state, "open");
  await world.pass(clientLimits.stableMs);
  const pending = assert.rejects(world.execute("late", {}, {}), ofCode("outcome-unknown"));
  await world.settle();
  world.socket.closeWith(closeCode.unauthenticated);
  await world.settle();
  assert.equal(world.sockets.length, 2);
  assert.equal(world.client.state, "closed");
  assert.equal(world.states.at(-1)?.error?.code, "unauthenticated");
  await pending;
  assert.equal(world.clock.timers, 0);
});

test("a fixed token that is refused, or two new ones in a row, end the client for good", async () => {
  const fixed = new World({ token: "t" });
  await fixed.settle();
  const waiting = assert.rejects(fixed.execute("debit"), ofCode("unauthenticated"));
  fixed.socket.closeWith(closeCode.unauthenticated);
  assert.equal(fixed.client.state, "closed");
  await waiting;
  let asked = 0;
  const changing = new World({ token: () => `t${asked++}` });
  await changing.settle();
  changing.socket.closeWith(closeCode.unauthenticated);
  await changing.settle();
  changing.socket.closeWith(closeCode.unauthenticated);
  await changing.pass(60_000);
  assert.equal(changing.sockets.length, 2);
  assert.equal(changing.client.state, "closed");
});

test("a token that cannot be had for now is asked for again; `unauthenticated` from the function is final", async () => {
  let asked = 0;
  const flaky = new World({
    token: () => {
      if (++asked < 3) throw new Error("the login service is down");
      return "t";
    },
  });
  await flaky.pass(1_000);
  assert.equal(asked, 3);
  assert.equal(flaky.sockets.length, 1);
  const final = new World({ token: () => Promise.reject(new HoldfastError("unauthenticated", "Signed out.")) });
  await final.settle();
  assert.equal(final.client.state, "closed");
});

test("a page whose origin is refused (4403) stops for good", async () => {
  const world = new World();
  await world.settle();
  world.socket.closeWith(closeCode.forbidden);
  await world.pass(60_000);
  assert.equal(world.sockets.length, 1);
  assert.equal(world.states.at(-1)?.error?.code, "forbidden");
});

test("refresh hands a new token to the open connection", async () => {
  let asked = 0;
  const world = new World({ token: () => `t${++asked}` });
  const socket = await world.open();
  await world.client.refresh();
  assert.deepEqual(socket.heard(), [{ t: "refresh", token: "t2" }]);
});

test("the client's signal closes it, whenever it comes", async () => {
  const early = new World({ signal: AbortSignal.abort() });
  await early.settle();
  assert.equal(early.sockets.length, 0);
  assert.equal(early.client.state, "closed");
  const controller = new AbortController();
  const world = new World({ signal: controller.signal });
  const opened = assert.rejects(world.client.opened(), ofCode("aborted"));
  const waiting = assert.rejects(world.execute("debit"), ofCode("aborted"));
  await world.settle();
  controller.abort();
  await Promise.all([opened, waiting]);
  assert.equal(world.client.state, "closed");
  assert.equal(world.clock.timers, 0);
});

test("a frame that is none ends the connection, not the client", async () => {
  const world = new World();
  const socket = await world.open();
  socket.sayBytes(new Uint8Array([0xc1]));
  assert.equal(socket.closedWith, closeCode.badFrame);
  assert.equal(world.client.state, "waiting");
  await world.reopen();
  assert.equal(world.client.state, "open");
});

test("closing from inside a state listener is heard", async () => {
  const world = new World();
  world.client.onState(({ state }) => {
    if (state === "open") void world.client.close();
  });
  await world.open();
  assert.equal(world.client.state, "closed");
  assert.equal(world.clock.timers, 0);
});
