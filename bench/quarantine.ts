/**
 * What a broken entity costs its neighbours: the latency of steady commands with and without poison, in turns. Run by
 * `npm run bench -- --only quarantine`.
 *
 * A first server records history, among it events that the second server's code cannot evolve, and is killed; the second
 * parks those entities at its replay and is then measured by `quarantine-load.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "holdfast/client";
import { WebSocket } from "ws";
import type { fragile } from "./fragile.ts";
import { endProcess, firstMessage, startProcess } from "./process.ts";

export interface Round {
  readonly calmP50Ms: number;
  readonly calmP99Ms: number;
  readonly calmMaxMs: number;
  readonly poisonedP50Ms: number;
  readonly poisonedP99Ms: number;
  readonly poisonedMaxMs: number;
}

export interface QuarantineFigures {
  readonly rounds: readonly Round[];
  /** Over the commands of all rounds. */
  readonly pooledP99Ms: { readonly calm: number; readonly poisoned: number };
  /** What was done to the service while it was measured. */
  readonly counts: Readonly<Record<string, number>>;
  /** Steady commands that failed. */
  readonly failed: number;
  /** Entities that the replay had parked. */
  readonly parkedAtReplay: number;
}

/** Entities with an event that the second server cannot evolve. */
const cracked = 20;

export async function measureQuarantine(
  rounds: number,
  phaseMs: number,
  perSecond: number,
): Promise<QuarantineFigures> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  try {
    await record(directory);
    const server = startProcess("servers/fragile.ts", [directory], [], { FRAGILE_BROKEN: "yes" });
    try {
      const { port } = await firstMessage<{ port: number }>(server);
      const health = firstMessage<{ quarantined: number }>(server);
      server.send("health");
      const { quarantined } = await health;
      const load = startProcess("quarantine-load.ts", [port, rounds, phaseMs, perSecond].map(String));
      const figures = await firstMessage<Omit<QuarantineFigures, "parkedAtReplay">>(load);
      await endProcess(load);
      return { ...figures, parkedAtReplay: quarantined };
    } finally {
      await endProcess(server);
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function record(directory: string): Promise<void> {
  const server = startProcess("servers/fragile.ts", [directory], [], { FRAGILE_BROKEN: "no" });
  try {
    const { port } = await firstMessage<{ port: number }>(server);
    const url = `ws://127.0.0.1:${port}/v1/socket`;
    const client = connect<{ fragile: typeof fragile }>({ url, WebSocket: WebSocket as never });
    const commands: Promise<unknown>[] = [];
    for (let index = 0; index < cracked; index++) {
      const entity = client.entity("fragile", `cracked${index}`);
      commands.push(entity.execute("add"), entity.execute("crack"), entity.execute("add"));
    }
    await Promise.all(commands);
    await client.close();
  } finally {
    await endProcess(server);
  }
}
