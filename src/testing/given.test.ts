/** Given, when, then: what it shows of an entity, and the mistakes it finds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { given } from "./index.ts";
import { careless, wallet } from "./testing.harness.ts";

test("shows events, reply and state of a command, and goes on from there", () => {
  given(wallet, [{ name: "credited", payload: { amount: 10 } }])
    .when("debit", { amount: 3 })
    .then({
      events: [{ name: "debited", payload: { amount: 3 } }],
      reply: { balance: 7 },
      state: { balance: 7, woken: 0 },
      sends: [],
      timers: [],
    })
    .when("debit", { amount: 8 })
    .then({ rejected: { reason: "insufficient-funds", details: { balance: 7 } }, events: [] })
    .when("debit", { amount: 8 })
    .then({ rejected: "insufficient-funds" });
});

test("takes events in old shapes", () => {
  const scenario = given(wallet, [
    { name: "credited", payload: { amount: 10 } },
    { name: "debited", version: 1, payload: { cents: 400 } },
  ]);
  assert.deepEqual(scenario.state, { balance: 6, woken: 0 });
});

test("shows sends", () => {
  given(wallet)
    .when("pay", { to: "bob", amount: 4 })
    .then({
      sends: [
        { to: { type: "wallet", key: "bob" }, command: "credit", input: { amount: 4 }, reply: "paid", context: 7 },
      ],
    });
});

test("shows calls, with as much of their options as is asked for", () => {
  const outcome = given(wallet).when("buy", { amount: 4 });
  outcome.then({ calls: [{ name: "receipt", input: { amount: 4 }, result: "bought", context: "x" }] });
  outcome.then({
    calls: [{ name: "receipt", input: { amount: 4 }, result: "bought", context: "x", attempts: 3, failure: "park" }],
  });
  assert.throws(() => outcome.then({ calls: [] }), assert.AssertionError);
  given(wallet).when("credit", { amount: 4 }).then({ calls: [] });
});

test("shows timers, at the time and with the chance that are given", () => {
  const first = given(wallet).when("dice", null, { now: 1_000, random: 5 });
  first.then({
    timers: [
      { name: "wake", dueMs: 6_000, command: "wake", input: null },
      { name: "other", dueMs: null },
    ],
    reply: { now: 1_000 },
  });
  const again = given(wallet).when("dice", null, { now: 1_000, random: 5 });
  assert.deepEqual(again.result, { ...first.result, decision: { ...again.result.decision } });
  assert.deepEqual(again.result.decision.events, first.result.decision.events);
  assert.notDeepEqual(
    given(wallet).when("dice", null, { random: 6 }).result.decision.events,
    first.result.decision.events,
  );
});

test("shows what never got to a decision", () => {
  given(wallet).when("credit", { amount: -1 }).then({ failed: "invalid-input" });
  given(wallet)
    .when("credit", { amount: 1 }, { principal: { kind: "anonymous", id: "" } })
    .then({ failed: "forbidden" });
  given(wallet).when("explode").then({ failed: "decide-failed" });
});

test("fails on what was not expected", () => {
  const outcome = given(wallet).when("credit", { amount: 1 });
  assert.throws(() => outcome.then({ reply: { balance: 2 } }), assert.AssertionError);
  assert.throws(() => outcome.then({ events: [] }), assert.AssertionError);
  assert.throws(() => outcome.then({ rejected: "no" }), assert.AssertionError);
  assert.throws(() => outcome.then({ failed: "forbidden" }), assert.AssertionError);
  assert.throws(() => given(wallet).when("debit", { amount: 1 }).then({}), /rejected/);
  assert.throws(() => given(wallet).when("explode").then({}), /boom/);
});

test("refuses to be awaited", async () => {
  await assert.rejects(async () => await (given(wallet).when("wake") as unknown as Promise<void>), /do not await/);
});

test("finds a decide that changes the state", () => {
  assert.throws(() => given(careless).when("push"), /changes the state/);
});

test("finds an evolve that is no function of its events", () => {
  assert.throws(() => given(careless).when("count"), /gave two states/);
});

test("finds an evolve that changes its event", () => {
  assert.throws(() => given(careless).when("keep"), /not the event/);
});

test("finds a state that is not plain data", () => {
  assert.throws(() => given(careless).when("date"), /state after "dated": last is a Date/);
});

test("infers inputs, replies and events", () => {
  // never called: the compiler is the test
  const compiles = () => {
    // @ts-expect-error no such command
    given(wallet).when("nothing");
    // @ts-expect-error the input is missing
    given(wallet).when("credit");
    // @ts-expect-error another shape of input
    given(wallet).when("credit", { cents: 1 });
    // @ts-expect-error no such event
    given(wallet, [{ name: "robbed", payload: {} }]);
    const outcome = given(wallet).when("credit", { amount: 1 });
    // @ts-expect-error another shape of reply
    outcome.then({ reply: { sum: 1 } });
  };
  assert.equal(typeof compiles, "function");
});
