/**
 * `npm run bench:cluster`: the figures of a cluster over PostgreSQL, all on one machine. `--only failover|hang|moves|drain|rolling|throughput`
 * runs a part.
 *
 *   --kills <n>     of `failover` and `hang`; default 20     --moves <n>   of `moves`; default 50
 *   --shards <n>    default 48                               --standbys 0  nobody follows
 *   --rounds <n>    of `throughput`; default 3
 *   --rate <n>      commands per second of the others, where they are paced
 *   --loud          what happens, on the error stream        --report <file>
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { postgresSkipReason } from "../src/adapters/postgres/server.harness.ts";
import { failoverHead, measureFailover } from "./cluster-failover.ts";
import { measureMoves, measureRestarts, movesHead } from "./cluster-moves.ts";
import { loadNow } from "./cluster-stage.ts";
import { measureThroughput } from "./cluster-throughput.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    kills: { type: "string", default: "20" },
    moves: { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
    shards: { type: "string", default: "48" },
    standbys: { type: "string", default: "1" },
    rate: { type: "string" },
    loud: { type: "boolean", default: false },
    report: { type: "string" },
  },
});
const lines: string[] = [];

function print(line = ""): void {
  console.log(line);
  lines.push(line);
}

const common = { shardCount: Number(values.shards), loud: values.loud };
const failover = (how: "kill" | "hang") =>
  measureFailover(print, {
    ...common,
    ...{ how, kills: Number(values.kills), standbys: Number(values.standbys) },
    ...{ entities: 20, rate: Number(values.rate ?? 300) },
  });
const parts: Readonly<Record<string, () => Promise<void>>> = {
  failover: async () => {
    failoverHead(print);
    await failover("kill");
  },
  hang: async () => {
    failoverHead(print);
    await failover("hang");
  },
  moves: async () => {
    movesHead(print);
    const moves = Number(values.moves);
    const rate = Number(values.rate ?? 300);
    const few = { shardCount: 6, loud: values.loud, moves };
    await measureMoves(print, { ...few, type: "wallet", entities: 10_000, rate });
    await measureMoves(print, { ...few, type: "bulk", entities: 100, rate: rate / 3 });
  },
  drain: () => measureRestarts(print, { ...common, rate: Number(values.rate ?? 600), entities: 20, rounds: undefined }),
  rolling: () => measureRestarts(print, { ...common, rate: Number(values.rate ?? 600), entities: 20, rounds: 1 }),
  throughput: () => measureThroughput(print, { ...common, rounds: Number(values.rounds), measureMs: 4_000 }),
};

const skipped = postgresSkipReason();
if (skipped !== undefined) throw new Error(skipped);
const commit = execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
print(
  `Commit ${commit}, Node ${process.version}, ${cpus().length} cores (${cpus()[0]?.model ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GiB, load average ${loadNow()}.`,
);
print();
for (const [name, part] of Object.entries(parts)) {
  if ((values.only ?? name) !== name) continue;
  print(`## ${name}`);
  print();
  await part();
  print();
}
if (values.report !== undefined) writeFileSync(values.report, `${lines.join("\n")}\n`);
process.exit(0);
