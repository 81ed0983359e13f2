/** What is kept of a command that breaks its entity. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { personal } from "../model/sealed.ts";
import { captureOf, type StepFacts } from "./step.ts";

function factsOf(value: unknown, input: unknown): StepFacts {
  return {
    command: "rename",
    value,
    input,
    principal: { kind: "user", id: "ann" },
    cause: { kind: "request", requestId: "", idBytes: new Uint8Array(16) },
    nowMs: 0,
    chance: { integer: () => 0, unit: () => 0 } as unknown as StepFacts["chance"],
    mayCreate: true,
  };
}

test("an input with marked values that were not sealed is not captured, another one is", () => {
  assert.equal(captureOf(factsOf({ to: { name: personal("Ann") } }, { to: { name: "Ann" } }), 0).input, null);
  assert.deepEqual(captureOf(factsOf({ amount: 3 }, { amount: 3 }), 0).input, { amount: 3 });
});
