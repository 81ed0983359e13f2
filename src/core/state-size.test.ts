/** The account of a state's size agrees with what a copy of it would count. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { defineEntity } from "../model/entity.ts";
import { limitsWith } from "../model/limits.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import { makeSlot } from "./slot.ts";
import { growsTooLarge, isTooLarge } from "./state-size.ts";

const box = defineEntity("box", { state: (): Plain => null, events: {}, commands: () => ({}), access: () => true });
const slotWith = (state: unknown) => Object.assign(makeSlot({ type: "box", key: "a" }, box), { state });

test("a state is too large exactly if its copy would be", () => {
  const plain = fc.jsonValue({ noUnicodeString: true }).map((value) => JSON.parse(JSON.stringify(value)) as Plain);
  fc.assert(
    fc.property(plain, (state) => {
      let bytes: number;
      try {
        bytes = copyPlain(state, { depthMax: 64, bytesMax: 1e9 }).bytes;
      } catch {
        return; // reserved names, integers beyond 2^53
      }
      if (bytes < 2) return;
      assert.equal(isTooLarge(slotWith(state), limitsWith({ stateBytesMax: bytes })), false);
      assert.equal(isTooLarge(slotWith(state), limitsWith({ stateBytesMax: bytes - 1 })), true);
    }),
    { numRuns: 300 },
  );
});

test("a cycle ends, and is no business of this measure", () => {
  const state: Record<string, unknown> = {};
  state["self"] = state;
  assert.equal(isTooLarge(slotWith(state), limitsWith()), false);
});

test("it is measured seldom: a state of half the limit a few times until it is full", () => {
  const limits = limitsWith();
  const slot = slotWith({ text: "" });
  let measures = 0;
  let parked = 0;
  for (let bytes = 0; bytes < 2 * limits.stateBytesMax && parked === 0; bytes += 1_000) {
    slot.state = { text: "x".repeat(bytes) };
    const before = slot.grownBytes;
    if (growsTooLarge(slot, 1_000, limits)) parked = bytes;
    if (slot.grownBytes < before) measures++;
  }
  assert.ok(measures < 16, `${measures} measures`);
  assert.ok(parked > limits.stateBytesMax - 1_000 && parked < limits.stateBytesMax + 70_000, `${parked}`);
});
