/** Calls: request ids, retries, deadlines, bounds; every event decided by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientLimits } from "../../src/client/limits.ts";
import { type ErrorCode, type HoldfastError, isHoldfastError } from "../../src/model/errors.ts";
import { uuidV7Time } from "../../src/std/uuid.ts";
import { commands, ofCode, World } from "./harness.ts";

test("in flight are at most as many as the server takes, the rest follows the answers", async () => {
  const world = new World();
  const socket = await world.open({ limits: { inflightPerConnectionMax: 3 } });
  const calls = Array.from({ length: 5 }, (_, index) => world.execute("debit", { index }));
  await world.settle();
  const first = commands(socket.heard());
  assert.equal(first.length, 3);
  socket.say({ t: "reply", id: first[0]?.id ?? "", version: 1, value: null });
  await world.settle();
  const second = commands(socket.heard());
  assert.deepEqual(
    second.map(({ input }) => input),
    [{ index: 3 }],
  );
  for (const { id } of [...first.slice(1), ...second]) socket.say({ t: "reply", id, version: 1, value: null });
  await world.settle();
  const [last] = commands(socket.heard());
  socket.say({ t: "reply", id: last?.id ?? "", version: 1, value: null });
  await Promise.all(calls);
});

test("nothing is given to a socket that holds too much already", async () => {
  const world = new World();
  const socket = await world.open();
  socket.bufferedBytes = clientLimits.bufferedBytesMax + 1;
  void world.execute("debit").catch(() => {});
  await world.pass(500);
  assert.equal(socket.frames.length, 0);
  socket.bufferedBytes = 0;
  await world.pass(clientLimits.bufferedPollMs);
  assert.equal(commands(socket.heard()).length, 1);
  await world.client.close();
});

test("a command that was unanswered when the connection broke is sent again with the same id and input", async () => {
  const world = new World();
  const socket = await world.open();
  const input = { amount: 5 };
  const done = world.execute("debit", input, { ifVersion: 3 });
  await world.settle();
  const [sent] = commands(socket.heard());
  input.amount = 500;
  socket.closeWith(1006);
  const again = await world.reopen();
  const [resent] = commands(again.heard());
  assert.deepEqual(resent, sent);
  assert.deepEqual(resent?.input, { amount: 5 });
  again.say({ t: "reply", id: resent?.id ?? "", version: 4, value: "ok" });
  assert.deepEqual(await done, { value: "ok", version: 4 });
});

test("an answer that comes twice, late, or to nobody does no harm", async () => {
  const world = new World();
  const socket = await world.open();
  const done = world.execute("debit");
  await world.settle();
  const [sent] = commands(socket.heard());
  const id = sent?.id ?? "";
  socket.say(
    { t: "reply", id, version: 1, value: 1 },
    { t: "reply", id, version: 2, value: 2 },
    { t: "reply", id: 99, version: 1, value: 1 },
  );
  assert.deepEqual(await done, { value: 1, version: 1 });
  assert.equal(world.client.state, "open");
});

for (const code of [
  "overloaded",
  "unavailable",
  "fenced",
  "disk-full",
  "outcome-unknown",
] as const satisfies ErrorCode[]) {
  test(`after ${code} the same request is sent again, not before the server's wait is over`, async () => {
    const world = new World();
    const socket = await world.open();
    const done = world.execute("debit", { amount: 5 });
    await world.settle();
    const [sent] = commands(socket.heard());
    socket.say({ t: "error", id: sent?.id ?? "", code, detail: "Not now.", retryAfterMs: 300 });
    await world.pass(299);
    assert.equal(commands(socket.heard()).length, 0);
    await world.pass(1 + clientLimits.retryBaseMs);
    const [resent] = commands(socket.heard());
    assert.deepEqual(resent, sent);
    socket.say({ t: "reply", id: resent?.id ?? "", version: 4, value: "ok" });
    assert.equal((await done).value, "ok");
  });
}

test("a rejection comes with its reason, details and version, and is not asked again", async () => {
  const world = new World();
  const socket = await world.open();
  const done = world.execute("debit");
  const checked = assert.rejects(done, (error: HoldfastError) => {
    assert.equal(error.code, "rejected");
    const { requestId, ...rest } = error.details ?? {};
    assert.deepEqual(rest, { reason: "insufficient-funds", details: { balance: 3 }, version: 8 });
    assert.equal(typeof requestId, "string");
    return true;
  });
  await world.settle();
  const id = commands(socket.heard())[0]?.id ?? "";
  socket.say({
    t: "error",
    id,
    code: "rejected",
    detail: "No.",
    reason: "insufficient-funds",
    details: { balance: 3 },
    version: 8,
  });
  await checked;
  await world.pass(10_000);
  assert.equal(commands(socket.heard()).length, 0);
});

test("without an answer in time a sent command is outcome-unknown, with its id", async () => {
  const world = new World();
  const socket = await world.open();
  const done = world.execute("debit", {}, { timeoutMs: 1_000 });
  const failed = done.then(
    () => assert.fail(),
    (error: HoldfastError) => error,
  );
  await world.pass(1_000);
  const error = await failed;
  ofCode("outcome-unknown")(error);
  assert.equal(error.details?.["requestId"], commands(socket.heard())[0]?.id);
});

test("a command that was never sent is disconnected at its deadline, not outcome-unknown", async () => {
  const world = new World();
  const checked = assert.rejects(world.execute("debit", {}, { timeoutMs: 1_000 }), ofCode("disconnected"));
  await world.pass(1_000);
  await checked;
});

test("a command that each time was refused as overloaded is overloaded at its deadline", async () => {
  const world = new World();
  const socket = await world.open();
  const checked = assert.rejects(world.execute("debit", {}, { timeoutMs: 3_000 }), ofCode("overloaded"));
  for (let passed = 0; passed < 3_000; passed += 10) {
    await world.pass(10);
    for (const { id } of commands(socket.heard())) socket.say({ t: "error", id, code: "overloaded", detail: "Full." });
  }
  await checked;
});

test("once it may have been carried out, a later refusal does not make it certain that it was not", async () => {
  for (const code of ["overloaded", "request-expired", "forbidden"] as const) {
    const world = new World();
    const socket = await world.open();
    const checked = assert.rejects(world.execute("debit", {}, { timeoutMs: 5_000 }), ofCode("outcome-unknown"));
    await world.settle();
    socket.closeWith(1006);
    const again = await world.reopen();
    for (let passed = 0; passed < 5_000; passed += 100) {
      for (const { id } of commands(again.heard())) again.say({ t: "error", id, code, detail: "No." });
      await world.pass(100);
    }
    await checked;
  }
});

test("once it may have been carried out, the entity's own word settles it", async () => {
  const world = new World();
  const socket = await world.open();
  const checked = assert.rejects(world.execute("debit"), ofCode("rejected"));
  await world.settle();
  socket.closeWith(1006);
  const again = await world.reopen();
  again.say({ t: "error", id: commands(again.heard())[0]?.id ?? "", code: "rejected", detail: "No.", reason: "no" });
  await checked;
});

test("a query that was not answered in time was not carried out by anybody", async () => {
  const world = new World();
  await world.open();
  const checked = assert.rejects(
    world.client.entity("wallet", "7").query("balance", undefined, { timeoutMs: 100 }),
    ofCode("unavailable"),
  );
  await world.pass(100);
  await checked;
});

test("request ids carry the server's time, however wrong our clock is", async () => {
  const world = new World();
  world.clock.wrongMs = -7 * 3_600_000;
  const before = world.execute("early");
  const socket = await world.open();
  void world.execute("late").catch(() => {});
  await world.settle();
  const times = commands(socket.heard()).map(({ id }) => uuidV7Time(id));
  const serverMs = world.clock.now() - world.clock.wrongMs;
  assert.equal(times.length, 2);
  for (const time of times) assert.ok(Math.abs(time - serverMs) <= 1, `${time - serverMs} ms off`);
  assert.ok(Math.abs(world.client.now() - serverMs) <= 1);
  await world.client.close();
  await assert.rejects(before, ofCode("outcome-unknown"));
});

test("an id of our own that the server finds expired is replaced, as nothing was carried out", async () => {
  const world = new World();
  const socket = await world.open();
  const done = world.execute("debit");
  await world.settle();
  const [sent] = commands(socket.heard());
  socket.say({ t: "error", id: sent?.id ?? "", code: "request-expired", detail: "Old." });
  await world.pass(clientLimits.retryBaseMs);
  const [resent] = commands(socket.heard());
  assert.notEqual(resent?.id, sent?.id);
  socket.say({ t: "reply", id: resent?.id ?? "", version: 1, value: 1 });
  await done;
});

test("an id that the caller gave is sent as it is, and never replaced", async () => {
  const world = new World();
  const socket = await world.open();
  const requestId = world.client.requestId();
  const checked = assert.rejects(world.execute("debit", {}, { requestId }), ofCode("request-expired"));
  await assert.rejects(world.execute("debit", {}, { requestId }), ofCode("invalid-request-id"));
  await world.settle();
  const [sent] = commands(socket.heard());
  assert.equal(sent?.id, requestId);
  socket.say({ t: "error", id: requestId, code: "request-expired", detail: "Old." });
  await checked;
});

test("a command repeated while the server still works on it takes the first one's answer", async () => {
  const world = new World();
  const socket = await world.open();
  const requestId = world.client.requestId();
  const first = assert.rejects(world.execute("debit", {}, { requestId, timeoutMs: 50 }), ofCode("outcome-unknown"));
  await world.pass(50);
  await first;
  const second = world.execute("debit", {}, { requestId });
  await world.settle();
  assert.equal(commands(socket.heard()).length, 1);
  socket.say({ t: "reply", id: requestId, version: 3, value: "once" });
  assert.equal((await second).value, "once");
});

test("a signal cancels: before sending, while waiting for a connection, and in flight", async () => {
  const world = new World();
  await assert.rejects(world.execute("debit", {}, { signal: AbortSignal.abort() }), ofCode("aborted"));
  const controller = new AbortController();
  const sentOf = (promise: Promise<unknown>) =>
    promise.then(
      () => assert.fail(),
      (error: HoldfastError) => (ofCode("aborted")(error), error.details?.["sent"]),
    );
  const queued = sentOf(world.execute("queued", {}, { signal: controller.signal }));
  await world.settle();
  controller.abort();
  assert.equal(await queued, false);
  const socket = await world.open();
  assert.equal(commands(socket.heard()).length, 0);
  const other = new AbortController();
  const flying = sentOf(world.execute("flying", {}, { signal: other.signal }));
  await world.settle();
  other.abort();
  assert.equal(await flying, true);
});

test("commands given while disconnected wait, in order; over the bound they are refused", async () => {
  const world = new World();
  const settled: Promise<unknown>[] = [];
  for (let index = 0; index < clientLimits.callsMax; index++)
    settled.push(world.execute("debit", { index }).catch(isHoldfastError));
  await assert.rejects(world.execute("debit"), ofCode("overloaded"));
  const socket = await world.open();
  const sent = commands(socket.heard());
  assert.equal(sent.length, 4_096);
  assert.ok(sent.every(({ input }, index) => (input as { index: number }).index === index));
  await world.client.close();
  assert.ok((await Promise.all(settled)).every((value) => value === true));
});

test("input that is not plain data is refused at once", async () => {
  const world = new World();
  await assert.rejects(world.execute("debit", { when: new Date(0) }), ofCode("invalid-input"));
  await assert.rejects(world.execute("debit", { text: "x".repeat(1_000_000) }), ofCode("too-large"));
});

test("retries of refused calls stay within the budget, and an answered one frees the next", async () => {
  const world = new World();
  const socket = await world.open();
  const count = 2_000;
  let settled = 0;
  for (let index = 0; index < count; index++) {
    void world.execute("debit", { index }, { timeoutMs: 60_000 }).then(
      () => settled++,
      () => {},
    );
  }
  await world.settle();
  let attempts = 0;
  let refusing = true;
  const answer = (): void => {
    for (const { id } of commands(socket.heard())) {
      attempts++;
      socket.say(
        refusing
          ? { t: "error", id, code: "overloaded", detail: "Full." }
          : { t: "reply", id, version: 1, value: null },
      );
    }
  };
  for (let passed = 0; passed < 10_000; passed += 20) {
    answer();
    await world.pass(20);
  }
  const retries = attempts - count;
  assert.ok(
    retries > 50 && retries <= clientLimits.retriesMax + 10 * clientLimits.retriesPerSecond,
    `${retries} retries`,
  );
  refusing = false;
  for (let passed = 0; passed < 15_000; passed += 20) {
    answer();
    await world.pass(20);
  }
  assert.equal(settled, count);
  assert.equal(attempts, 2 * count + retries, "one attempt each once it was possible");
});

test("after a reconnection the calls in flight start few and grow with the answers", async () => {
  const world = new World();
  const socket = await world.open();
  for (let index = 0; index < 1_000; index++) void world.execute("debit", { index }).catch(() => {});
  await world.settle();
  socket.closeWith(1006);
  const again = await world.reopen();
  const first = commands(again.heard());
  assert.equal(first.length, clientLimits.windowStart);
  for (const { id } of first) again.say({ t: "reply", id, version: 1, value: null });
  await world.settle();
  assert.equal(commands(again.heard()).length, 2 * clientLimits.windowStart);
  await world.client.close();
});

test("closing settles everything: unknown what was sent, disconnected what was not", async () => {
  const world = new World();
  await world.open({ limits: { inflightPerConnectionMax: 1 } });
  const sent = assert.rejects(world.execute("one"), ofCode("outcome-unknown"));
  const unsent = assert.rejects(world.execute("two"), ofCode("disconnected"));
  await world.settle();
  await Promise.all([sent, unsent, world.client.close()]);
  await assert.rejects(world.execute("three"), ofCode("disconnected"));
  assert.equal(world.clock.timers, 0);
});
