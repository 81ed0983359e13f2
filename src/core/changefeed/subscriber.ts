/**
 * One running of a durable subscriber: what is to be done next, from what became of what was done last.
 *
 *   begin -> open -> read -> deliver -> (commit) -> read ...      one thing at a time
 *
 * The shell performs one `Next` and comes back with its `Outcome`. Time, chance and lag come with it.
 *
 * Invariants:
 * 1. A batch is delivered until it was taken, was set aside, or the subscriber is parked in front of it: nothing is passed over.
 * 2. `place` stands behind what was taken, and only such a place is committed; always before a running rests or stops,
 *    unless a later running took over.
 * 3. What was taken and not committed is at most one `commitMs` and one batch: it comes again after a crash.
 * 4. A running that was told of a later one does nothing more.
 */
import type { FeedLag } from "../../model/feeds.ts";
import type { Offset } from "../../model/ids.ts";
import type { SubscriberConfig, SubscriberOrders, SubscriberTrouble } from "../../model/subscribers.ts";
import { backoff } from "../alarms.ts";
import { afterFailedDelivery, afterOpenFailed, afterReadFailed, afterRefusedRecord } from "./subscriber-failures.ts";
import type { Facts, Next, Outcome, Run, RunBatch, RunLimits } from "./subscriber-steps.ts";

type Open = Extract<Next, { kind: "open" }>;

/** A read that nobody waits to record the result of; news of the orders end it. */
const idleMs = 30_000;

export function makeRun(orders: SubscriberOrders, version: Offset, limits: RunLimits): Run {
  return {
    limits,
    orders,
    heard: version,
    due: 0,
    epoch: 0,
    opened: undefined,
    place: undefined,
    placeMs: 0,
    fresh: false,
    taken: { items: 0, batches: 0, records: 0 },
    committedMs: 0,
    batch: undefined,
    narrow: 0,
    urgent: undefined,
    failures: 0,
    waitMs: 0,
    waiting: false,
    lastError: null,
    allowed: undefined,
    stopping: false,
    past: false,
    last: { kind: "rest" },
  };
}

/** The orders as they are now. @returns what is being waited for should be let be */
export function hear(run: Run, orders: SubscriberOrders, version: Offset): boolean {
  if (version < run.heard || orders.epoch < run.epoch) return false;
  run.orders = orders;
  run.heard = version;
  if (run.epoch > 0 && orders.epoch > run.epoch) run.past = true;
  const replays = run.last.kind === "read" && orders.again.length > 0;
  return run.past || !isWanted(run) || isStale(run) || run.last.kind === "rest" || replays;
}

/** From now on it commits, closes and stops. */
export function stopRun(run: Run): void {
  run.stopping = true;
}

function isWanted({ orders, stopping, past, heard, due }: Run): boolean {
  return !stopping && !past && heard >= due && orders.config !== null && !orders.paused && orders.trouble === null;
}

/** What is open is not what is ordered. */
function isStale({ opened, orders }: Run): boolean {
  return opened !== undefined && (opened.rewinds !== orders.rewinds || opened.config !== JSON.stringify(orders.config));
}

/** What is to be done next. */
export function nextOf(run: Run, outcome: Outcome, facts: Facts): Next {
  take(run, outcome, facts);
  run.last = plan(run, facts);
  return run.last;
}

function take(run: Run, outcome: Outcome, facts: Facts): void {
  const { last } = run;
  run.waiting = false;
  if (outcome.kind === "failed") return fail(run, last, outcome);
  switch (last.kind) {
    case "begin":
      if (outcome.kind !== "begun") return;
      run.epoch = outcome.orders.epoch;
      hear(run, outcome.orders, outcome.version);
      return succeeded(run);
    case "open":
      if (outcome.kind !== "opened") return;
      opened(run, last, outcome, facts);
      return succeeded(run);
    case "read":
      if (outcome.kind === "read") read(run, outcome, facts);
      return;
    case "deliver":
      if (run.batch !== undefined) pass(run, run.batch);
      run.taken.batches++;
      return succeeded(run);
    case "replay":
      run.urgent = { kind: "replayed", id: last.id, refused: null };
      return;
    case "seek":
      run.urgent = undefined;
      return;
    default:
      if (outcome.kind !== "done" || outcome.version === undefined) return;
      recorded(run, last, { version: outcome.version, mark: outcome.mark ?? null }, facts);
  }
}

/** The entity took a record of ours; what it says is known before the news of it. */
function recorded(
  run: Run,
  last: Next,
  { version, mark }: { version: Offset; mark: string | null },
  facts: Facts,
): void {
  if (last.kind === "set-aside") pass(run, last.batch);
  if (last.kind === "commit" || last.kind === "set-aside") committed(run, facts);
  if (last.kind !== "commit") run.urgent = undefined;
  if (last.kind === "begin-again") run.due = version;
  // What was heard before the answer tells this record too, and what came after it: a rewind, or that somebody resumed it.
  if (version > run.heard) run.orders = { ...run.orders, ...changeOf(run.orders, last, mark) };
  if (last.kind !== "begin-again") run.heard = Math.max(run.heard, version);
  if (run.batch === undefined) succeeded(run);
}

/** What a record of ours changes in the orders. */
function changeOf({ rewinds, again }: SubscriberOrders, last: Next, mark: string | null): Partial<SubscriberOrders> {
  switch (last.kind) {
    case "commit":
      return { cursor: last.cursor, mark, cursorMs: last.cursorMs, settled: rewinds };
    case "set-aside":
      return { cursor: last.batch.cursor, mark, cursorMs: last.batch.readMs };
    case "trouble":
      return { trouble: { ...last.trouble, sinceMs: 0 } };
    case "replayed":
      return { again: again.filter(({ id }) => id !== last.id) };
    default:
      return {};
  }
}

function succeeded(run: Run): void {
  run.failures = 0;
  run.lastError = null;
}

function opened(run: Run, by: Open, { cursor, fresh }: Extract<Outcome, { kind: "opened" }>, facts: Facts): void {
  const { cursorMs } = run.orders;
  run.opened = { config: JSON.stringify(by.config), rewinds: by.rewinds };
  run.place = cursor;
  run.placeMs = cursorMs;
  run.fresh = fresh;
  run.committedMs = facts.nowMs;
  run.batch = undefined;
  run.narrow = 0;
  run.allowed = undefined;
  Object.assign(run.taken, { items: 0, batches: 0, records: 0 });
}

function read(run: Run, { batch, records }: Extract<Outcome, { kind: "read" }>, facts: Facts): void {
  run.taken.records += records;
  succeeded(run);
  // What it is behind when it comes back it may take its time for; but not fall further back.
  run.allowed ??= { records: facts.lag.records, seconds: facts.lag.seconds };
  if (batch.items.length > 0) {
    run.batch = batch;
    return;
  }
  run.place = batch.cursor;
  run.placeMs = batch.readMs;
  run.narrow = 0;
}

/** The batch is behind us. */
function pass(run: Run, batch: RunBatch): void {
  run.place = batch.cursor;
  run.placeMs = batch.readMs;
  run.taken.items += batch.items.length;
  if (run.narrow === Number.POSITIVE_INFINITY && !batch.whole) run.narrow = 0;
  run.narrow = Math.max(0, run.narrow - batch.items.length);
  run.batch = undefined;
}

function committed(run: Run, { nowMs }: Facts): void {
  run.fresh = false;
  run.committedMs = nowMs;
  Object.assign(run.taken, { items: 0, batches: 0, records: 0 });
}

function fail(run: Run, last: Next, failure: Extract<Outcome, { kind: "failed" }>): void {
  run.lastError = `${failure.code}: ${failure.detail}`;
  run.waitMs = failure.retryAfterMs ?? 0;
  // It was deleted meanwhile: there is no policy any more, and nothing to try again.
  const isWork = ["open", "read", "seek", "deliver", "replay"].includes(last.kind);
  if (isWork && run.orders.config === null) return;
  switch (last.kind) {
    case "open":
      return afterOpenFailed(run, failure);
    case "read":
    case "seek":
      return afterReadFailed(run, failure);
    case "deliver":
    case "replay":
      return afterFailedDelivery(run, last, failure);
    default:
      return afterRefusedRecord(run, last, failure);
  }
}

function plan(run: Run, facts: Facts): Next {
  if (run.past) return run.opened === undefined ? ended(run) : closed(run);
  if (!isWanted(run) || isStale(run)) {
    if (run.opened === undefined) return isWanted(run) ? begin(run, facts) : ended(run);
    // A commit that has just failed is given up: what it stood for comes again.
    const gaveUp = run.last.kind === "commit" && run.waiting;
    if (isDirty(run) && !isStaleCursor(run) && !gaveUp) return commit(run);
    return closed(run);
  }
  return run.opened === undefined ? begin(run, facts) : work(run, facts);
}

function begin(run: Run, facts: Facts): Next {
  if (run.waiting) return wait(run, facts);
  const { urgent } = run;
  if ((urgent?.kind === "trouble" || urgent?.kind === "begin-again") && run.epoch > 0) return urgent;
  if (run.epoch === 0) return { kind: "begin" };
  const { cursor, mark, rewinds, settled } = run.orders;
  const config = run.orders.config as SubscriberConfig;
  return { kind: "open", cursor, mark, rewound: rewinds !== settled, config, rewinds };
}

function work(run: Run, facts: Facts): Next {
  const { orders, taken, limits } = run;
  const config = orders.config as SubscriberConfig;
  const isFurther = run.allowed !== undefined && isFurtherBehind(config, run.allowed, facts.lag);
  if (config.slow === "park" && run.urgent === undefined && isFurther) {
    run.urgent = { kind: "trouble", trouble: laggingTrouble(facts.lag) };
    run.waiting = false;
  }
  if (run.waiting) return wait(run, facts);
  if (run.fresh || (run.urgent !== undefined && run.urgent.kind !== "seek" && isDirty(run))) return commit(run);
  if (run.urgent !== undefined) return run.urgent;
  if (isCommitDue(run, facts)) return commit(run);
  if (run.batch !== undefined) return { kind: "deliver", batch: run.batch };
  const again = orders.again[0];
  if (again !== undefined && run.place !== undefined) return { kind: "replay", id: again.id, cursor: run.place };
  const sinceMs = facts.nowMs - run.committedMs;
  const leftMs = taken.items === 0 ? idleMs : Math.max(0, limits.subscriberCommitMs - sinceMs);
  return { kind: "read", itemsMax: run.narrow > 0 ? 1 : config.batchItems, waitMs: leftMs };
}

function isDirty({ taken, fresh, place }: Run): boolean {
  return place !== undefined && (fresh || taken.items > 0);
}

/** What was opened before the last rewind moves no cursor any more. */
function isStaleCursor({ opened, orders }: Run): boolean {
  return orders.config === null || opened?.rewinds !== orders.rewinds;
}

function isCommitDue({ taken, limits, committedMs, batch }: Run, { nowMs }: Facts): boolean {
  // While a batch is tried nothing new was taken; the place stands where it stood.
  if (batch === undefined && taken.records >= limits.subscriberIdleRecords && taken.items === 0) return true;
  return taken.items > 0 && nowMs - committedMs >= limits.subscriberCommitMs;
}

type Lag = Pick<FeedLag, "records" | "seconds">;

/** It is further behind than its bounds; one that came from beyond them (`allowed`) has fallen as far again. */
export function isFurtherBehind({ lagRecords, lagMs }: SubscriberConfig, allowed: Lag, lag: FeedLag): boolean {
  // Time goes on and records come while its first batch is on the way: where it was is no bound for catching up.
  const most = (bound: number, was: number) => (was > bound ? was + bound : bound);
  return lag.records > most(lagRecords, allowed.records) || lag.seconds * 1_000 > most(lagMs, allowed.seconds * 1_000);
}

/** What it is parked for then. */
export function laggingTrouble({ records, seconds }: FeedLag): Omit<SubscriberTrouble, "sinceMs"> {
  const detail = `It was ${records} records and ${Math.round(seconds)} s behind.`;
  return { kind: "parked", code: "lagging", detail, batch: null };
}

/** It is further behind than its bounds. */
export function isLagging({ lagRecords, lagMs }: SubscriberConfig, lag: FeedLag): boolean {
  return lag.records > lagRecords || lag.seconds * 1_000 > lagMs;
}

function commit(run: Run): Next {
  const { taken, place, placeMs } = run;
  return {
    kind: "commit",
    cursor: place as string,
    cursorMs: placeMs,
    items: taken.items,
    batches: taken.batches,
  };
}

function closed(run: Run): Next {
  run.opened = undefined;
  run.batch = undefined;
  run.narrow = 0;
  run.urgent = undefined;
  run.failures = 0;
  return { kind: "close" };
}

function ended(run: Run): Next {
  return { kind: run.stopping ? "stop" : "rest" };
}

/** Half of the wait is by chance, so that those who failed together do not come together. */
function wait({ failures, waitMs }: Run, { chance }: Facts): Next {
  const ms = backoff(Math.max(0, failures - 1));
  return { kind: "wait", ms: Math.max(waitMs, ms / 2 + (ms / 2) * chance) };
}
