/** The change log through the door: one consumer in its own process pulls a log that was written before, page by page. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { endProcess, firstMessage, startProcess } from "./process.ts";

export interface Pulled {
  readonly events: number;
  readonly pages: number;
  readonly bytes: number;
  readonly ms: number;
  readonly serverMicros: number;
  readonly consumerMicros: number;
}

/** @returns per size of a page what each round took */
export async function measurePulled(
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
