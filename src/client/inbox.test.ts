/** The slices in which a client hands over what it was sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../ports/clock.ts";
import { Inbox } from "./inbox.ts";
import { clientLimits } from "./limits.ts";

/** A clock whose turns the test takes. */
function makeTurns() {
  const deferred: (() => void)[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: () => () => {},
    defer: (callback) => void deferred.push(callback),
  };
  return {
    clock,
    next: () => {
      for (const callback of deferred.splice(0)) callback();
    },
    get waiting() {
      return deferred.length;
    },
  };
}

function fill(inbox: Inbox<number>, from: number, to: number): void {
  for (let message = from; message < to; message++) inbox.push(message);
  inbox.turn();
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

test("a large frame is handed over in slices, a turn between them, in order", () => {
  const turns = makeTurns();
  const taken: number[] = [];
  const inbox = new Inbox<number>(turns.clock, (message) => taken.push(message));
  fill(inbox, 0, 2 * clientLimits.inboxSlice + 1);
  assert.equal(taken.length, clientLimits.inboxSlice);
  turns.next();
  assert.equal(taken.length, 2 * clientLimits.inboxSlice);
  fill(inbox, taken.length + 1, taken.length + 3);
  turns.next();
  assert.deepEqual(taken, upTo(2 * clientLimits.inboxSlice + 3));
  assert.equal(turns.waiting, 0, "nothing is scheduled for nothing");
});

test("over its limit an inbox hands everything over at once", () => {
  const turns = makeTurns();
  const taken: number[] = [];
  const inbox = new Inbox<number>(turns.clock, (message) => taken.push(message));
  fill(inbox, 0, clientLimits.inboxMax);
  fill(inbox, clientLimits.inboxMax, 2 * clientLimits.inboxMax);
  assert.deepEqual(taken, upTo(2 * clientLimits.inboxMax));
  turns.next();
  assert.equal(taken.length, 2 * clientLimits.inboxMax, "a turn that comes afterwards has nothing to do");
});

test("drain hands over what waits, clear forgets it, also from inside", () => {
  const turns = makeTurns();
  const taken: number[] = [];
  const inbox: Inbox<number> = new Inbox<number>(turns.clock, (message) => {
    taken.push(message);
    if (message === 99) inbox.clear();
  });
  fill(inbox, 0, 90);
  inbox.drain();
  assert.deepEqual(taken, upTo(90));
  turns.next();
  fill(inbox, 90, 200);
  inbox.drain();
  turns.next();
  assert.deepEqual(taken, upTo(100));
});
