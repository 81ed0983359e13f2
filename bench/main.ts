/**
 * `npm run bench`: the figures of the README. Every ratio compares measurements of the same run, taken in turns, because
 * these machines are noisy. `--quick` shortens it, `--only door|process|recovery|state|quarantine|feeds|feeds-http|fanout|deltas|
 * postgres|placement` runs a part, `--report <file>` writes the tables there too.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureDeltas } from "./deltas.ts";
import { measureFanout } from "./fanout.ts";
import { measureFeeds } from "./feeds.ts";
import { measureFeedsHttp } from "./feeds-http.ts";
import { measurePlacement } from "./placement.ts";
import { measurePostgres } from "./postgres.ts";
import { endProcess, firstMessage, startProcess } from "./process.ts";
import { measureQuarantine } from "./quarantine.ts";

interface Measured {
  readonly perSecond: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server process per command, microseconds. */
  readonly serverMicros: number;
  /** Cores the load generator used. */
  readonly loadCpu: number;
}

const { values: options } = parseArgs({
  options: { quick: { type: "boolean" }, report: { type: "string" }, only: { type: "string" } },
});
const rounds = options.quick === true ? 1 : 3;
const warmMs = 2_000;
const measureMs = options.quick === true ? 1_500 : 3_000;
const lines: string[] = [];

function print(line = ""): void {
  console.log(line);
  lines.push(line);
}

const contenders = [
  { name: "ws echo, no disk", server: "servers/echo.ts", kind: "raw", path: "/" },
  { name: "hand-written ws + append + fdatasync", server: "servers/hand-written.ts", kind: "raw", path: "/" },
  { name: "Holdfast, JSON, a frame per command", server: "servers/holdfast.ts", kind: "raw", path: "/v1/socket" },
  { name: "Holdfast, typed client", server: "servers/holdfast.ts", kind: "client", path: "/v1/socket" },
] as const;

type Contender = (typeof contenders)[number];

async function measure(contender: Contender, inFlight: number): Promise<Measured> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const server = startProcess(contender.server, [directory]);
  try {
    const { port } = await firstMessage<{ port: number }>(server);
    const load = startProcess("load.ts", [
      String(port),
      contender.kind,
      contender.path,
      String(inFlight),
      String(warmMs),
      String(measureMs),
      String(server.pid),
    ]);
    const measured = await firstMessage<Measured>(load);
    await endProcess(load);
    return measured;
  } finally {
    await endProcess(server);
    rmSync(directory, { recursive: true, force: true });
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] as number;
}

function medianOf(runs: readonly Measured[], field: keyof Measured): number {
  return median(runs.map((run) => run[field]));
}

async function commandsThroughTheDoor(): Promise<void> {
  print("## Durable commands through the gateway");
  print();
  print(
    `Closed loop on one connection, 10,000 wallets, load generator in its own process, ${rounds} rounds in turns of ${measureMs} ms, medians.`,
  );
  print();
  print(
    "| in flight | server | commands/s | p50 ms | p99 ms | failed | server CPU µs/command | load cores | rate / hand-written | p50 / hand-written |",
  );
  print("|---|---|---|---|---|---|---|---|---|---|");
  for (const inFlight of [1, 16, 64, 256]) {
    const results = contenders.map(() => [] as Measured[]);
    for (let round = 0; round < rounds; round++) {
      for (const [index, contender] of contenders.entries()) results[index]?.push(await measure(contender, inFlight));
    }
    const handWritten = results[1] as Measured[];
    for (const [index, contender] of contenders.entries()) {
      const runs = results[index] as Measured[];
      const rate = medianOf(runs, "perSecond");
      const p50 = medianOf(runs, "p50Ms");
      const rateRatio = median(runs.map((run, at) => run.perSecond / (handWritten[at] as Measured).perSecond));
      const p50Ratio = median(runs.map((run, at) => run.p50Ms / (handWritten[at] as Measured).p50Ms));
      const failed = runs.reduce((sum, run) => sum + run.failed, 0);
      print(
        `| ${inFlight} | ${contender.name} | ${Math.round(rate).toLocaleString("en")} | ${p50.toFixed(3)} | ${medianOf(runs, "p99Ms").toFixed(3)} | ${failed} | ${medianOf(runs, "serverMicros").toFixed(1)} | ${medianOf(runs, "loadCpu").toFixed(2)} | ${rateRatio.toFixed(2)} | ${p50Ratio.toFixed(2)} |`,
      );
    }
  }
  print();
}

interface InProcess {
  readonly perSecond: number;
  readonly writesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function inProcess(): Promise<void> {
  print("## Without the network");
  print();
  print("Relaxed: answered at once, durable within 100 ms.");
  print();
  print("| log | durability | in flight | commands/s | writes/s | commands/write | p50 ms | p99 ms |");
  print("|---|---|---|---|---|---|---|---|");
  for (const engine of ["memory", "segments"]) {
    for (const inFlight of [1, 64, 1_024]) {
      for (const [durability, command] of [
        ["durable", "credit"],
        ["relaxed", "creditRelaxed"],
      ] as const) {
        const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
        const parameters = [engine, directory, String(inFlight), String(measureMs), command];
        const child = startProcess("in-process.ts", parameters);
        const { perSecond, writesPerSecond, p50Ms, p99Ms } = await firstMessage<InProcess>(child);
        await endProcess(child);
        rmSync(directory, { recursive: true, force: true });
        const rate = Math.round(perSecond).toLocaleString("en");
        const writes = Math.round(writesPerSecond).toLocaleString("en");
        const each = Math.round(perSecond / writesPerSecond).toLocaleString("en");
        print(
          `| ${engine} | ${durability} | ${inFlight} | ${rate} | ${writes} | ${each} | ${p50Ms.toFixed(3)} | ${p99Ms.toFixed(3)} |`,
        );
      }
    }
  }
  print();
}

async function recovery(): Promise<void> {
  const events = 1_000_000;
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  print("## Recovery");
  print();
  print("| log | opened ms | serving ms | records | records/s | heap MB | RSS MB |");
  print("|---|---|---|---|---|---|---|");
  const writer = startProcess("recovery.ts", ["write", directory, String(events)]);
  await firstMessage(writer);
  await new Promise((resolve) => writer.once("exit", resolve));
  for (let round = 0; round < rounds; round++) {
    const reader = startProcess("recovery.ts", ["read", directory]);
    const result = await firstMessage<{
      openedMs: number;
      servingMs: number;
      recovered: number;
      heapMb: number;
      rssMb: number;
    }>(reader);
    await new Promise((resolve) => reader.once("exit", resolve));
    const perSecond = (result.recovered / result.servingMs) * 1_000;
    print(
      `| 1,000,000 events | ${result.openedMs.toFixed(0)} | ${result.servingMs.toFixed(0)} | ${result.recovered.toLocaleString("en")} | ${Math.round(perSecond).toLocaleString("en")} | ${result.heapMb.toFixed(0)} | ${result.rssMb.toFixed(0)} |`,
    );
  }
  rmSync(directory, { recursive: true, force: true });
  print();
}

interface StateRate {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

async function stateStore(): Promise<void> {
  const images = options.quick === true ? 200_000 : 2_000_000;
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bench-"));
  const child = startProcess("state-store.ts", [directory, String(images)]);
  const result = await firstMessage<
    Record<"near" | "apart" | "gets", StateRate> &
      Record<"heapMb" | "rssMb" | "fileMb" | "closeMs" | "reopenMs" | "verifyMs", number>
  >(child);
  await endProcess(child);
  rmSync(directory, { recursive: true, force: true });
  print(`## State store: ${images.toLocaleString("en")} images of 200 bytes, writes of 1,000`);
  print();
  print("| what | per second | CPU µs each |");
  print("|---|---|---|");
  const rates = {
    "writes, neighbours": result.near,
    "writes, far apart": result.apart,
    "gets, far apart": result.gets,
  };
  for (const [name, { perSecond, cpuMicros }] of Object.entries(rates)) {
    print(`| ${name} | ${Math.round(perSecond).toLocaleString("en")} | ${cpuMicros.toFixed(1)} |`);
  }
  print();
  print(
    `Heap ${result.heapMb.toFixed(0)} MB, RSS ${result.rssMb.toFixed(0)} MB (pages of the file included), file ${result.fileMb.toFixed(0)} MB. Close ${result.closeMs.toFixed(0)} ms, opening after it ${result.reopenMs.toFixed(0)} ms, verification after a kill ${result.verifyMs.toFixed(0)} ms.`,
  );
  print();
}

async function quarantine(): Promise<void> {
  const [turns, phaseMs, perSecond] = options.quick === true ? [2, 2_000, 2_000] : [21, 2_000, 2_000];
  const {
    rounds: taken,
    pooledP99Ms,
    counts,
    failed,
    parkedAtReplay,
  } = await measureQuarantine(turns, phaseMs, perSecond);
  const of = (field: keyof (typeof taken)[number]) => median(taken.map((round) => round[field]));
  print("## Poison under load");
  print();
  print(
    `${perSecond.toLocaleString("en")} commands/s at a fixed rate to 10,000 wallets on one connection, latency from when each was due; ${turns} rounds in turns of ${phaseMs} ms, medians. ${parkedAtReplay} entities were parked by the replay at the start.`,
  );
  print();
  print("| phase | p50 ms | p99 ms | longest ms |");
  print("|---|---|---|---|");
  for (const name of ["calm", "poisoned"] as const) {
    const figures = (["P50Ms", "P99Ms", "MaxMs"] as const).map((each) => of(`${name}${each}`).toFixed(2));
    print(`| ${name} | ${figures.join(" | ")} |`);
  }
  print();
  const ratios = taken.map((round) => round.poisonedP99Ms / round.calmP99Ms);
  print(
    `p99 over all rounds: calm ${pooledP99Ms.calm.toFixed(2)} ms, poisoned ${pooledP99Ms.poisoned.toFixed(2)} ms, ratio ${(pooledP99Ms.poisoned / pooledP99Ms.calm).toFixed(2)}. Median of the rounds' ratios: ${median(ratios).toFixed(2)} (each: ${ratios.map((ratio) => ratio.toFixed(2)).join(", ")}). Steady commands that failed: ${failed}.`,
  );
  print();
  print(
    `Meanwhile: ${Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}.`,
  );
  print();
}

function describeMachine(): void {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  print(`# Benchmark of ${new Date().toISOString().slice(0, 10)}, commit ${commit}`);
  print();
  print(
    "Command: `npm run bench`. Durability: default, every reply after its records are on stable storage (O_DSYNC write).",
  );
  print(
    `Machine: ${cpus().length} cores, ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GiB. Node ${process.version}, ws ${manifest.dependencies["ws"]}, msgpackr ${manifest.dependencies["msgpackr"]}.`,
  );
  print();
}

const postgres = () => measurePostgres(print, options.quick === true);
const parts = {
  door: commandsThroughTheDoor,
  process: inProcess,
  recovery,
  state: stateStore,
  quarantine,
  feeds: () => measureFeeds(print, options.quick === true),
  "feeds-http": () => measureFeedsHttp(print, options.quick === true),
  fanout: () => measureFanout(print, options.quick === true),
  deltas: () => measureDeltas(print, options.quick === true),
  postgres,
  placement: () => measurePlacement(print),
};
describeMachine();
for (const [name, part] of Object.entries(parts)) if ((options.only ?? name) === name) await part();
if (options.report !== undefined) writeFileSync(options.report, `${lines.join("\n")}\n`);
