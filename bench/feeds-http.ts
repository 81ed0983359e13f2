/** The change log through the door: one consumer in its own process pulls a log that was written before, page by page. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endProcess, firstMessage, startProcess } from "./process.ts";

interface Pulled {
  readonly events: number;
  readonly pages: number;
  readonly bytes: number;
  readonly ms: number;
  readonly serverMicros: number;
  readonly consumerMicros: number;
}

export async function measureFeedsHttp(print: (line?: string) => void, quick: boolean): Promise<void> {
  const [events, rounds] = quick ? [200_000, 1] : [1_000_000, 3];
  const taken = await measurePulled(events, rounds, [1_000, 4_096, 16_384]);
  print(`## The change log over HTTP: ${events.toLocaleString("en")} events as CloudEvents to one pull consumer`);
  print();
  print(`Consumer in its own process, each page parsed and added up; medians of ${rounds} rounds in turns.`);
  print();
  print("| events/page | events/s | B/event | server CPU µs/event | consumer CPU µs/event |");
  print("|---|---|---|---|---|");
  for (const [limit, runs] of taken) {
    const of = (value: (run: Pulled) => number) => median(runs.map(value));
    const rate = Math.round(of(({ ms }) => (events / ms) * 1_000)).toLocaleString("en");
    const bytes = of((run) => run.bytes / events).toFixed(0);
    const [server, consumer] = [of((run) => run.serverMicros / events), of((run) => run.consumerMicros / events)];
    print(`| ${limit.toLocaleString("en")} | ${rate} | ${bytes} | ${server.toFixed(2)} | ${consumer.toFixed(2)} |`);
  }
  print();
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

/** @returns per size of a page what each round took */
async function measurePulled(
  events: number,
  rounds: number,
  limits: readonly number[],
): Promise<ReadonlyMap<number, readonly Pulled[]>> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const writer = startProcess("recovery.ts", ["write", directory, String(events)]);
  await firstMessage(writer);
  await new Promise((resolve) => writer.once("exit", resolve));
  const server = startProcess("servers/feeds.ts", [directory]);
  const taken = new Map<number, Pulled[]>(limits.map((limit) => [limit, []]));
  try {
    const { port } = await firstMessage<{ port: number }>(server);
    for (let round = 0; round < rounds; round++)
      for (const limit of limits) taken.get(limit)?.push(await pull(server, port, limit, events));
  } finally {
    await endProcess(server);
    rmSync(directory, { recursive: true, force: true });
  }
  return taken;
}

async function pull(
  server: ReturnType<typeof startProcess>,
  port: number,
  limit: number,
  events: number,
): Promise<Pulled> {
  const before = await cpuOf(server);
  const consumer = startProcess("feeds-puller.ts", [String(port), String(limit)]);
  const pulled = await firstMessage<Pulled & { readonly sum: number; readonly cpuMicros: number }>(consumer);
  await endProcess(consumer);
  // Each credit of the log is of 5.
  if (pulled.events !== events || pulled.sum !== 5 * events)
    throw new Error(`${pulled.events} of ${events} events came`);
  return { ...pulled, serverMicros: (await cpuOf(server)) - before, consumerMicros: pulled.cpuMicros };
}

async function cpuOf(server: ReturnType<typeof startProcess>): Promise<number> {
  server.send("cpu");
  return (await firstMessage<{ cpuMicros: number }>(server)).cpuMicros;
}
