/**
 * The load generator, in a process of its own: a closed loop with a fixed number of commands in flight on one
 * connection, over 10,000 wallets. `raw` sends one JSON frame per command to any of the three servers; `client` uses
 * the typed client, which batches frames.
 *
 *     load.ts <port> <raw|client> <path> <in flight> <warm ms> <measured ms> <server pid>
 */
import { readFileSync } from "node:fs";
import { createHistogram } from "node:perf_hooks";
import { connect } from "holdfast/client";
import { WebSocket } from "ws";
import { uuidV7 } from "./uuid.ts";
import type { wallet } from "./wallet.ts";

const [port, kind, path, inFlightText, warmText, measureText, serverPid] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
const inFlight = Number(inFlightText);
const entities = 10_000;
const histogram = createHistogram();
let measuring = false;
let completed = 0;
let failed = 0;
let stopped = false;
let sequence = 0;

/** Every wallet is credited twice, then debited once: half of the money comes back, no wallet is overdrawn. */
function nextCommand(): { key: string; name: "credit" | "debit"; amount: number } {
  const turn = sequence++;
  const key = `w${(turn * 7_919) % entities}`;
  return Math.floor(turn / entities) % 3 === 2 ? { key, name: "debit", amount: 5 } : { key, name: "credit", amount: 5 };
}

function note(startedAt: number, ok: boolean): void {
  if (!measuring) return;
  if (ok) completed++;
  else failed++;
  histogram.record(Math.max(1, Math.round((performance.now() - startedAt) * 1_000)));
}

/** CPU seconds of the server so far, from Linux's /proc in ticks of 10 ms; NaN elsewhere. */
function serverCpuSeconds(): number {
  try {
    const fields = readFileSync(`/proc/${serverPid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

async function runRaw(): Promise<() => void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, path === "/" ? [] : ["holdfast.v1.json"], {
    perMessageDeflate: false,
  });
  const started = new Map<string, number>();
  const send = () => {
    const { key, name, amount } = nextCommand();
    const id = uuidV7();
    started.set(id, performance.now());
    socket.send(JSON.stringify([{ t: "command", id, type: "wallet", key, name, input: { amount } }]));
  };
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.once("open", () => {
      if (path === "/") return resolve();
      socket.once("message", () => resolve());
      socket.send(JSON.stringify([{ t: "hello" }]));
    });
  });
  socket.on("message", (data: Buffer) => {
    for (const message of JSON.parse(data.toString()) as { t: string; id: string; code?: string }[]) {
      const at = started.get(message.id);
      if (at === undefined) continue;
      started.delete(message.id);
      note(at, message.t !== "error" || message.code === "rejected");
      if (!stopped) send();
    }
  });
  for (let index = 0; index < inFlight; index++) send();
  return () => socket.terminate();
}

async function runClient(): Promise<() => void> {
  const client = connect<{ wallet: typeof wallet }>({
    url: `ws://127.0.0.1:${port}${path}`,
    WebSocket: WebSocket as never,
  });
  await client.opened();
  const loop = async () => {
    while (!stopped) {
      const { key, name, amount } = nextCommand();
      const startedAt = performance.now();
      try {
        await client.entity("wallet", key).execute(name, { amount });
        note(startedAt, true);
      } catch {
        note(startedAt, false);
      }
    }
  };
  for (let index = 0; index < inFlight; index++) void loop();
  return () => void client.close();
}

const close = await (kind === "raw" ? runRaw() : runClient());
await new Promise((resolve) => setTimeout(resolve, Number(warmText)));
measuring = true;
const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
const serverBefore = serverCpuSeconds();
await new Promise((resolve) => setTimeout(resolve, Number(measureText)));
measuring = false;
const seconds = (performance.now() - startedAt) / 1_000;
const cpu = process.cpuUsage(cpuBefore);
const serverCpu = serverCpuSeconds() - serverBefore;
stopped = true;
process.send?.({
  perSecond: completed / seconds,
  failed,
  p50Ms: histogram.percentile(50) / 1_000,
  p99Ms: histogram.percentile(99) / 1_000,
  serverMicros: (serverCpu * 1e6) / (completed + failed),
  loadCpu: (cpu.user + cpu.system) / 1e6 / seconds,
});
setTimeout(() => {
  close();
  process.exit(0);
}, 50);
