/**
 * One change to thousands of subscribers: from the moment it was durable to the last frame sent, and to the last frame received;
 * beside it a bare `ws` server that sends frames of the same size. Run by `npm run bench -- --only fanout`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { endProcess, firstMessage, startProcess } from "./process.ts";
import type { Sent } from "./sends.ts";

interface FanoutRun {
  /** Of each change, ms. */
  readonly sentMs: readonly number[];
  readonly receivedMs: readonly number[];
  /** CPU of the server from the one to the other. */
  readonly cpuMs: readonly number[];
  /** Bytes that the kernel had not taken when the last `send` returned, at most. */
  readonly queuedBytes: number;
  readonly frameBytes: number;
}

interface FanoutLoad {
  readonly subscribers: number;
  readonly changes: number;
  readonly gapMs: number;
}

async function measure(kind: "holdfast" | "bare", load: FanoutLoad, frameBytes = 0): Promise<FanoutRun> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const server = startProcess(kind === "bare" ? "servers/fanout-bare.ts" : "servers/fanout.ts", [directory]);
  const numbers = [load.subscribers, load.changes, load.gapMs, frameBytes].map(String);
  try {
    const { port } = await firstMessage<{ port: number }>(server);
    const viewers = startProcess("fanout-load.ts", [String(port), kind, ...numbers]);
    try {
      const { bytesEach } = await firstMessage<{ bytesEach: number }>(viewers);
      const counting = firstMessage(server);
      // The one who makes the change is answered by Holdfast, with one frame more.
      server.send({ expect: load.subscribers + (kind === "bare" ? 0 : 1) });
      await counting;
      const sent: Sent[] = [];
      server.on("message", (message: Sent) => sent.push(message));
      const done = firstMessage<{ received: readonly number[] }>(viewers);
      viewers.send("go");
      const { received } = await done;
      while (sent.length < load.changes) await new Promise((resolve) => setTimeout(resolve, 10));
      return {
        sentMs: sent.map(({ tookMs }) => tookMs),
        cpuMs: sent.map(({ cpuMs }) => cpuMs),
        receivedMs: received.map((atMs, index) => atMs - (sent[index] as Sent).beganMs),
        queuedBytes: Math.max(...sent.map(({ queuedBytes }) => queuedBytes)),
        frameBytes: bytesEach,
      };
    } finally {
      await endProcess(viewers);
    }
  } finally {
    await endProcess(server);
    rmSync(directory, { recursive: true, force: true });
  }
}

function quantile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((one, other) => one - other);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN).toFixed(1);
}

export async function measureFanout(print: (line?: string) => void, quick: boolean): Promise<void> {
  const load: FanoutLoad = { subscribers: 5_000, changes: quick ? 25 : 100, gapMs: 200 };
  const subscribers = load.subscribers.toLocaleString("en");
  print(`## One change to ${subscribers} subscribers`);
  print();
  print(
    `A view of twenty scores that is the same for everybody, ${subscribers} principals on WebSockets of their own in another process, ${load.changes} changes of one score a round, one every ${load.gapMs} ms. From the moment the change was durable (bare: the order was read) to the return of the last write to a socket, and to the last frame received.`,
  );
  print();
  print(
    "| round | server | sent p50 ms | sent p99 ms | received p50 ms | received p99 ms | server CPU ms | left in sockets B | frame B | load average |",
  );
  print("|---|---|---|---|---|---|---|---|---|---|");
  const pooled: Record<"holdfast" | "bare", number[]> = { holdfast: [], bare: [] };
  let frameBytes = 0;
  for (let round = 1; round <= (quick ? 1 : 3); round++) {
    for (const kind of ["holdfast", "bare"] as const) {
      const [busy = 0] = loadavg();
      const run = await measure(kind, load, frameBytes);
      frameBytes = Math.round(run.frameBytes);
      pooled[kind].push(...run.sentMs);
      const figures = [run.sentMs, run.receivedMs].flatMap((each) => [quantile(each, 0.5), quantile(each, 0.99)]);
      print(
        `| ${round} | ${kind === "bare" ? "bare ws, same bytes" : "Holdfast"} | ${figures.join(" | ")} | ${quantile(run.cpuMs, 0.5)} | ${run.queuedBytes} | ${frameBytes} | ${busy.toFixed(1)} |`,
      );
    }
  }
  print();
  const [own, bare] = [quantile(pooled.holdfast, 0.99), quantile(pooled.bare, 0.99)];
  print(`p99 over all rounds, durable to last frame sent: Holdfast ${own} ms, bare ws ${bare} ms.`);
  print();
}
