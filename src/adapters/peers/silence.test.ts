/** Nodes that hang, are stopped or killed are found out by their connections; nobody is blamed for a pause of one's own. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../system/clock.ts";
import { closing, impostor, limits, noted, until, wiretap } from "./peers.harness.ts";

const pass = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

test("a connection on which nothing is said stays open as long as both sides live", async () => {
  const [a, b] = [await noted("a"), await noted("b")];
  try {
    const connection = await a.transport.dial(b.transport.address, b.self);
    await pass(5 * limits.peerSilentMs);
    assert.deepEqual([a.closed, b.closed], [[], []]);
    assert.ok(connection.send({ body: "still" }));
    await until(() => b.messages.length === 1);
  } finally {
    for (const node of [a, b]) await node.transport.close();
  }
});

test("who gives no sign of life is given up, and who gives any is not", async () => {
  const node = await noted("a");
  try {
    const mute = await impostor(node);
    const closed = closing(mute);
    const talking = await impostor(node);
    let isOver = false;
    const talk = (): void => {
      if (isOver) return;
      talking.ping();
      systemClock.after(limits.peerHeartbeatMs, talk);
    };
    talk();
    await closed;
    await until(() => node.closed.length > 0);
    assert.deepEqual(node.closed, [`nothing was heard for ${limits.peerSilentMs} ms`]);
    await pass(2 * limits.peerSilentMs);
    assert.equal(node.closed.length, 1);
    isOver = true;
    talking.terminate();
  } finally {
    await node.transport.close();
  }
});

test("a pause of this process is not the other's silence", async () => {
  const [a, b] = [await noted("a"), await noted("b")];
  try {
    await a.transport.dial(b.transport.address, b.self);
    for (let round = 0; round < 3; round++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * limits.peerSilentMs);
      await pass(2 * limits.peerHeartbeatMs);
    }
    assert.deepEqual([a.closed, b.closed], [[], []]);
  } finally {
    for (const node of [a, b]) await node.transport.close();
  }
});

test("a close that the other side does not answer is over here at once, and its socket soon", async () => {
  const node = await noted("a");
  try {
    const socket = await impostor(node);
    socket.pause();
    node.opened[0]?.close("enough");
    await until(() => node.closed.length === 1);
    assert.deepEqual(node.closed, ["enough"]);
    const closed = closing(socket);
    await node.transport.close();
    socket.resume();
    await closed;
  } finally {
    await node.transport.close();
  }
});

test("who takes long to receive what is sent is not silent", async () => {
  const [a, b] = [await noted("a"), await noted("b")];
  // 64 KiB each time: 8 MiB are on their way for over three times as long as a node may be silent.
  const tap = await wiretap(b.port, limits.peerSilentMs / 40);
  try {
    const connection = await a.transport.dial(`ws://127.0.0.1:${tap.port}`, b.self);
    const bytes = new Uint8Array(limits.peerFrameBytesMax - 1_000);
    assert.ok(connection.send({ body: 1, bytes }) && connection.send({ body: 2, bytes }));
    await until(() => b.messages.length === 2 || a.closed.length > 0);
    assert.deepEqual([a.closed, b.closed], [[], []]);
  } finally {
    tap.close();
    for (const node of [a, b]) await node.transport.close();
  }
});

async function child(): Promise<{ process: ChildProcess; address: string; closed: string[] }> {
  const forked = fork(join(import.meta.dirname, "node.fixture.ts"), [], { execArgv: ["--conditions=source"] });
  const closed: string[] = [];
  const [{ address }] = (await once(forked, "message")) as [{ address: string }];
  forked.on("message", (told: { closed?: string }) => void (told.closed !== undefined && closed.push(told.closed)));
  return { process: forked, address, closed };
}

test("a process that is killed is known to be gone by its broken connection", async (context) => {
  const [node, other] = [await noted("a"), await child()];
  try {
    const connection = await node.transport.dial(other.address, { node: "child", generation: 1 });
    assert.ok(connection.send({ body: 1 }));
    await until(() => node.messages.length === 1);
    const killedMs = systemClock.monotonic();
    other.process.kill("SIGKILL");
    await until(() => node.closed.length === 1);
    context.diagnostic(`heard ${Math.round(systemClock.monotonic() - killedMs)} ms after the kill`);
    assert.deepEqual(node.closed, ["the connection is lost"]);
    assert.equal(connection.send({ body: 2 }), false);
  } finally {
    other.process.kill("SIGKILL");
    await node.transport.close();
  }
});

test("a process that is stopped is given up, and hears of it when it goes on", async (context) => {
  const [node, other] = [await noted("a"), await child()];
  try {
    const connection = await node.transport.dial(other.address, { node: "child", generation: 1 });
    const stoppedMs = systemClock.monotonic();
    other.process.kill("SIGSTOP");
    connection.send({ body: 1 });
    await until(() => node.closed.length === 1);
    context.diagnostic(`given up ${Math.round(systemClock.monotonic() - stoppedMs)} ms after the stop`);
    assert.deepEqual(node.closed, [`nothing was heard for ${limits.peerSilentMs} ms`]);
    other.process.kill("SIGCONT");
    await until(() => other.closed.length === 1);
    const again = await node.transport.dial(other.address, { node: "child", generation: 1 });
    assert.ok(again.send({ body: 2 }));
    await until(() => node.messages.length === 1);
    assert.deepEqual(node.messages, [{ body: ["echo", 2] }]);
  } finally {
    other.process.kill("SIGCONT");
    other.process.kill("SIGKILL");
    await node.transport.close();
  }
});
