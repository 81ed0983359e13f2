/** A shard that starts over meets a log without space, or a node that stops. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryStore, type MemoryLogHooks, openMemoryLog } from "../adapters/memory/log.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { passUntil, settle } from "../adapters/virtual/drive.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import type { CallResult } from "../model/records.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { counter } from "./counter.harness.ts";
import { prepareNode } from "./node.ts";

function prepare(hooks: MemoryLogHooks) {
  const timeline = new Timeline();
  const clock = new VirtualClock({ timeline });
  const prng = new Prng(1);
  const crashes: unknown[] = [];
  const log = openMemoryLog({ store: createMemoryStore(1), hooks });
  const node = prepareNode({
    entities: [counter],
    log,
    clock,
    random: { bytes: (bytes) => prng.bytes(bytes) },
    shardCount: 1,
    onCrash: (error) => crashes.push(error),
  });
  const count = async (): Promise<CallResult> => {
    const answers: CallResult[] = [];
    const requestId = makeUuidV7(clock.now(), prng.bytes(16));
    const entity = { type: "counter", key: "a" };
    const principal = { kind: "user", id: "u" } as const;
    node.execute({ entity, command: "count", input: undefined, requestId, principal }, (answer) => {
      answers.push(answer);
    });
    await passUntil(timeline, timeline.nowMs + 10);
    return answers[0] as CallResult;
  };
  return { node, log, timeline, crashes, count };
}

test("a shard that starts over waits for space in the log, and its node goes on", async () => {
  let [ending, full] = [false, false];
  const { node, timeline, crashes, count } = prepare({
    refuse: (kind) => (kind === "claim" ? (full ? "full" : undefined) : ending ? "unknown" : undefined),
  });
  await node.recover();
  assert.ok((await count()).ok);
  ending = full = true;
  assert.deepEqual((await count()).ok, false);
  await passUntil(timeline, timeline.nowMs + 2_000);
  assert.deepEqual([crashes, node.health().phase], [[], "serving"]);
  const refused = await count();
  assert.equal(!refused.ok && refused.code, "unavailable");
  ending = full = false;
  await passUntil(timeline, timeline.nowMs + 2_000);
  const result = await count();
  assert.deepEqual(result.ok && result.value, 2);
  await node.stop();
});

test("a stop lets a recovery that is under way end before it closes the log", async () => {
  const claims: (() => void)[] = [];
  const { node, log, timeline, crashes } = prepare({
    before: (kind) => (kind === "claim" ? new Promise<void>((resolve) => claims.push(resolve)) : undefined),
  });
  let closed = false;
  const close = log.close.bind(log);
  log.close = async () => {
    closed = true;
    await close();
  };
  const recovered = node.recover().then(
    () => "served",
    (error: { code: string }) => error.code,
  );
  await passUntil(timeline, timeline.nowMs + 10);
  const stopped = node.stop();
  await settle();
  assert.equal(closed, false, "the claim is in flight");
  claims[0]?.();
  assert.equal(await recovered, "unavailable");
  await stopped;
  assert.deepEqual([closed, node.health().phase, crashes], [true, "stopped", []]);
});

test("a stop gives up waiting for a recovery that does not end", async () => {
  const { node, timeline } = prepare({
    before: (kind) => (kind === "claim" ? new Promise<void>(() => {}) : undefined),
  });
  void node.recover();
  await settle();
  let stopped = false;
  void node.stop().then(() => {
    stopped = true;
  });
  await passUntil(timeline, timeline.nowMs + node.limits.drainMs);
  assert.ok(stopped);
});
