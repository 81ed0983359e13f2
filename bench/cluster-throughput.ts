/** Durable commands over PostgreSQL by one node and by three, beside the stateless way on the same server, in turns; CPU of each process. */
import type { ChildProcess } from "node:child_process";
import { ask } from "./cluster-ask.ts";
import { ClusterStage, loadNow, pause, percentile } from "./cluster-stage.ts";
import { postgresCpuSeconds } from "./postgres-cpu.ts";
import { endProcess, firstMessage, startProcess } from "./process.ts";

export interface ThroughputOptions {
  readonly rounds: number;
  readonly measureMs: number;
  readonly shardCount: number;
  readonly loud: boolean;
}

interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
  /** Microseconds per command: of the services' processes, of PostgreSQL, of the load generator. */
  readonly micros: { readonly service: number; readonly postgres: number; readonly load: number };
  /** Cores, of each process of the service. */
  readonly cores: readonly number[];
}

interface Way {
  readonly name: string;
  /** Which stage's server it runs on. */
  readonly stage: ClusterStage;
  readonly processes: readonly ChildProcess[];
  readonly connect: (inFlight: number) => Promise<unknown>;
}

const warmMs = 1_500;
const entities = 10_000;

/** The three-node cluster's database serves the stateless way too; who does not work is idle. */
export async function measureThroughput(
  print: (line?: string) => void,
  { rounds, measureMs, shardCount, loud }: ThroughputOptions,
): Promise<void> {
  const stages = [1, 3].map((nodes) => new ClusterStage({ shardCount, standbys: 1, nodes, loud }));
  const [one, three] = stages as [ClusterStage, ClusterStage];
  const servers: ChildProcess[] = [];
  print(
    `Closed loop over 10,000 wallets, the load generator in its own process; ${rounds} rounds in turns of ${measureMs} ms, medians. CPU in µs per command.`,
  );
  print();
  print(
    "| in flight | way | commands/s | p50 ms | p99 ms | failed | service CPU | PostgreSQL CPU | load CPU | service + PostgreSQL | cores of each service process | rate / locked | CPU / locked | rate / update | CPU / update | load |",
  );
  print(`|${"---|".repeat(16)}`);
  try {
    for (const stage of stages) await stage.open();
    const stateless = startProcess("stateless.ts", [one.postgres, "64"]);
    servers.push(stateless);
    const { url } = await firstMessage<{ url: string }>(stateless);
    const ways = waysOf(one, three, stateless, url);
    for (const inFlight of [64, 256]) await compare(print, ways, { inFlight, rounds, measureMs, loud });
  } finally {
    for (const server of servers) await endProcess(server);
    for (const stage of stages) await stage.close();
  }
}

function waysOf(one: ClusterStage, three: ClusterStage, stateless: ChildProcess, url: string): readonly Way[] {
  const http = (path: string) => (inFlight: number) => ask(one.load, "http", { url: `${url}/${path}`, inFlight });
  const cluster = (name: string, stage: ClusterStage): Way => ({
    ...{ name, stage, processes: stage.nodes.map(({ child }) => child) },
    connect: () =>
      ask(
        stage.load,
        "connect",
        stage.nodes.map((node) => [node.url]),
      ),
  });
  return [
    { name: "Fastify, `SELECT … FOR UPDATE` + insert", stage: one, processes: [stateless], connect: http("locked") },
    { name: "Fastify, `UPDATE … RETURNING`", stage: one, processes: [stateless], connect: http("update") },
    cluster("Holdfast, one node", one),
    cluster("Holdfast, three nodes", three),
  ];
}

interface Order {
  readonly inFlight: number;
  readonly rounds: number;
  readonly measureMs: number;
  readonly loud: boolean;
}

async function compare(print: (line?: string) => void, ways: readonly Way[], order: Order): Promise<void> {
  const runs = ways.map(() => [] as Measured[]);
  for (let round = 0; round < order.rounds; round++)
    for (const [index, way] of ways.entries()) runs[index]?.push(await measure(way, order));
  for (const [index, { name }] of ways.entries()) {
    const mine = runs[index] as Measured[];
    const of = (figure: (run: Measured) => number) => median(mine.map(figure));
    const beside = (other: number, figure: (run: Measured) => number) =>
      median(mine.map((run, at) => figure(run) / figure((runs[other] as Measured[])[at] as Measured))).toFixed(2);
    const rate = (run: Measured) => run.perSecond;
    const cells = [
      order.inFlight,
      name,
      Math.round(of(rate)).toLocaleString("en"),
      of((run) => run.p50Ms).toFixed(1),
      of((run) => run.p99Ms).toFixed(1),
      mine.reduce((sum, { failed }) => sum + failed, 0),
      ...[of((run) => run.micros.service), of((run) => run.micros.postgres), of((run) => run.micros.load)].map(
        Math.round,
      ),
      Math.round(of(both)),
      mine
        .at(-1)
        ?.cores.map((each) => each.toFixed(2))
        .join(", "),
      ...[beside(0, rate), beside(0, both), beside(1, rate), beside(1, both)],
      loadNow(),
    ];
    print(`| ${cells.join(" | ")} |`);
  }
}

async function measure({ name, stage, processes, connect }: Way, order: Order): Promise<Measured> {
  const { inFlight, measureMs, loud } = order;
  const cpuOf = (child: ChildProcess) => ask<NodeJS.CpuUsage>(child, "cpu").then(({ user, system }) => user + system);
  const used = async () => ({
    services: await Promise.all(processes.map(cpuOf)),
    load: await cpuOf(stage.load),
    postgres: postgresCpuSeconds(stage.server.port) * 1e6,
    atMs: performance.now(),
  });
  await connect(inFlight);
  await ask(stage.load, "closedLoop", { inFlight, entities, warmMs });
  const before = await used();
  await pause(measureMs);
  const after = await used();
  const { done, failed, p50Ms, p99Ms } = await ask<{ done: number; failed: number; p50Ms: number; p99Ms: number }>(
    stage.load,
    "closedOver",
  );
  const ms = after.atMs - before.atMs;
  const services = after.services.map((micros, at) => micros - (before.services[at] ?? 0));
  const total = services.reduce((sum, each) => sum + each, 0);
  if (loud) console.error(name, inFlight, Math.round((done * 1_000) / ms));
  return {
    ...{ perSecond: (done * 1_000) / ms, p50Ms, p99Ms, failed },
    micros: {
      service: total / done,
      postgres: (after.postgres - before.postgres) / done,
      load: (after.load - before.load) / done,
    },
    cores: services.map((micros) => micros / 1_000 / ms),
  };
}

const both = ({ micros }: Measured) => micros.service + micros.postgres;

function median(values: readonly number[]): number {
  return percentile(values, 50);
}
