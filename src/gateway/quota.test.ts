/** What must hold of creation quotas. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsWith } from "../model/limits.ts";
import type { Principal } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import { CreateQuota } from "./quota.ts";

class HandClock implements Clock {
  ms = 0;
  now = (): number => this.ms;
  monotonic = (): number => this.ms;
  after = (): (() => void) => () => {};
  defer = (): void => {};
}

const user = (id: string): Principal => ({ kind: "user", id });

test("what is in flight counts as created until it turns out not to be", () => {
  const quota = new CreateQuota(new HandClock(), limitsWith({ createsPerMinuteMax: 2 }));
  const first = quota.reserve(user("ann"));
  const second = quota.reserve(user("ann"));
  assert.ok(first && second);
  assert.equal(quota.reserve(user("ann")), undefined);
  assert.ok(quota.reserve(user("bob")), "others have their own");
  quota.settle(first, true);
  assert.equal(quota.reserve(user("ann")), undefined);
  quota.settle(second, false);
  assert.ok(quota.reserve(user("ann")));
});

test("a principal of another kind with the same id has its own quota", () => {
  const quota = new CreateQuota(new HandClock(), limitsWith({ createsPerMinuteMax: 1 }));
  assert.ok(quota.reserve(user("ann")));
  assert.ok(quota.reserve({ kind: "service", id: "ann" }));
});

test("a minute later there is room again, less what is still in flight", () => {
  const clock = new HandClock();
  const quota = new CreateQuota(clock, limitsWith({ createsPerMinuteMax: 2 }));
  quota.settle(quota.reserve(user("ann")), true);
  quota.reserve(user("ann"));
  clock.ms = 59_999;
  assert.equal(quota.reserve(user("ann")), undefined);
  clock.ms = 60_000;
  assert.ok(quota.reserve(user("ann")));
  assert.equal(quota.reserve(user("ann")), undefined);
});

test("a million principals are not remembered, and one with something in flight is not forgotten", () => {
  const quota = new CreateQuota(new HandClock(), limitsWith({ createsPerMinuteMax: 1, quotasMax: 100 }));
  const held = quota.reserve(user("held"));
  for (let index = 0; index < 10_000; index++) quota.settle(quota.reserve(user(`user-${index}`)), true);
  assert.ok(quota.size <= 101, `${quota.size} remembered`);
  assert.equal(quota.reserve(user("held")), undefined);
  quota.settle(held, true);
});
