/** The checkers of histories: against brute force, on histories of an entity that works, and with each violation planted. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { drafts, isLinearizableByForce, served } from "./histories.harness.ts";
import type { Operation } from "./history.ts";
import { checkLinearizability, describeVerdict } from "./linearizability.ts";
import { type CounterInput, counter, type RegisterInput, register, type WalletInput, wallet } from "./models.ts";
import { checkOneStatePerVersion, checkVersionModel, checkVersionOrder } from "./version-order.ts";

const small = fc.integer({ min: 1, max: 3 });
const registerInput: fc.Arbitrary<RegisterInput> = fc.oneof(
  fc.record({ kind: fc.constant("write" as const), value: small }),
  fc.record({ kind: fc.constant("swap" as const), from: small, to: small }),
  fc.constant({ kind: "read" as const }),
);
const counterInput: fc.Arbitrary<CounterInput> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), amount: small }),
  fc.constant({ kind: "read" as const }),
);
const walletInput: fc.Arbitrary<WalletInput> = fc.oneof(
  fc.record({ kind: fc.constantFrom("credit" as const, "debit" as const), amount: small }),
  fc.constant({ kind: "read" as const }),
);

type RegisterHistory = Operation<RegisterInput, number | boolean>[];
type CounterHistory = Operation<CounterInput, number>[];

const registerOutput = (before: number, after: number, input: RegisterInput): number | boolean =>
  input.kind === "swap" ? before === input.from : input.kind === "read" ? before : after;
const counterOutput = (_before: number, after: number): number => after;
const walletOutput = (before: number, after: number, input: WalletInput): number | "refused" =>
  input.kind === "debit" && before === after ? "refused" : after;

describe("linearizability", () => {
  test("the search and brute force agree on every small history, be it of a working entity or not", () => {
    const guess = fc.oneof(fc.boolean(), fc.integer({ min: 0, max: 3 }));
    const operation = fc
      .record({ input: registerInput, sent: fc.nat(12), took: fc.integer({ min: 0, max: 8 }), guess, heard: fc.nat(4) })
      .map(({ input, sent, took, guess: output, heard }): RegisterHistory[number] => ({
        who: "c",
        input,
        sent,
        answer: heard === 0 ? undefined : { at: sent + took, output, version: undefined, changed: false },
      }));
    const verdicts = { linearizable: 0, violation: 0 };
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (history) => {
        const fits = history.map((one) => fitting(one));
        const { kind } = checkLinearizability(fits, register);
        assert.notEqual(kind, "undecided");
        assert.equal(kind === "linearizable", isLinearizableByForce(fits, register));
        verdicts[kind as "linearizable" | "violation"] += 1;
      }),
      { numRuns: 3_000, seed: 1 },
    );
    assert.ok(verdicts.linearizable > 300 && verdicts.violation > 300, JSON.stringify(verdicts));
  });

  test("what an entity that works tells is linearizable, and the order shows it", () => {
    const bounds = { most: 40, spread: 6 };
    fc.assert(
      fc.property(drafts(registerInput, bounds), (planned) => {
        const history = served(planned, register, registerOutput);
        const verdict = checkLinearizability(history, register);
        assert.equal(verdict.kind, "linearizable", describeVerdict(verdict, history));
        if (verdict.kind === "linearizable") assertOrder(history, verdict.order);
      }),
      { numRuns: 300, seed: 2 },
    );
    fc.assert(
      fc.property(drafts(walletInput, bounds), (planned) => {
        const history = served(planned, wallet, walletOutput);
        assert.equal(checkLinearizability(history, wallet).kind, "linearizable");
      }),
      { numRuns: 300, seed: 3 },
    );
  });

  test("a command without an answer may take effect long after, and only once", () => {
    const unheard: CounterHistory[number] = { who: "a", input: { kind: "add", amount: 5 }, sent: 1, answer: undefined };
    assert.equal(checkLinearizability([unheard, read(10, 0), read(20, 5)], counter).kind, "linearizable");
    assert.equal(checkLinearizability([unheard, read(10, 5), read(20, 0)], counter).kind, "violation");
    assert.equal(checkLinearizability([unheard, read(10, 10)], counter).kind, "violation");
    assert.equal(checkLinearizability([{ ...unheard, sent: 15 }, read(10, 5)], counter).kind, "violation");
  });

  test("each planted violation is found: a stale read, a lost update, a doubled one, two in another order", () => {
    const found = (history: CounterHistory) => checkLinearizability(history, counter).kind;
    assert.equal(found([add(1, 1, 1), add(3, 1, 2), read(5, 2)]), "linearizable");
    assert.equal(found([add(1, 1, 1), add(3, 1, 2), read(5, 1)]), "violation", "stale read");
    assert.equal(found([add(1, 1, 1), add(3, 1, 1), read(5, 1)]), "violation", "lost update");
    assert.equal(found([add(1, 1, 1), read(3, 2)]), "violation", "doubled");
    assert.equal(found([add(1, 2, 5), add(3, 3, 3)]), "violation", "in another order");
    assert.equal(found([{ ...add(1, 2, 5), answer: answer(9, 5, 2) }, add(3, 3, 3)]), "linearizable", "at once");
  });

  test("a violation tells the answer that fits nowhere, and the longest order before it", () => {
    const history = [add(1, 1, 1), add(3, 1, 2), read(5, 1)];
    const verdict = checkLinearizability(history, counter);
    assert.deepEqual(verdict, { kind: "violation", best: [0, 1], stuck: 2 });
    assert.match(describeVerdict(verdict, history), /fits nowhere:\n {2}r .*sent 5/);
  });

  test("a search that would grow without bound ends undecided", () => {
    const unheard = Array.from({ length: 24 }, (_, at): CounterHistory[number] => ({
      who: "u",
      input: { kind: "add", amount: 2 ** at },
      sent: 0,
      answer: undefined,
    }));
    assert.equal(checkLinearizability([...unheard, read(1, 2 ** 30)], counter, 10_000).kind, "undecided");
  });
});

describe("version order", () => {
  test("what an entity that works tells fits its versions, at any length", () => {
    fc.assert(
      fc.property(drafts(registerInput, { most: 200, spread: 20 }), (planned) => {
        assert.deepEqual(checkVersionOrder(served(planned, register, registerOutput)), []);
      }),
      { numRuns: 200, seed: 4 },
    );
    fc.assert(
      fc.property(drafts(counterInput, { most: 200, spread: 20, unheard: false }), (planned) => {
        const history = served(planned, counter, counterOutput);
        assert.deepEqual(checkVersionOrder(history), []);
        assert.deepEqual(checkVersionModel(history, counter), []);
        assert.deepEqual(checkOneStatePerVersion(history, totalOf), []);
      }),
      { numRuns: 200, seed: 5 },
    );
  });

  test("a history of small entities that fits versions and model is linearizable", () => {
    // Outputs and versions that mostly fit, and sometimes do not.
    const operation = fc.record({
      sent: fc.nat(8),
      took: fc.integer({ min: 1, max: 8 }),
      version: fc.integer({ min: 1, max: 5 }),
      reads: fc.boolean(),
    });
    let fitting = 0;
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 5 }), (drawn) => {
        const history = drawn.map(({ sent, took, version, reads }): CounterHistory[number] => ({
          who: "c",
          input: reads ? { kind: "read" } : { kind: "add", amount: 1 },
          sent,
          answer: { at: sent + took, output: version, version, changed: !reads },
        }));
        if (checkVersionOrder(history).length + checkVersionModel(history, counter).length > 0) return;
        fitting += 1;
        assert.ok(isLinearizableByForce(history, counter));
      }),
      { numRuns: 5_000, seed: 6 },
    );
    assert.ok(fitting > 100, `${fitting}`);
  });

  test("each planted violation is found", () => {
    const problems = (history: CounterHistory) => checkVersionOrder(history).map((text) => text.split(":")[0]);
    const older = "an answer that is older than one before it";
    assert.deepEqual(problems([add(1, 1, 1), add(3, 1, 2), read(5, 2)]), []);
    assert.deepEqual(problems([add(1, 1, 1), add(3, 1, 2), read(5, 1)]), [older], "stale read");
    assert.deepEqual(problems([add(1, 1, 1), add(3, 1, 1)]).slice(0, 2), ["two operations made one version", older]);
    assert.deepEqual(problems([add(1, 2, 5), add(3, 3, 3)]), [older], "in another order");
    assert.deepEqual(problems([read(1, 1), add(3, 1, 1)]), [older, "an answer of a version that nobody had asked for"]);
    const model = (history: CounterHistory) => checkVersionModel(history, counter).length;
    assert.equal(model([add(1, 1, 1), add(3, 1, 2)]), 0);
    assert.equal(model([{ ...add(1, 1, 1), answer: answer(2, 2, 1) }]), 1, "doubled");
    assert.equal(model([{ ...add(1, 1, 1), answer: { ...answer(2, 1, 1), changed: false } }]), 1, "without a version");
    const shown = [add(1, 1, 1), { ...read(3, 2), answer: { ...answer(4, 2, 1), changed: false } }];
    assert.equal(checkOneStatePerVersion(shown, totalOf).length, 1);
  });

  test("what took effect without anybody hearing of it takes its place by the version that the log tells", () => {
    const told: CounterHistory = [add(1, 1, 1), { ...add(3, 1, 3), sent: 3 }];
    assert.equal(checkVersionModel(told, counter).length, 1);
    const unheard: CounterHistory[number] = { ...add(2, 1, 2), answer: answer(Number.POSITIVE_INFINITY, 2, 2) };
    assert.deepEqual(checkVersionModel([...told, unheard], counter), []);
    assert.deepEqual(checkVersionOrder([...told, unheard]), []);
  });
});

const totalOf = ({ answer: told }: CounterHistory[number]) => (told === undefined ? undefined : String(told.output));

function answer(at: number, output: number, version: number) {
  return { at, output, version, changed: true };
}

/** Takes one unit of time; its version is the sum it tells. */
function add(sent: number, amount: number, output: number): CounterHistory[number] {
  return { who: "w", input: { kind: "add", amount }, sent, answer: answer(sent + 1, output, output) };
}

function read(sent: number, output: number): CounterHistory[number] {
  return { who: "r", input: { kind: "read" }, sent, answer: { ...answer(sent + 1, output, output), changed: false } };
}

/** An output of the kind that the operation has. */
function fitting(operation: RegisterHistory[number]): RegisterHistory[number] {
  const { input, answer: told } = operation;
  if (told === undefined) return operation;
  const output = input.kind === "swap" ? Boolean(told.output) : Number(told.output);
  return { ...operation, answer: { ...told, output } };
}

function assertOrder(history: RegisterHistory, order: readonly number[]): void {
  let state = register.initial;
  let latestSent = Number.NEGATIVE_INFINITY;
  for (const place of order) {
    const { input, sent, answer: told } = history[place] as RegisterHistory[number];
    assert.ok(told === undefined || told.at >= latestSent, "it keeps to real time");
    latestSent = Math.max(latestSent, sent);
    const after = register.apply(state, input, told?.output);
    assert.ok(after !== undefined, "each output fits");
    state = after;
  }
}
