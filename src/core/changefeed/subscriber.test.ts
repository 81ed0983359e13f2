/**
 * The pure machine of one running, against a log and a sink that do anything: what the sink took, and what is recorded, must
 * be what a reader of the log would have expected.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ChangeItem, FeedLag } from "../../model/feeds.ts";
import { limitsWith } from "../../model/limits.ts";
import { readSubscriberAsk } from "../../model/subscriber-config.ts";
import type { SubscriberOrders, SubscriberTrouble } from "../../model/subscribers.ts";
import { hear, makeRun, nextOf, stopRun } from "./subscriber.ts";
import type { Next, Outcome, Run } from "./subscriber-steps.ts";

const limits = limitsWith();
const noLag: FeedLag = { records: 0, bytes: 0, seconds: 0 };
const length = 40;

const itemAt = (offset: number): ChangeItem => ({
  ...{ kind: "change", shard: 0, offset, index: 0, timeMs: 0, entity: { type: "t", key: "k" } },
  ...{ event: "e", eventVersion: 1, payload: offset, command: "c", requestId: undefined },
});

/** A log of `length` records with one item each, a subscriber's entity and a sink; cursors are offsets as text. */
class World {
  orders: SubscriberOrders;
  version = 1;
  now = 0;
  readonly arrived: number[] = [];
  readonly aside: number[] = [];
  readonly skipped: number[] = [];
  /** Where the open feed stands. */
  at = 1;
  isOpen = false;
  /** Offsets that the sink never takes. */
  readonly bad: ReadonlySet<number>;

  constructor(bad: ReadonlySet<number>, rejected: "park" | "aside", tries: number) {
    this.bad = bad;
    const ask = { form: "changes", sink: "s", start: "beginning", batchItems: 4, rejected, tries } as const;
    this.orders = {
      config: readSubscriberAsk(ask, { kind: "operator", id: "o" }, limits),
      ...{
        paused: false,
        trouble: null,
        cursor: null,
        mark: null,
        cursorMs: 0,
        rewinds: 0,
        asideOfStates: false,
        settled: 0,
        epoch: 0,
        node: "",
      },
      ...{ items: 0, batches: 0, aside: 0, again: [], createdMs: 0 },
    };
  }

  change(orders: Partial<SubscriberOrders>): void {
    this.orders = { ...this.orders, ...orders };
    this.version++;
  }

  /** What becomes of it. `failing`: the outside does not answer. */
  perform(next: Next, run: Run, failing: boolean): Outcome {
    this.now += next.kind === "wait" ? next.ms : 1;
    const failed = { kind: "failed", code: "unavailable", detail: "" } as const;
    switch (next.kind) {
      case "begin":
        this.change({ epoch: this.orders.epoch + 1 });
        return { kind: "begun", orders: this.orders, version: this.version };
      case "open": {
        assert.equal(this.isOpen, false, "what is open is closed first");
        if (failing) return failed;
        this.isOpen = true;
        this.at = Number(next.cursor ?? "1");
        return { kind: "opened", cursor: String(this.at), fresh: next.cursor === null || next.rewound };
      }
      case "seek":
        this.at = Number(next.cursor);
        return { kind: "done" };
      case "read": {
        if (failing) return failed;
        const items: ChangeItem[] = [];
        const from = String(this.at);
        while (this.at <= length && items.length < next.itemsMax) items.push(itemAt(this.at++));
        const batch = { items, from, cursor: String(this.at), readMs: this.now, whole: false };
        return { kind: "read", batch, records: items.length };
      }
      case "deliver":
        if (failing) return failed;
        if (next.batch.items.some(({ offset }) => this.bad.has(offset)))
          return { kind: "failed", code: "rejected", detail: "" };
        this.arrived.push(...next.batch.items.map(({ offset }) => offset));
        return { kind: "done" };
      case "close":
        this.isOpen = false;
        return { kind: "done" };
      default:
        return this.#record(next, run);
    }
  }

  #record(next: Next, run: Run): Outcome {
    if (next.kind !== "commit" && next.kind !== "trouble" && next.kind !== "set-aside") return { kind: "done" };
    const past =
      run.epoch !== this.orders.epoch || (run.opened?.rewinds ?? this.orders.rewinds) !== this.orders.rewinds;
    if (past) return { kind: "failed", code: "rejected", reason: "past", detail: "", version: this.version };
    if (next.kind === "trouble") this.change({ trouble: { ...next.trouble, sinceMs: this.now } as SubscriberTrouble });
    else if (next.kind === "commit") this.change({ cursor: next.cursor, settled: this.orders.rewinds });
    else {
      this.aside.push(...next.batch.items.map(({ offset }) => offset));
      this.change({ cursor: next.batch.cursor });
    }
    return { kind: "done", version: this.version };
  }

  /** What an operator does about a subscriber that is parked. */
  mend(): void {
    const { trouble } = this.orders;
    if (trouble === null || trouble.batch === null) return this.change({ trouble: null });
    const until = Number(trouble.batch.cursor);
    for (let offset = until - trouble.batch.items; offset < until; offset++) this.skipped.push(offset);
    this.change({ trouble: null, cursor: trouble.batch.cursor, rewinds: this.orders.rewinds + 1 });
  }
}

/** Runs it until it has nothing to do any more, and stops it. */
function runOut(
  world: World,
  failures: readonly boolean[],
  events: ReadonlyMap<number, "crash" | "pause" | "news">,
): void {
  let run = makeRun(world.orders, world.version, limits);
  let outcome: Outcome = { kind: "done" };
  const facts = () => ({ nowMs: world.now, chance: 0.5, lag: noLag });
  for (let step = 0; step < 5_000; step++) {
    const event = events.get(step);
    if (event === "crash") {
      // Whatever was under way is forgotten; the next running begins with what is recorded.
      world.isOpen = false;
      run = makeRun(world.orders, world.version, limits);
      outcome = { kind: "done" };
    }
    if (event === "pause") world.change({ paused: !world.orders.paused });
    hear(run, world.orders, world.version);
    const next = nextOf(run, outcome, facts());
    if (next.kind === "stop") return;
    if (next.kind === "rest") {
      if (world.orders.trouble !== null) world.mend();
      else if (world.orders.paused) world.change({ paused: false });
      else assert.fail("it rests although it is wanted");
    }
    const idle = next.kind === "read" && world.at > length && run.taken.items === 0 && step > 200;
    if (idle) stopRun(run);
    outcome = world.perform(next, run, failures[step % failures.length] === true && step < 200);
  }
  assert.fail("it does not come to an end");
}

test("everything arrives in order, or was set aside or skipped; and nothing is recorded that did not", () => {
  const world = fc.record({
    bad: fc.uniqueArray(fc.integer({ min: 1, max: length }), { maxLength: 5 }),
    rejected: fc.constantFrom("park" as const, "aside" as const),
    tries: fc.integer({ min: 1, max: 5 }),
    failures: fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
    events: fc.array(
      fc.tuple(fc.integer({ min: 0, max: 150 }), fc.constantFrom("crash" as const, "pause" as const, "news" as const)),
      { maxLength: 6 },
    ),
  });
  fc.assert(
    fc.property(world, ({ bad, rejected, tries, failures, events }) => {
      const it = new World(new Set(bad), rejected, tries);
      runOut(it, failures, new Map(events));
      const arrived = new Set(it.arrived);
      const { aside, skipped } = it;
      for (let offset = 1; offset <= length; offset++)
        assert.ok(arrived.has(offset) || aside.includes(offset) || skipped.includes(offset), `offset ${offset}`);
      for (const offset of bad) assert.equal(arrived.has(offset), false);
      if (rejected === "aside")
        assert.deepEqual(
          aside.filter((offset) => !bad.includes(offset)),
          [],
        );
      // Only a crash, or a batch that is read again to find what is refused, brings something twice.
      const crashed = events.some(([, event]) => event === "crash");
      if (!crashed) assert.equal(it.arrived.length, arrived.size, "nothing twice without a crash");
      if (!crashed)
        assert.deepEqual(
          it.arrived,
          [...it.arrived].sort((one, other) => one - other),
        );
      assert.equal(it.orders.cursor, String(length + 1), "at the end all of it is recorded");
      assert.equal(it.isOpen, false, "at the end nothing is open");
    }),
    { numRuns: 2_000 },
  );
});

test("a running that hears of a later one records nothing more, closes and rests", () => {
  const world = new World(new Set(), "park", 3);
  const run = makeRun(world.orders, world.version, limits);
  let outcome: Outcome = { kind: "done" };
  const seen: Next["kind"][] = [];
  for (let step = 0; step < 30; step++) {
    if (step === 8) {
      world.change({ epoch: 7 });
      assert.equal(hear(run, world.orders, world.version), true);
    }
    const next = nextOf(run, outcome, { nowMs: world.now, chance: 0, lag: noLag });
    if (step >= 8) seen.push(next.kind);
    outcome = world.perform(next, run, false);
  }
  assert.deepEqual(seen.slice(0, 2), ["close", "rest"]);
  assert.ok(seen.slice(1).every((kind) => kind === "rest"));
});

test("what the entity refuses as past is not tried again, and nothing is done until the orders are known", () => {
  const world = new World(new Set(), "park", 3);
  const run = makeRun(world.orders, world.version, limits);
  const facts = { nowMs: 0, chance: 0, lag: noLag };
  let next = nextOf(run, { kind: "done" }, facts);
  while (next.kind !== "commit") next = nextOf(run, world.perform(next, run, false), facts);
  world.change({ rewinds: 1, cursor: null });
  next = nextOf(run, world.perform(next, run, false), facts);
  assert.equal(next.kind, "close");
  assert.equal(nextOf(run, { kind: "done" }, facts).kind, "rest");
  hear(run, world.orders, world.version);
  const opened = nextOf(run, { kind: "done" }, facts);
  const { config } = world.orders;
  assert.deepEqual(opened, { kind: "open", cursor: null, mark: null, rewound: true, config, rewinds: 1 });
});

test("a rewind that comes while the sink is being opened is not taken for the one it was opened by", () => {
  const world = new World(new Set(), "park", 3);
  const run = makeRun(world.orders, world.version, limits);
  const facts = { nowMs: 0, chance: 0, lag: noLag };
  let next = nextOf(run, { kind: "done" }, facts);
  while (next.kind !== "open") next = nextOf(run, world.perform(next, run, false), facts);
  const outcome = world.perform(next, run, false);
  world.change({ rewinds: 1, cursor: null });
  hear(run, world.orders, world.version);
  assert.equal(nextOf(run, outcome, facts).kind, "close");
  const { config } = world.orders;
  assert.deepEqual(nextOf(run, { kind: "done" }, facts), {
    kind: "open",
    cursor: null,
    mark: null,
    rewound: true,
    config,
    rewinds: 1,
  });
});

test("a rewind that is heard before the answer of a commit is not taken for what was committed", () => {
  const world = new World(new Set(), "park", 3);
  const run = makeRun(world.orders, world.version, limits);
  const facts = { nowMs: 0, chance: 0, lag: noLag };
  let next = nextOf(run, { kind: "done" }, facts);
  while (next.kind !== "commit") next = nextOf(run, world.perform(next, run, false), facts);
  const outcome = world.perform(next, run, false);
  world.change({ rewinds: 1, cursor: null });
  hear(run, world.orders, world.version);
  assert.equal(nextOf(run, outcome, facts).kind, "close");
  const opened = nextOf(run, { kind: "done" }, facts);
  const { config } = world.orders;
  assert.deepEqual(opened, { kind: "open", cursor: null, mark: null, rewound: true, config, rewinds: 1 });
});

test("a resume that is heard before the answer of a trouble is not undone by it", () => {
  const world = new World(new Set([1]), "park", 3);
  const run = makeRun(world.orders, world.version, limits);
  const facts = { nowMs: 0, chance: 0, lag: noLag };
  let next = nextOf(run, { kind: "done" }, facts);
  while (next.kind !== "trouble") next = nextOf(run, world.perform(next, run, false), facts);
  const outcome = world.perform(next, run, false);
  world.change({ trouble: null });
  hear(run, world.orders, world.version);
  assert.equal(nextOf(run, outcome, facts).kind, "deliver");
});
