/** Table configuration. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { tableConfig } from "./config.ts";

test("the defaults are those of the game and are valid", () => {
  const made = tableConfig({ boot: 1 });
  assert.ok("config" in made);
  assert.deepEqual(made.config, {
    seats: 5,
    boot: 1,
    maxBlindTurns: 4,
    chaalLimit: 128,
    potLimit: 1024,
    turnMs: 15_000,
    turnGraceMs: 5_000,
    sideShowMs: 8_000,
    betweenHandsMs: 5_000,
    seatHeldMs: 60_000,
    seedRevealMs: 86_400_000,
    seenMayShowBlind: true,
    a23: "second",
    variation: "classic",
  });
});

test("limits follow the boot unless given", () => {
  const made = tableConfig({ boot: 50, potLimit: 700 });
  assert.ok("config" in made);
  assert.deepEqual([made.config.chaalLimit, made.config.potLimit], [6400, 700]);
});

test("each field out of bounds is named", () => {
  const bad = {
    seats: 7,
    boot: 0.5,
    maxBlindTurns: 0,
    chaalLimit: 0,
    potLimit: 2,
    turnMs: 1,
    turnGraceMs: -1,
    sideShowMs: Number.NaN,
  };
  for (const [field, value] of Object.entries(bad)) {
    const made = tableConfig({ [field]: value });
    assert.ok("problems" in made && made.problems.some((problem) => problem.startsWith(`${field}:`)), field);
  }
  assert.ok("problems" in tableConfig({ seats: 1 }));
});

test("boots alone can never reach the pot limit, and the first chaal is always allowed", () => {
  assert.ok("problems" in tableConfig({ seats: 6, boot: 10, potLimit: 60 }));
  assert.ok("config" in tableConfig({ seats: 6, boot: 10, potLimit: 61 }));
  assert.ok("problems" in tableConfig({ boot: 10, chaalLimit: 19 }));
  assert.ok("config" in tableConfig({ boot: 10, chaalLimit: 20 }));
});
