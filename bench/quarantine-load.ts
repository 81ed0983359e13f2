/**
 * The load of `quarantine.ts`, in a process of its own: a fixed rate of commands to 10,000 wallets on one connection, their
 * latency from the moment they were due, in phases that take turns: undisturbed, and with poison on another connection.
 *
 *     quarantine-load.ts <port> <rounds> <phase ms> <commands per second>
 *
 * Poison, per second: 100 commands whose decide throws, 2 decides over their budget (4 ms of 2), 50 commands to a parked
 * entity, one entity whose event cannot be evolved, one whose timer throws until it is parked; and an operator
 * who inspects, skips, repairs and resumes what is parked, what the replay had parked included.
 */
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { connect } from "holdfast/client";
import { WebSocket } from "ws";
import type { fragile } from "./fragile.ts";
import type { wallet } from "./wallet.ts";

const [port, roundsText, phaseText, rateText] = process.argv.slice(2) as [string, string, string, string];
const url = `http://127.0.0.1:${port}`;
const phaseMs = Number(phaseText);
const perMs = Number(rateText) / 1_000;
const open = () =>
  connect<{ wallet: typeof wallet; fragile: typeof fragile }>({
    url: `ws://127.0.0.1:${port}/v1/socket`,
    WebSocket: WebSocket as never,
  });
const steady = open();
const poison = open();
await Promise.all([steady.opened(), poison.opened()]);

let sequence = 0;
let failed = 0;

function command(histogram: RecordableHistogram | undefined, dueAt: number): void {
  const key = `w${(sequence++ * 7_919) % 10_000}`;
  steady
    .entity("wallet", key)
    .execute("credit", { amount: 5 })
    .then(
      () => histogram?.record(Math.max(1, Math.round((performance.now() - dueAt) * 1_000))),
      () => failed++,
    );
}

/** Open loop: what is late was due all the same. */
function phase(histogram: RecordableHistogram | undefined, beside: () => () => void): Promise<void> {
  const from = performance.now();
  let sent = 0;
  const end = beside();
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - from;
      for (const due = Math.min(elapsed, phaseMs) * perMs; sent < due; sent++) command(histogram, from + sent / perMs);
      if (elapsed < phaseMs) return;
      clearInterval(timer);
      end();
      setTimeout(resolve, 300);
    }, 1);
  });
}

const counts = {
  threw: 0,
  overBudget: 0,
  refused: 0,
  burst: 0,
  inspect: 0,
  skip: 0,
  repair: 0,
  resume: 0,
  verbsFailed: 0,
};
let fresh = 0;

async function operator(method: string, path: string, body?: unknown): Promise<{ ok: boolean; json: unknown }> {
  const headers = { authorization: "Bearer olga", "content-type": "application/json" };
  const response = await fetch(`${url}/v1/operator/quarantine${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { ok: response.ok, json: await response.json() };
}

interface ParkedEntry {
  readonly entity: { readonly type: string; readonly key: string };
  readonly why: string;
}

/** Deals with the first that is parked, except with the one that is to stay so. */
async function operate(): Promise<void> {
  const { parked } = (await operator("GET", "")).json as { parked: ParkedEntry[] };
  const entry = parked.find(({ entity }) => entity.key !== "stays");
  if (entry === undefined) return;
  const path = `/${entry.entity.type}/${entry.entity.key}`;
  const repairs = entry.why === "evolve";
  const verbs = ["inspect", repairs ? "repair" : "skip", "resume"] as const;
  for (const verb of verbs) {
    const body = verb === "repair" ? { state: { sum: 0, text: "whole" } } : undefined;
    const { ok } = await operator("POST", `${path}/${verb}`, body);
    if (ok) counts[verb]++;
    else counts.verbsFailed++;
  }
}

function every(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms);
  return () => clearInterval(timer);
}

function poisoned(): () => void {
  const at = (key: string) => poison.entity("fragile", key);
  const ends = [
    every(
      10,
      () =>
        void at("throws")
          .execute("throw")
          .catch(() => counts.threw++),
    ),
    every(
      500,
      () =>
        void at("slow")
          .execute("spin", { ms: 4 })
          .then(
            () => counts.overBudget++,
            () => {},
          ),
    ),
    every(
      20,
      () =>
        void at("stays")
          .execute("add")
          .catch(() => counts.refused++),
    ),
    every(
      1_000,
      () =>
        void at(`burst${fresh++}`)
          .execute("burst")
          .catch(() => counts.burst++),
    ),
    every(
      1_000,
      () =>
        void at(`timer${fresh++}`)
          .execute("throwLater")
          .catch(() => {}),
    ),
    every(250, () => void operate().catch(() => counts.verbsFailed++)),
  ];
  return () => {
    for (const end of ends) end();
  };
}

const nothing = () => () => {};
for (let index = 0; index < 10_000; index += 100)
  await Promise.all(
    Array.from({ length: 100 }, (_, at) => steady.entity("wallet", `w${index + at}`).execute("credit", { amount: 5 })),
  );
await poison
  .entity("fragile", "stays")
  .execute("burst")
  .catch(() => {});
await phase(undefined, nothing);
await phase(undefined, poisoned);
const rounds: object[] = [];
const pooled = { calm: createHistogram(), poisoned: createHistogram() };
for (let round = 0; round < Number(roundsText); round++) {
  const figures: Record<string, number> = {};
  const phases = [
    ["calm", nothing],
    ["poisoned", poisoned],
  ] as const;
  // every other round the other way about, so that what gets slower with time weighs on both
  for (const [name, beside] of round % 2 === 0 ? phases : phases.toReversed()) {
    const histogram = createHistogram();
    await phase(histogram, beside);
    pooled[name].add(histogram);
    figures[`${name}P50Ms`] = histogram.percentile(50) / 1_000;
    figures[`${name}P99Ms`] = histogram.percentile(99) / 1_000;
    figures[`${name}MaxMs`] = histogram.max / 1_000;
  }
  rounds.push(figures);
}
const pooledP99Ms = { calm: pooled.calm.percentile(99) / 1_000, poisoned: pooled.poisoned.percentile(99) / 1_000 };
process.send?.({ rounds, pooledP99Ms, counts, failed });
await Promise.all([steady.close(), poison.close()]);
process.disconnect?.();
