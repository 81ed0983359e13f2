/**
 * `npm run bench -- --only postgres`: durable commands through one node over PostgreSQL, beside bare statements on the same server in
 * the same run, in turns.
 */
import { postgresSkipReason, startPostgres } from "../src/adapters/postgres/server.harness.ts";
import { firstMessage, startProcess } from "./process.ts";

interface Measured {
  readonly perSecond: number;
  readonly failed: number;
  readonly commitsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly ownMicros: number;
  readonly serverMicros: number;
}

const contenders = [
  { name: "`INSERT … RETURNING`", parameters: ["insert"] },
  { name: "`UPDATE … RETURNING`", parameters: ["update"] },
  { name: "Holdfast, 16 shards", parameters: ["node", "16"] },
  { name: "Holdfast, 256 shards", parameters: ["node", "256"] },
] as const;

const median = (values: readonly number[]) => values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
const whole = (value: number) => Math.round(value).toLocaleString("en");

export async function measurePostgres(print: (line?: string) => void, quick: boolean): Promise<void> {
  const reason = postgresSkipReason();
  print("## Durable commands over PostgreSQL");
  print();
  if (reason !== undefined) {
    print(`Skipped: ${reason}.`);
    return print();
  }
  const rounds = quick ? 1 : 3;
  const server = await startPostgres(["max_connections=300", "shared_buffers=256MB"]);
  try {
    const url = await server.database();
    print(
      `PostgreSQL 18 on this machine, fsync and synchronous_commit on. Closed loop without a door, 10,000 wallets, the bare statements with a connection for each in flight; ${rounds} rounds in turns, medians.`,
    );
    print();
    print(
      "| in flight | way | commands/s | commits/s | p50 ms | p99 ms | failed | own CPU µs | server's CPU µs | rate / insert |",
    );
    print("|---|---|---|---|---|---|---|---|---|---|");
    for (const inFlight of [64, 256]) {
      const results = contenders.map(() => [] as Measured[]);
      for (let round = 0; round < rounds; round++) {
        for (const [index, { parameters }] of contenders.entries())
          results[index]?.push(await measure(url, parameters, inFlight, quick ? 2_000 : 4_000));
      }
      for (const [index, { name }] of contenders.entries()) {
        const runs = results[index] as Measured[];
        const of = (field: keyof Measured) => median(runs.map((run) => run[field]));
        const ratio = median(runs.map((run, at) => run.perSecond / (results[0]?.[at]?.perSecond ?? 1)));
        const figures = [
          whole(of("perSecond")),
          whole(of("commitsPerSecond")),
          of("p50Ms").toFixed(2),
          of("p99Ms").toFixed(2),
        ];
        const costs = [of("failed"), of("ownMicros").toFixed(0), of("serverMicros").toFixed(0), ratio.toFixed(1)];
        print(`| ${inFlight} | ${name} | ${[...figures, ...costs].join(" | ")} |`);
      }
    }
    print();
  } finally {
    await server.stop();
  }
}

async function measure(url: string, parameters: readonly string[], inFlight: number, ms: number): Promise<Measured> {
  const [way = "", ...rest] = parameters;
  const child = startProcess("postgres-child.ts", [url, way, String(inFlight), String(ms), ...rest]);
  const gone = new Promise((resolve) => child.once("exit", resolve));
  const measured = await firstMessage<Measured>(child);
  await gone;
  return measured;
}
