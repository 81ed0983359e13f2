/** Frames: what leaves together, and the bounds that the welcome names; every event decided by the test. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ofCode, World } from "./harness.ts";

test("everything called in one turn leaves in one frame", async () => {
  const world = new World();
  const socket = await world.open();
  const entity = world.client.entity("wallet", "7");
  const calls = Array.from({ length: 100 }, (_, amount) => entity.execute("debit", { amount }));
  calls.push(entity.query("balance"));
  await world.settle();
  assert.equal(socket.frames.length, 1);
  const [frame = []] = socket.frames;
  socket.say(
    ...frame.map(
      (message, index) => ({ t: "reply", id: "id" in message ? message.id : 0, version: 9, value: index }) as const,
    ),
  );
  await world.settle();
  assert.deepEqual(
    await Promise.all(calls),
    calls.map((_, index) => ({ value: index, version: 9 })),
  );
  await world.client.close();
  assert.equal(world.clock.timers, 0);
});

test("frames keep within the messages and bytes that the welcome names", async () => {
  const world = new World();
  const socket = await world.open({ limits: { frameMessagesMax: 10, frameBytesMax: 2_000 } });
  for (let index = 0; index < 25; index++) void world.execute("debit", { amount: index }).catch(() => {});
  for (let index = 0; index < 5; index++) void world.execute("note", { text: "x".repeat(700) }).catch(() => {});
  await world.settle();
  assert.deepEqual(
    socket.frames.map((frame) => frame.length),
    [10, 10, 6, 2, 2],
  );
  await assert.rejects(
    Promise.race([world.execute("note", { text: "x".repeat(2_000) }), world.settle()]),
    ofCode("too-large"),
  );
  await world.client.close();
});

test("frames keep within the values that a server takes", async () => {
  const world = new World();
  const socket = await world.open();
  const list = Array.from({ length: 5_000 }, () => 1);
  for (let index = 0; index < 4; index++) void world.execute("sum", list).catch(() => {});
  await world.settle();
  assert.deepEqual(
    socket.frames.map((frame) => frame.length),
    [3, 1],
  );
  await world.client.close();
});
