/**
 * The contract suite of clock and randomness: run by the machine's own and by the simulator's.
 *
 * A case lets time pass with `pass(ms)`: the machine's sleeps, the simulator's moves its hand. Delays are short, and
 * nothing is asserted about lateness, which a busy machine cannot promise.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { Clock, Random } from "./clock.ts";

export interface ClockUnderTest {
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves when at least so much time has passed and what was due has been called. */
  readonly pass: (ms: number) => Promise<void>;
  readonly dispose?: () => Promise<void> | void;
}

/** Runs the whole suite against one clock and one source of randomness. */
export function testClock(name: string, open: () => ClockUnderTest): void {
  describe(`clock and randomness: ${name}`, () => {
    const under = open();
    after(() => under.dispose?.());
    describe("time", () => timeCases(under));
    describe("timers", () => timerCases(under));
    describe("timers", () => orderCases(under));
    describe("defer", () => deferCases(under));
    describe("randomness", () => randomCases(under.random));
  });
}

function timeCases({ clock, pass }: ClockUnderTest): void {
  test("now is a number of milliseconds since 1970 that a date can hold", () => {
    assert.ok(Number.isFinite(clock.now()) && clock.now() >= 0);
    assert.ok(!Number.isNaN(new Date(clock.now()).getTime()));
  });

  test("monotonic never goes back", async () => {
    let last = clock.monotonic();
    for (let index = 0; index < 1000; index++) {
      const next = clock.monotonic();
      assert.ok(next >= last);
      last = next;
    }
    await pass(5);
    assert.ok(clock.monotonic() >= last + 5);
  });

  test("now moves with monotonic, as long as nobody sets it", async () => {
    const [wall, monotonic] = [clock.now(), clock.monotonic()];
    await pass(30);
    const drift = clock.now() - wall - (clock.monotonic() - monotonic);
    assert.ok(Math.abs(drift) < 1000, `${drift} ms apart`);
  });
}

function timerCases({ clock, pass }: ClockUnderTest): void {
  for (const ms of [0, 1, 7, 20]) {
    test(`after ${ms} ms calls back once, not before its time and never at once`, async () => {
      const startMs = clock.monotonic();
      const calledMs: number[] = [];
      clock.after(ms, () => calledMs.push(clock.monotonic()));
      assert.equal(calledMs.length, 0);
      await pass(ms + 60);
      assert.equal(calledMs.length, 1);
      assert.ok((calledMs[0] ?? 0) - startMs >= ms);
    });
  }

  test("a fraction of a millisecond is waited for too", async () => {
    for (let index = 0; index < 10; index++) {
      const startMs = clock.monotonic();
      let calledMs = 0;
      clock.after(1.7, () => {
        calledMs = clock.monotonic();
      });
      await pass(12);
      if (calledMs === 0) await pass(60);
      assert.ok(calledMs - startMs >= 1.7);
    }
  });

  test("a timer that was cancelled never calls back", async () => {
    let calls = 0;
    const cancel = clock.after(5, () => calls++);
    cancel();
    cancel();
    await pass(40);
    assert.equal(calls, 0);
  });

  test("cancelling after the call does nothing", async () => {
    let calls = 0;
    const cancel = clock.after(1, () => calls++);
    await pass(60);
    cancel();
    assert.equal(calls, 1);
  });

  test("a timer may cancel another that is due with it", async () => {
    const called: string[] = [];
    const cancels: (() => void)[] = [];
    cancels.push(clock.after(10, () => (called.push("first"), cancels[1]?.())));
    cancels.push(clock.after(10, () => (called.push("second"), cancels[0]?.())));
    await pass(80);
    assert.equal(called.length, 1);
  });
}

function orderCases({ clock, pass }: ClockUnderTest): void {
  test("timers call back in the order of their times", async () => {
    const called: number[] = [];
    for (const ms of [30, 5, 15]) clock.after(ms, () => called.push(ms));
    await pass(100);
    assert.deepEqual(called, [5, 15, 30]);
  });

  test("a timer may start the next", async () => {
    let rounds = 0;
    const again = () => {
      rounds += 1;
      if (rounds < 4) clock.after(2, again);
    };
    clock.after(2, again);
    await pass(100);
    assert.equal(rounds, 4);
  });

  for (const days of [24, 25, 50, 1000]) {
    test(`a timer of ${days} days does not fire at once`, async () => {
      let calls = 0;
      const cancel = clock.after(days * 86_400_000, () => calls++);
      await pass(20);
      cancel();
      assert.equal(calls, 0);
    });
  }
}

function deferCases({ clock, pass }: ClockUnderTest): void {
  test("defer calls back once, and not before the caller is done", async () => {
    let calls = 0;
    clock.defer(() => calls++);
    assert.equal(calls, 0);
    await pass(5);
    assert.equal(calls, 1);
  });

  test("defer comes behind promises that are already settled", async () => {
    const order: string[] = [];
    clock.defer(() => order.push("defer"));
    void Promise.resolve().then(() => order.push("promise"));
    await pass(5);
    assert.deepEqual(order, ["promise", "defer"]);
  });

  test("deferred calls keep their order", async () => {
    const order: number[] = [];
    for (const index of [1, 2, 3]) clock.defer(() => order.push(index));
    await pass(5);
    assert.deepEqual(order, [1, 2, 3]);
  });

  test("what a deferred call defers comes behind it", async () => {
    const order: string[] = [];
    clock.defer(() => {
      clock.defer(() => order.push("inner"));
      order.push("outer");
    });
    await pass(10);
    assert.deepEqual(order, ["outer", "inner"]);
  });
}

function randomCases(random: Random): void {
  for (const count of [0, 1, 16, 511, 512, 513, 4096, 10_000]) {
    test(`${count} bytes are ${count} bytes`, () => {
      assert.equal(random.bytes(count).length, count);
    });
  }

  test("bytes of two calls differ", () => {
    const seen = new Set<string>();
    for (let index = 0; index < 5000; index++) seen.add(Buffer.from(random.bytes(16)).toString("hex"));
    assert.equal(seen.size, 5000);
  });

  test("bytes that were given out stay as they are, and are nobody else's", () => {
    const given = Array.from({ length: 400 }, () => random.bytes(16));
    const copies = given.map((bytes) => bytes.slice());
    given[0]?.fill(0);
    for (let index = 0; index < 400; index++) random.bytes(100);
    assert.deepEqual(given.slice(1), copies.slice(1));
  });

  test("each bit is set about half the time", () => {
    const ones = new Array<number>(8).fill(0);
    for (const byte of random.bytes(40_000)) {
      for (let bit = 0; bit < 8; bit++) ones[bit] = (ones[bit] as number) + ((byte >> bit) & 1);
    }
    for (const count of ones) assert.ok(count > 19_000 && count < 21_000, `${count} of 40000`);
  });
}
