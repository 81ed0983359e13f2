/**
 * Runs many seeds in worker processes.
 *
 * Invariant: a worker that says nothing for too long is ended, and the seed it was at has failed.
 */
import { type ChildProcess, fork } from "node:child_process";
import { systemClock } from "../adapters/system/clock.ts";
import { addDamage, type DamageCounts } from "./damage.ts";
import type { SimKind } from "./seeds.ts";
import type { Order, SeedReport, WorkerMessage } from "./worker.ts";
import { type Counts, noCounts } from "./world.ts";

export interface CampaignOptions {
  readonly from: number;
  readonly seeds: number;
  readonly engine: SimKind | undefined;
  readonly workers: number;
  /** Ends when the first seed failed. */
  readonly untilFound?: boolean;
  /** Name of a planted bug for the workers. */
  readonly planted?: string;
  readonly onSeed?: (report: SeedReport) => void;
}

export interface CampaignResult {
  readonly seeds: number;
  readonly elapsedMs: number;
  readonly failures: readonly SeedReport[];
  readonly byEngine: Readonly<Record<SimKind, number>>;
  readonly counts: Readonly<Counts>;
  readonly damage: DamageCounts;
  readonly simulatedMs: number;
}

const chunkSeeds = 50;
/** Far more than any seed takes on a busy machine. */
const silentMsMax = 60_000;

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const startMs = systemClock.monotonic();
  const sum = { seeds: 0, simulatedMs: 0 };
  const counts = noCounts();
  const damage: DamageCounts = {};
  const byEngine = { log: 0, disk: 0, cluster: 0 };
  const failures: SeedReport[] = [];
  let next = options.from;
  const until = options.from + options.seeds;
  const take = (): Order | undefined => {
    if (next >= until || (options.untilFound === true && failures.length > 0)) return undefined;
    const from = next;
    next = Math.min(until, next + chunkSeeds);
    return { from, until: next, engine: options.engine, untilFound: options.untilFound === true };
  };
  const note = (report: SeedReport) => {
    sum.seeds++;
    addDamage(damage, report.damage);
    for (const name of Object.keys(counts) as (keyof Counts)[]) counts[name] += report[name];
    sum.simulatedMs += report.simulatedMs;
    byEngine[report.engine]++;
    if (report.promise !== undefined) failures.push(report);
    options.onSeed?.(report);
  };
  const workers = Array.from({ length: options.workers }, () => employ(options, take, note));
  await Promise.all(workers);
  return { ...sum, counts, damage, byEngine, failures, elapsedMs: systemClock.monotonic() - startMs };
}

/** One worker after the other, until there is nothing left to do. */
async function employ(
  options: CampaignOptions,
  take: () => Order | undefined,
  note: (report: SeedReport) => void,
): Promise<void> {
  for (let order = take(); order !== undefined; ) {
    const left = await work(options, order, take, note);
    // it ended in the middle: the seed it was at failed, another worker goes on behind it
    order = left === undefined ? undefined : left.from < left.until ? left : take();
  }
}

/** @returns what the worker left of its order when it ended by itself or was ended */
function work(
  { planted, engine }: CampaignOptions,
  first: Order,
  take: () => Order | undefined,
  note: (report: SeedReport) => void,
): Promise<Order | undefined> {
  return new Promise((resolve) => {
    const worker = start(planted);
    let order: Order | undefined = first;
    let given = false;
    let at = first.from;
    let stopWaiting = () => {};
    let why = "the worker ended";
    const wait = () => {
      stopWaiting();
      stopWaiting = systemClock.after(silentMsMax, () => {
        why = `nothing happened for ${silentMsMax / 1000} s of real time`;
        worker.kill("SIGKILL");
      });
    };
    const give = (next: Order | undefined) => {
      order = next;
      if (next === undefined) return worker.disconnect();
      at = next.from;
      worker.send(next);
    };
    worker.on("message", (message: WorkerMessage) => {
      wait();
      if (message.kind === "ready") {
        give(given ? take() : order);
        given = true;
      } else {
        at = message.seed + 1;
        note(message);
      }
    });
    worker.on("exit", () => {
      stopWaiting();
      if (order === undefined) return resolve(undefined);
      note(failed(at, engine ?? "log", why));
      resolve({ ...order, from: at + 1 });
    });
    wait();
  });
}

function start(planted: string | undefined): ChildProcess {
  const hook = planted === undefined ? [] : ["--import", new URL("planted/plant.ts", import.meta.url).href];
  return fork(new URL("worker.ts", import.meta.url), {
    execArgv: ["--conditions=source", ...hook],
    env: { ...process.env, ...(planted === undefined ? {} : { HOLDFAST_PLANTED: planted }) },
  });
}

function failed(seed: number, engine: SimKind, detail: string): SeedReport {
  const counts = { ...noCounts(), damage: {}, simulatedMs: 0 };
  return { kind: "seed", seed, engine, traceHash: "", promise: "a run comes to an end", detail, ...counts };
}
