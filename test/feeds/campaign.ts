/**
 * Kills a node and its consumers again and again while it is written to, and compares what arrived with the log.
 *
 * A consumer keeps each batch together with its cursor, so what is demanded is strict: everything in the log, once, in the order
 * of its shard. The log is read frame by frame, not by a feed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seededChance } from "../../examples/teen-patti/src/bots/chance.ts";
import { connect } from "../../src/client/index.ts";
import { decodeFrame } from "../../src/wire/frame.ts";
import { type ConsumerKind, consumerKinds, readLines } from "./consumer.ts";
import { type Entities, shardCount, startService } from "./service.ts";

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  readonly onRound?: (done: number) => void;
}

export interface KillResult {
  readonly events: number;
  readonly kills: Readonly<Record<"node" | ConsumerKind, number>>;
  readonly violations: readonly string[];
}

/** From a restart to the next kill, at most. */
const killMsMax = 400;
/** A consumer that has not got everything by then never will. */
const quietMsMax = 30_000;
const writersCount = 30;

export async function runKills({ rounds, seed, onRound }: KillOptions): Promise<KillResult> {
  const chance = seededChance(seed);
  const root = mkdtempSync(join(tmpdir(), "holdfast-feeds-kill-"));
  const stage = await Stage.open(root);
  try {
    for (let round = 1; round <= rounds; round++) {
      await sleep(chance() * killMsMax);
      // Every other round the consumers, every other the node; each of them under load, at any moment.
      if (round % 2 === 0) await stage.killNode();
      else
        await Promise.all(
          consumerKinds.map((kind) => sleep(chance() * killMsMax).then(() => stage.killConsumer(kind))),
        );
      await stage.someProgress();
      onRound?.(round);
    }
    return await stage.finish();
  } finally {
    await stage.close();
    rmSync(root, { recursive: true, force: true });
  }
}

class Stage {
  readonly #root: string;
  readonly #url: string;
  #node: ChildProcess;
  readonly #consumers = new Map<ConsumerKind, ChildProcess>();
  readonly #client;
  readonly #writers: Promise<void>[];
  readonly #acknowledged = new Set<number>();
  readonly #kills = { node: 0, pull: 0, events: 0, socket: 0 };
  #next = 0;
  #stopped = false;

  static async open(root: string): Promise<Stage> {
    const { process: node, port } = await startNode(join(root, "data"), 0);
    return new Stage(root, node, port);
  }

  private constructor(root: string, node: ChildProcess, port: number) {
    this.#root = root;
    this.#node = node;
    this.#url = `http://127.0.0.1:${port}`;
    for (const kind of consumerKinds) this.#startConsumer(kind);
    this.#client = connect<Entities>({ url: this.#url, token: "dev:payer", timeoutMs: 600_000 });
    this.#writers = Array.from({ length: writersCount }, () => this.#write());
  }

  async killNode(): Promise<void> {
    await kill(this.#node);
    this.#kills.node++;
    this.#node = (await startNode(join(this.#root, "data"), Number(new URL(this.#url).port))).process;
  }

  async killConsumer(kind: ConsumerKind): Promise<void> {
    await kill(this.#consumers.get(kind) as ChildProcess);
    this.#kills[kind]++;
    this.#startConsumer(kind);
  }

  /** So that a slow machine kills what works, not what starts. */
  async someProgress(): Promise<void> {
    const before = consumerKinds.map((kind) => this.#arrived(kind).length);
    const until = performance.now() + quietMsMax;
    while (performance.now() < until && consumerKinds.some((kind, at) => this.#arrived(kind).length === before[at]))
      await sleep(20);
  }

  /** Lets everybody catch up, and compares. */
  async finish(): Promise<KillResult> {
    this.#stopped = true;
    await Promise.all(this.#writers);
    const violations: string[] = [];
    const until = performance.now() + quietMsMax;
    const behind = () => consumerKinds.some((kind) => this.#arrived(kind).length < this.#acknowledged.size);
    while (behind() && performance.now() < until) await sleep(20);
    await kill(this.#node);
    const log = await readLog(join(this.#root, "data"));
    for (const amount of this.#acknowledged)
      if (!log.amounts.has(amount)) violations.push(`lost in the log: ${amount}`);
    if (log.amounts.size !== log.items.length) violations.push("the log has an amount twice");
    for (const kind of consumerKinds) violations.push(...differences(kind, this.#arrived(kind), log.items));
    return { events: log.items.length, kills: this.#kills, violations };
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await this.#client.close();
    await Promise.allSettled(this.#writers);
    await Promise.all([this.#node, ...this.#consumers.values()].map(kill));
  }

  #arrived(kind: ConsumerKind): readonly string[] {
    return readLines(this.#fileOf(kind)).lines.flatMap(({ items }) => items);
  }

  #fileOf(kind: ConsumerKind): string {
    return join(this.#root, `${kind}.ndjson`);
  }

  #startConsumer(kind: ConsumerKind): void {
    this.#consumers.set(kind, run("consumer.ts", [kind, this.#url, this.#fileOf(kind)], "inherit"));
  }

  async #write(): Promise<void> {
    while (!this.#stopped) {
      const amount = this.#next++;
      await this.#client.entity("account", `a${amount % 40}`).execute("pay", { amount });
      this.#acknowledged.add(amount);
    }
  }
}

/** What the log has, each shard's in order. */
async function readLog(directory: string): Promise<{ items: string[]; amounts: ReadonlySet<number> }> {
  const service = await startService(directory);
  try {
    const items: string[] = [];
    const amounts = new Set<number>();
    const from = new Map(Array.from({ length: shardCount }, (_, shard) => [shard, 1]));
    for await (const frames of service.node.source.past.read(from)) {
      for (const { bytes, shard, at } of frames) {
        for (const [index, record] of decodeFrame(bytes, shard, at, undefined).records.entries()) {
          if (record.kind !== "step" || record.entity.type !== "account") continue;
          for (const [number, { payload }] of record.events.entries()) {
            const { amount } = payload as { amount: number };
            items.push(`${shard}-${at + index}-${number}=${amount}`);
            amounts.add(amount);
          }
        }
      }
    }
    return { items, amounts };
  } finally {
    await service.stop();
  }
}

/** What differs between what arrived and the log. Shards may interleave as they like. */
export function differences(kind: string, arrived: readonly string[], log: readonly string[]): string[] {
  const found: string[] = [];
  const byShard = (items: readonly string[]) => Map.groupBy(items, (item) => item.slice(0, item.indexOf("-")));
  const [got, wanted] = [byShard(arrived), byShard(log)];
  for (const shard of new Set([...got.keys(), ...wanted.keys()])) {
    const [left, right] = [got.get(shard) ?? [], wanted.get(shard) ?? []];
    const at = right.findIndex((item, index) => left[index] !== item);
    if (at !== -1) found.push(`${kind}: shard ${shard} has ${left[at]} in place ${at}, the log ${right[at]}`);
    else if (left.length > right.length)
      found.push(`${kind}: shard ${shard} has ${left[right.length]}, the log nothing`);
  }
  return found;
}

function run(script: string, parameters: readonly string[], stdout: "pipe" | "inherit"): ChildProcess {
  const path = fileURLToPath(new URL(script, import.meta.url));
  return spawn(process.execPath, ["--conditions=source", path, ...parameters], {
    stdio: ["ignore", stdout, "inherit"],
  });
}

async function startNode(directory: string, port: number): Promise<{ process: ChildProcess; port: number }> {
  const node = run("service.ts", [directory, String(port)], "pipe");
  const [line] = (await once(node.stdout as NonNullable<typeof node.stdout>, "data")) as [Buffer];
  return { process: node, port: Number(line.toString()) };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
