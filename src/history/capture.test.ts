/** What broke an entity elsewhere, run again on a copy. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { defineEntity } from "../model/entity.ts";
import { makeChance } from "../runtime/chance.ts";
import { Prng } from "../std/prng.ts";
import { readCapture, replayCapture } from "./capture.ts";

function makeCounter(mended: boolean) {
  return defineEntity("counter", {
    state: () => ({ sum: 0 }),
    events: {
      added: (state, event: { by: number }) => {
        if (event.by === 13 && !mended) throw new Error("unlucky");
        state.sum += event.by;
      },
    },
    commands: (command) => ({
      add: command(z.object({ by: z.int() }), (_state, { by }, ctx) => {
        ctx.emit("added", { by });
        const reply = { at: ctx.now, who: ctx.principal.id };
        return () => reply;
      }),
    }),
    access: (principal) => principal.id === "ann",
  });
}

const prng = new Prng(1);
const chance = makeChance({ bytes: (count) => prng.bytes(count) });
const captured = {
  command: "add",
  input: { by: 13 },
  principal: { kind: "user", id: "ann" },
  cause: { kind: "request", requestId: "x" },
  now: 1_000,
  events: [{ name: "added", version: 1, payload: { by: 13 } }],
};
const value = {
  type: "counter",
  key: "a",
  version: 3,
  why: "evolve",
  error: "Error: unlucky",
  state: { sum: 5 },
  captured,
};

test("a captured command throws as it did, and with mended code gives state and reply, at its time and for its principal", () => {
  const capture = readCapture(value);
  const broken = replayCapture(makeCounter(false), capture, chance);
  assert.ok(broken.kind === "command" && /unlucky/.test(broken.fork.faults[0] ?? ""));
  assert.deepEqual(broken.fork.after.state, { sum: 5 });
  const mended = replayCapture(makeCounter(true), capture, chance);
  assert.ok(mended.kind === "command" && mended.fork.reply.ok);
  assert.deepEqual(mended.fork.after.state, { sum: 18 });
  assert.deepEqual(mended.fork.reply.value, { at: 1_000, who: "ann" });
});

test("who was not allowed is not allowed here either; a timer's command is asked for no permission", () => {
  const mallory = { ...captured, principal: { kind: "user", id: "mallory" } };
  const refused = replayCapture(makeCounter(true), readCapture({ ...value, captured: mallory }), chance);
  assert.ok(refused.kind === "command" && !refused.fork.reply.ok && refused.fork.reply.code === "forbidden");
  const timer = { ...mallory, cause: { kind: "timer", name: "t", setAt: 2 } };
  const fired = replayCapture(makeCounter(true), readCapture({ ...value, captured: timer }), chance);
  assert.ok(fired.kind === "command" && fired.fork.reply.ok);
});

test("of a replay the events are evolved, since the log holds no inputs", () => {
  const capture = readCapture({ ...value, captured: { ...captured, input: null, principal: null } });
  const broken = replayCapture(makeCounter(false), capture, chance);
  assert.deepEqual(broken.kind === "events" && broken.evolved.failed, { event: "added", error: "unlucky" });
  const mended = replayCapture(makeCounter(true), capture, chance);
  assert.deepEqual(mended.kind === "events" && [mended.evolved.failed, mended.evolved.after], [undefined, { sum: 18 }]);
});
