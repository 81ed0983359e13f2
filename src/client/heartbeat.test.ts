/** Heartbeats where the platform stood still: timers come late, and before what the sockets have received. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../ports/clock.ts";
import { Heartbeat, Patience } from "./heartbeat.ts";

/** One timer, which the test fires when it likes. */
class Still implements Clock {
  nowMs = 0;
  dueMs = 0;
  #callback = (): void => {};
  deferred: (() => void)[] = [];
  now(): number {
    return this.nowMs;
  }
  monotonic(): number {
    return this.nowMs;
  }
  after(ms: number, callback: () => void): () => void {
    this.dueMs = this.nowMs + ms;
    this.#callback = callback;
    return () => (this.#callback = () => {});
  }
  defer(callback: () => void): void {
    this.deferred.push(callback);
  }
  fire(lateMs = 0): void {
    this.nowMs = this.dueMs + lateMs;
    this.#callback();
  }
  turn(): void {
    for (const callback of this.deferred.splice(0)) callback();
  }
}

function beating(): { clock: Still; heard: () => void; seen: string[] } {
  const clock = new Still();
  const seen: string[] = [];
  let heardMs = 0;
  new Heartbeat(clock, new Patience(1_000), {
    several: () => true,
    busy: () => true,
    heardMs: () => heardMs,
    sentBytes: () => 0,
    bufferedBytes: () => 0,
    ping: () => seen.push("ping"),
    silent: () => seen.push("silent"),
  });
  return { clock, heard: () => (heardMs = clock.nowMs), seen };
}

test("what came while the timer was due counts, though it is taken after the timer", () => {
  const { clock, heard, seen } = beating();
  clock.fire();
  clock.fire();
  heard();
  clock.turn();
  assert.deepEqual(seen, ["ping"]);
  clock.fire();
  clock.fire();
  clock.turn();
  assert.deepEqual(seen, ["ping", "ping", "silent"]);
});

test("after we stood still ourselves the other side is asked once more, and then judged", () => {
  const { clock, heard, seen } = beating();
  clock.fire();
  clock.fire(5_000);
  clock.turn();
  assert.deepEqual(seen, ["ping", "ping"]);
  heard();
  clock.fire();
  clock.turn();
  assert.deepEqual(seen, ["ping", "ping", "ping"]);
  for (const word of ["ping", "silent"]) {
    clock.fire(5_000);
    clock.turn();
    assert.equal(seen.at(-1), word, "late twice is the platform's way here, and nothing came in between");
  }
  assert.equal(seen.length, 5);
});
