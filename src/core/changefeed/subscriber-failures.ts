/**
 * What a running does about what failed outside: tries again, parks the subscriber, sets a record aside, begins again.
 *
 * Invariant: what another attempt may mend is tried again; of the rest nothing is passed over silently.
 */
import type { SubscriberConfig, SubscriberTrouble, TroubledBatch } from "../../model/subscribers.ts";
import type { Next, Outcome, Run, RunBatch } from "./subscriber-steps.ts";

type Failure = Extract<Outcome, { kind: "failed" }>;

/** Codes that no second attempt mends: somebody has to change the subscriber, the code or the sink. */
const forGood: ReadonlySet<string> = new Set([
  "invalid-configuration",
  "invalid-input",
  "invalid-cursor",
  "unknown-type",
  "unknown-view",
  "forbidden",
  "fenced",
  "log-damaged",
]);

export function afterOpenFailed(run: Run, failure: Failure): void {
  if (failure.code === "cursor-lost") return lost(run, failure);
  if (forGood.has(failure.code)) return trouble(run, "parked", failure, null);
  again(run);
}

export function afterReadFailed(run: Run, failure: Failure): void {
  if (failure.code === "cursor-lost") return lost(run, failure);
  if (forGood.has(failure.code)) return trouble(run, "parked", failure, null);
  if (run.place !== undefined) run.urgent = { kind: "seek", cursor: run.place };
  again(run);
}

export function afterFailedDelivery(run: Run, last: Next, failure: Failure): void {
  if (last.kind === "replay") return afterFailedReplay(run, last.id, failure);
  const { batch } = run;
  if (batch === undefined) return;
  const aside = configOf(run).rejected === "aside" || (batch.whole && run.orders.asideOfStates);
  if (failure.code === "rejected" && aside) return narrowDown(run, batch, failure);
  if (failure.code === "rejected" || forGood.has(failure.code)) return trouble(run, "parked", failure, batch);
  again(run);
  if (run.failures >= configOf(run).tries) trouble(run, "parked", failure, batch);
}

function afterFailedReplay(run: Run, id: number, failure: Failure): void {
  // Not there any more, or still refused: it stays aside, with the reason.
  const stays = failure.code === "rejected" || failure.code === "cursor-lost";
  if (stays) run.urgent = { kind: "replayed", id, refused: `${failure.code}: ${failure.detail}` };
  else if (forGood.has(failure.code)) trouble(run, "parked", failure, null);
  else again(run);
}

/** The entity took no record of ours. */
export function afterRefusedRecord(run: Run, last: Next, failure: Extract<Outcome, { kind: "failed" }>): void {
  const { reason, version, detail } = failure;
  if (last.kind === "set-aside" && reason === "aside-full") {
    return trouble(run, "parked", { kind: "failed", code: reason, detail: last.detail }, last.batch);
  }
  if (reason === "past" || reason === "not-found") {
    // It was rewound or deleted, or a later running has begun: the orders tell which, and nothing of this opening counts.
    run.urgent = undefined;
    run.fresh = false;
    Object.assign(run.taken, { items: 0, batches: 0, records: 0 });
    run.due = version ?? run.heard + 1;
    return;
  }
  run.lastError = `${failure.code}: ${detail}`;
  run.failures++;
  run.waiting = true;
}

/** Reads the batch again, record by record, until the one is alone that the sink refuses. */
function narrowDown(run: Run, batch: RunBatch, failure: Failure): void {
  const first = batch.items[0];
  const alone = batch.items.every(({ shard, offset }) => shard === first?.shard && offset === first.offset);
  run.failures = 0;
  if (alone) {
    run.urgent = { kind: "set-aside", batch, detail: failure.detail };
  } else {
    run.narrow = batch.whole ? Number.POSITIVE_INFINITY : batch.items.length;
    run.batch = undefined;
    run.urgent = { kind: "seek", cursor: batch.from };
  }
}

function lost(run: Run, failure: Failure): void {
  if (configOf(run).slow !== "conflate") return trouble(run, "failed", failure, null);
  // What changed meanwhile is in the present states; so it goes on with all of them.
  run.urgent = { kind: "begin-again" };
}

function again(run: Run): void {
  run.failures++;
  run.waiting = true;
}

function configOf(run: Run): SubscriberConfig {
  return run.orders.config as SubscriberConfig;
}

function shownOf(batch: RunBatch | null): TroubledBatch | null {
  const first = batch?.items[0];
  if (batch === null || first === undefined) return null;
  const shown = { items: batch.items.length, first: `${first.shard}-${first.offset}`, cursor: batch.cursor };
  return batch.whole ? { ...shown, ofStates: true } : shown;
}

function trouble(run: Run, kind: SubscriberTrouble["kind"], { code, detail }: Failure, batch: RunBatch | null): void {
  run.waiting = false;
  run.urgent = { kind: "trouble", trouble: { kind, code, detail, batch: shownOf(batch) } };
}
