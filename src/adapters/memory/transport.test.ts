/** The transport within a process keeps the contract, and what the simulator does to its lines has the effects that it has in the world. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsWith } from "../../model/limits.ts";
import { connected, type Suite, send, suiteOf } from "../../ports/transport.contract.kit.ts";
import { testTransport } from "../../ports/transport.contract.ts";
import { systemClock } from "../system/clock.ts";
import { VirtualClock } from "../virtual/clock.ts";
import { passUntil } from "../virtual/drive.ts";
import { Timeline } from "../virtual/timeline.ts";
import { MemoryPeers } from "./transport.ts";

const limits = limitsWith({ peersMax: 6 });

testTransport("memory", async () => {
  const peers = new MemoryPeers({ clock: systemClock, limits });
  return {
    limits,
    opener: (settings) => peers.opener(settings),
    pass: (ms) => new Promise((resolve) => systemClock.after(ms, resolve)),
    dispose: async () => {},
  };
});

/** Nodes on a timeline of their own, whose lines take different times. */
function simulated(delayMs: () => number = () => 3) {
  const timeline = new Timeline();
  const clock = new VirtualClock({ timeline });
  const peers = new MemoryPeers({ clock, delayMs, limits });
  const suite = suiteOf({
    limits,
    opener: (settings) => peers.opener(settings),
    pass: (ms) => passUntil(timeline, timeline.nowMs + ms),
    dispose: async () => {},
  });
  return { timeline, peers, suite };
}

async function pair(suite: Suite) {
  const [a, b] = [await suite.node("a"), await suite.node("b")];
  const [mine, theirs] = await connected(suite, a, b);
  return { a, b, mine, theirs };
}

test("messages keep their order however long each is on its way", async () => {
  let step = 0;
  const { suite, timeline } = simulated(() => (step++ * 7) % 23);
  const { mine, theirs } = await pair(suite);
  for (let index = 0; index < 100; index++) assert.ok(send(mine, index));
  assert.ok(mine.connection.bufferedBytes > 0);
  await passUntil(timeline, timeline.nowMs + 30);
  assert.deepEqual(theirs.bodies, [...Array(100).keys()]);
});

test("a line that is cut holds what is on its way; healed in time, it arrives and nobody heard of it", async () => {
  const { peers, suite, timeline } = simulated();
  const { mine, theirs } = await pair(suite);
  assert.ok(send(mine, "before"));
  peers.cut("a", "b");
  assert.ok(send(mine, "meanwhile") && send(theirs, "the other way"));
  await passUntil(timeline, timeline.nowMs + limits.peerSilentMs - 1);
  assert.deepEqual([mine.bodies, theirs.bodies], [["the other way"], []]);
  peers.heal("a", "b");
  await passUntil(timeline, timeline.nowMs + 2_000);
  assert.deepEqual(theirs.bodies, ["before", "meanwhile"]);
  assert.deepEqual([mine.count("closed"), theirs.count("closed")], [0, 0]);
});

test("a line that stays cut, if only one way, ends the connection on both sides, and cannot be dialed", async () => {
  const { peers, suite, timeline } = simulated();
  const { a, b, mine, theirs } = await pair(suite);
  peers.cut("b", "a");
  assert.ok(send(theirs, "never"));
  await passUntil(timeline, timeline.nowMs + limits.peerSilentMs);
  assert.deepEqual([mine.count("closed"), theirs.count("closed"), mine.bodies.length], [1, 1, 0]);
  let refused = false;
  void a.transport.dial(b.transport.address, b.self).catch(() => (refused = true));
  await passUntil(timeline, timeline.nowMs + limits.peerHandshakeMs);
  assert.equal(refused, true);
  peers.heal("b", "a");
  const [again] = await connected(suite, a, b);
  assert.ok(send(again, "now"));
});

test("when a process ends the others hear of it and it hears nothing; its name can be had again", async () => {
  const { peers, suite, timeline } = simulated();
  const { a, b, mine, theirs } = await pair(suite);
  assert.ok(send(theirs, "last words"));
  peers.end(b.self);
  assert.ok(send(mine, "into the void"));
  await passUntil(timeline, timeline.nowMs + 10);
  assert.deepEqual(mine.bodies, ["last words"]);
  assert.deepEqual([mine.count("closed"), theirs.heard.length], [1, 0]);
  const next = await suite.node("b", { generation: 2 });
  await connected(suite, a, next);
});

test("one history of the clock gives one history of the hub", async () => {
  const run = async () => {
    let step = 1;
    const { peers, suite, timeline } = simulated(() => (step = (step * 31) % 101) % 9);
    const { mine, theirs } = await pair(suite);
    const history: string[] = [];
    for (const [name, seen] of Object.entries({ mine, theirs }))
      seen.onHeard = (heard) => history.push(`${timeline.nowMs} ${name} ${JSON.stringify(heard)}`);
    for (let index = 0; index < 50; index++) {
      send(mine, index);
      send(theirs, -index - 1);
      if (index === 20) peers.cut("a", "b");
      if (index === 30) peers.heal("a", "b");
      if (index === 40) mine.connection.close("done");
      await passUntil(timeline, timeline.nowMs + 2);
    }
    return history;
  };
  const first = await run();
  assert.ok(first.length > 60);
  assert.deepEqual(await run(), first);
});
