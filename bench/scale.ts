/**
 * `npm run bench:scale`: state at scale. Millions of entities on one node, most of them outside memory; restarts; snapshots.
 *
 * Each row is a process of its own (`scale-node.ts`). Latencies that are compared are taken in turns, at the same rate of
 * arrivals, and their medians are compared, because the machine is shared. `--entities`, `--events`, `--per-second`,
 * `--rounds`, `--ms` set the size; `--only start|rate|snapshots|kill` runs a part; `--directory` uses (and keeps) a directory that was filled before.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { endProcess, startProcess } from "./process.ts";

const { values: options } = parseArgs({
  options: {
    entities: { type: "string", default: "2000000" },
    events: { type: "string", default: "10000000" },
    "per-second": { type: "string", default: "3000" },
    rounds: { type: "string", default: "3" },
    ms: { type: "string", default: "8000" },
    directory: { type: "string" },
    only: { type: "string" },
  },
});
const { entities, events } = options;
const wants = (part: string) => options.only === undefined || options.only === part;
const rounds = Number(options.rounds);
const few = "10000";
const directory = options.directory ?? mkdtempSync(join(tmpdir(), "holdfast-scale-"));

type Row = Partial<Record<string, number>>;

/** What the process says, after it has ended; undefined if it ended before it said anything. */
function run(mode: string, ...parameters: string[]): Promise<Row> {
  const child = startProcess("scale-node.ts", [mode, directory, ...parameters]);
  return new Promise((resolve, reject) => {
    let said: Row | undefined;
    child.on("message", (message) => {
      said = message as Row;
    });
    child.once("exit", (code) => {
      void endProcess(child);
      if (said === undefined) reject(new Error(`${mode} ended with ${code} before it said anything`));
      else resolve(said);
    });
  });
}

const shown = (value: number | undefined) =>
  value === undefined ? "" : value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });

const columns = [
  "servingMs",
  "firstAnswerMs",
  "recovered",
  "perSecond",
  "p50Ms",
  "p99Ms",
  "refused",
  "hot",
  "activations",
  "heapPeakMb",
  "rssMb",
  "pausesOver20Ms",
  "longestPauseMs",
];

function head(): void {
  console.log(`| | ${columns.join(" | ")} |`);
  console.log(`|${"---|".repeat(columns.length + 1)}`);
}

function row(name: string, measured: Row): Row {
  console.log(`| ${name} | ${columns.map((column) => shown(measured[column])).join(" | ")} |`);
  return measured;
}

const median = (values: readonly number[]) => values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;

/** p99 of one against the other, in turns. */
async function compare(what: string, one: [string, string[]], other: [string, string[]]): Promise<void> {
  const p99s: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const [index, [name, parameters]] of [one, other].entries()) {
      const measured = row(
        name,
        await run("rate", "--per-second", options["per-second"], "--ms", options.ms, ...parameters),
      );
      (p99s[index] as number[]).push(measured["p99Ms"] ?? 0);
    }
  }
  const [first, second] = p99s.map(median) as [number, number];
  console.log(`\n${what}: p99 ${shown(first)} ms against ${shown(second)} ms: ${(first / second).toFixed(2)} x\n`);
  head();
}

const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
const cpu = cpus();
console.log(
  `${cpu.length} x ${cpu[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, commit ${commit}`,
);
console.log(
  `${entities} entities of about 200 bytes, ${events} events, 16 shards, every append on the disk before it is answered\n`,
);
head();
const all = ["--entities", entities];
if (!existsSync(join(directory, "state"))) {
  row("fill, with snapshots", await run("fill", ...all, "--events", events, "--snapshots"));
}
if (wants("start")) {
  row("start after a clean stop", await run("open", "--snapshots"));
  row("32 in flight, few entities", await run("load", "--entities", few, "--ms", options.ms, "--snapshots"));
  row("32 in flight, all entities", await run("load", ...all, "--ms", options.ms, "--snapshots"));
}
if (wants("rate")) {
  await compare(
    `all ${entities} entities against ${few}, ${options["per-second"]} commands/s`,
    ["at a rate, all entities", [...all, "--snapshots"]],
    ["at a rate, few entities", ["--entities", few, "--snapshots"]],
  );
}
if (wants("snapshots")) {
  // As often as a node makes them on its own at this rate: when replaying a shard's records would cost its share of a
  // second, which is once for each shard in this time.
  const often = ["--per-second", "6000", "--ms", "112000"];
  await compare(
    "snapshots of every shard and the archive of what is trimmed, 6000 commands/s for 112 s, against checkpoints alone",
    ["at a rate, snapshots", [...all, ...often, "--snapshots"]],
    ["at a rate, no snapshots", [...all, ...often]],
  );
}
if (wants("kill")) {
  await run("load", ...all, "--ms", "20000", "--snapshots", "--kill");
  row("start after kill -9 under load", await run("open", "--snapshots"));
  rmSync(join(directory, "state"), { recursive: true });
  const fetched = await run("download");
  row("start from snapshots alone", await run("open", "--snapshots"));
  const log = Number(execFileSync("du", ["-sb", directory], { encoding: "utf8" }).split("\t")[0]);
  console.log(
    `\nReading the snapshots' ${shown((fetched["bytes"] ?? 0) / 1e6)} MB alone took ${shown(fetched["ms"])} ms. All files: ${shown(log / 1e6)} MB, ` +
      `of it the state store ${shown(statSync(join(directory, "state", "state.mdb")).size / 1e6)} MB.`,
  );
}
if (options.directory === undefined) rmSync(directory, { recursive: true });
