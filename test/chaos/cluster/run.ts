/**
 * One run: nodes are started, clients work, faults strike, everything heals, everybody is asked once more, and the log is read.
 *
 * Invariant: a run leaves no process behind; what it is judged by is all in `evidence`.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { PostgresServer } from "../../../src/adapters/postgres/server.harness.ts";
import { freePorts } from "../../../src/adapters/system/program.harness.ts";
import { temporaryDirectory } from "../../../src/adapters/system/temporary.ts";
import { shardOf } from "../../../src/model/ids.ts";
import { planFaults } from "./faults.ts";
import { readLog } from "./log-reader.ts";
import type { End, Network } from "./network.ts";
import { Recorder } from "./record.ts";
import { type Counts, Stage } from "./stage.ts";
import { type Arrangement, type NodeSettings, prepareSubject } from "./subject.ts";
import { type Evidence, type Judgement, judge } from "./verdict.ts";
import { Workload } from "./workload.ts";

export interface RunOptions {
  readonly arrangement: Arrangement;
  readonly seed: number;
  readonly ms: number;
  readonly nodes: number;
  readonly leaseMs: number;
  /** Beyond two leases: to start processes on a machine that is busy, to recover, and for a client to find its way. */
  readonly recoveryMs: number;
  readonly server: PostgresServer;
  readonly network: Network | undefined;
  readonly planted?: NonNullable<NodeSettings["planted"]>;
  readonly trace?: (line: string) => void;
}

export interface RunResult extends Judgement {
  readonly counts: Counts;
  /** From the end of all faults until every shard had accepted a command. */
  readonly servedAgainMs: number;
  readonly ends: readonly string[];
  readonly evidence: Evidence;
}

const shardCount = 32;
const quietAttempts = 6;

export async function runOnce(options: RunOptions): Promise<RunResult> {
  const { seed, server } = options;
  using directory = temporaryDirectory();
  const connection = await server.database();
  const settings = await settingsOf(options, connection, directory.path);
  await prepareSubject(settings, { connection, shardCount, players: Workload.players });
  // Only in a cluster a node knows when it is not the owner any more.
  const clientsHold = options.arrangement === "cluster";
  const stage = new Stage({ ...options, settings, clientsHold });
  const recorder = new Recorder();
  let workload: Workload | undefined;
  try {
    await stage.start();
    // In a takeover only the balancer knows who is meant to serve.
    const doors =
      options.arrangement === "cluster" ? settings.map(({ host, door }) => `http://${host}:${door.port}`) : [];
    workload = new Workload({ url: await stage.url(), doors, seed, recorder });
    await workload.start();
    await strike(options, stage);
    await stage.heal();
    options.trace?.("  all faults are over");
    const healedMs = performance.now();
    const started = stage.start();
    const boundMs = 2 * options.leaseMs + options.recoveryMs;
    const unserved = await untilServed(workload, recorder, healedMs + boundMs);
    const servedAgainMs = performance.now() - healedMs;
    await started;
    for (const late of lateProbes(recorder, healedMs)) options.trace?.(late);
    await workload.stop();
    await lastReads(workload, recorder);
    const evidence = await quietEvidence(stage, connection, recorder);
    const judgement = judge(evidence);
    const violations = [...judgement.violations, ...stage.violations];
    if (unserved.length > 0) violations.push(`not served again within ${boundMs} ms: ${unserved.join(", ")}`);
    if (judgement.inFlight > 0) violations.push(`${judgement.inFlight} are still under way at rest`);
    const { counts, ends } = stage;
    return { ...judgement, violations, counts, ends, servedAgainMs, evidence };
  } finally {
    await workload?.close();
    await stage.close();
  }
}

async function settingsOf(options: RunOptions, connection: string, directory: string): Promise<NodeSettings[]> {
  const { arrangement, nodes, network, leaseMs, planted } = options;
  const ports = network === undefined ? await freePorts(2 * nodes) : [];
  const postgres = network === undefined ? connection : connection.replace("127.0.0.1", network.host);
  return Array.from({ length: nodes }, (_, index) => ({
    arrangement,
    node: `n${index}`,
    zone: `z${index}`,
    ...(planted === undefined ? {} : { planted }),
    postgres,
    directory: join(directory, `n${index}`),
    shared: join(directory, "shared"),
    leaseMs,
    host: network?.hostOf(index) ?? "127.0.0.1",
    // In networks of their own all have the same ports.
    peer: { port: ports[2 * index] ?? 7_001, secret: "a secret of the nodes under chaos" },
    door: { port: ports[2 * index + 1] ?? 7_000 },
  }));
}

async function strike({ arrangement, seed, ms, nodes, leaseMs, network }: RunOptions, stage: Stage): Promise<void> {
  const all: readonly End["kind"][] =
    arrangement === "cluster" ? ["node", "node", "database", "clients"] : ["database", "clients"];
  const ends = network === undefined ? [] : nodes === 1 ? all.filter((end) => end !== "node") : all;
  const plan = planFaults({ seed, ms, nodes, leaseMs, ends });
  const beganMs = performance.now();
  const until = (atMs: number) => sleep(Math.max(0, beganMs + atMs - performance.now()));
  for (const fault of plan) {
    await until(fault.atMs);
    stage.perform(fault);
  }
  await until(ms);
}

/** A command on each shard. @returns what did not accept one until `untilMs` */
async function untilServed(workload: Workload, recorder: Recorder, untilMs: number): Promise<string[]> {
  const unserved: string[] = [];
  const probe = async (key: string) => {
    const of = { who: "probe", type: "register", key, name: "write", input: { value: 1 } };
    for (;;) {
      const told = await recorder.ask(workload.client, of);
      if (told.kind === "ok") return;
      const why = told.kind === "rejected" ? told.reason : told.code;
      const shard = shardOf("register", key, shardCount);
      const way = `${workload.client.state}, ${workload.client.door ?? "no door"}`;
      if (performance.now() > untilMs) return void unserved.push(`shard ${shard} (${why}; client ${way})`);
      await sleep(20);
    }
  };
  await Promise.all(probes().map(probe));
  return unserved;
}

/** Shards that took longer than a moment, for people. */
function lateProbes({ asked }: Recorder, healedMs: number): string[] {
  const probes = asked.filter(({ who, told }) => who === "probe" && told !== undefined && told.atMs - healedMs > 500);
  return probes.map(({ key, sentMs, told }) => {
    const outcome = told?.kind === "unknown" || told?.kind === "not-run" ? told.code : told?.kind;
    const shard = shardOf("register", key, shardCount);
    return `  shard ${shard}: asked ${(sentMs - healedMs).toFixed(0)} ms after, ${outcome} at ${((told?.atMs ?? 0) - healedMs).toFixed(0)} ms`;
  });
}

/** A key of each shard. */
function probes(): string[] {
  const keys = new Map<number, string>();
  for (let number = 0; keys.size < shardCount; number++)
    keys.set(shardOf("register", `probe${number}`, shardCount), `probe${number}`);
  return [...keys.values()];
}

/** What everybody has in the end: a lost command would be missing here. */
async function lastReads(workload: Workload, recorder: Recorder): Promise<void> {
  const ours = recorder.asked.filter(({ type }) => type === "register" || type === "purse");
  const names = new Set(ours.map(({ type, key }) => `${type}/${key}`));
  const read = (name: string) => {
    const [type = "", key = ""] = name.split("/");
    const query = type === "register" ? "read" : "balance";
    return recorder.ask(workload.client, { who: "last", type, key, name: query, input: undefined }, true);
  };
  await Promise.all([...names].map(read));
}

/** The log at a moment when nobody runs, once nothing is under way. */
async function quietEvidence(stage: Stage, connection: string, recorder: Recorder): Promise<Evidence> {
  for (let attempt = 1; ; attempt++) {
    await sleep(attempt * 300);
    await stage.killAll();
    const evidence = { asked: recorder.asked, shown: recorder.shown, log: await readLog(connection) };
    if (attempt === quietAttempts || judge(evidence).inFlight === 0) return evidence;
    await stage.start();
  }
}
