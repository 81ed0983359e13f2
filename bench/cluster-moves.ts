/** What clients see of a live move, of a drain and of a rolling restart, under load. */
import type { ChildProcess } from "node:child_process";
import { ask, machineMs } from "./cluster-ask.ts";
import type { LoadType } from "./cluster-entities.ts";
import type { PacerTotals, Pause } from "./cluster-pacer.ts";
import { ClusterStage, loadNow, pause, percentile, type StageNode, spread } from "./cluster-stage.ts";

export interface MovesOptions {
  readonly moves: number;
  readonly type: LoadType;
  /** Active, of the shard that is moved. */
  readonly entities: number;
  readonly shardCount: number;
  /** Commands per second to the moved shard, by clients and as many by callers in a node's process. */
  readonly rate: number;
  readonly loud: boolean;
}

/** After the new owner serves: what waited is answered by then. */
const afterMs = 100;

export async function measureMoves(print: (line?: string) => void, options: MovesOptions): Promise<void> {
  const { moves, type, entities, shardCount, rate, loud } = options;
  const stage = new ClusterStage({ shardCount, standbys: 1, nodes: 3, loud });
  const seen = { clients: [] as number[], gaps: [] as number[], inside: [] as number[], calm: [] as number[] };
  const took: number[] = [];
  let [clients, inside] = [none, none];
  let load = "";
  try {
    await stage.open();
    const shard = 0;
    await ask(
      stage.load,
      "connect",
      stage.nodes.map(({ url }) => [url]),
    );
    // Others have traffic too, so that the moved shard's does not find a machine that does nothing else.
    await ask(stage.load, "begin", { type, shardCount, shards: [shard], entities, rate });
    const caller = (stage.nodes[0] as StageNode).child;
    await ask(caller, "begin", { type, shardCount, shards: [shard], entities: Math.min(entities, 100), rate });
    await pause(2_000);
    load = loadNow();
    for (let move = 0; move < moves; move++) {
      const from = await ownerOf(stage, shard);
      const to = stage.nodes[(stage.nodes.indexOf(from) + 1) % stage.nodes.length] as StageNode;
      const calm = await watched([stage.load, caller], () => pause(afterMs));
      const fromMs = machineMs();
      const moved = await watched([stage.load, caller], async () => {
        await ask(from.child, "move", { shards: [shard], to: to.name });
        while (!(await stage.state(to)).owns.includes(shard)) await pause(5);
        took.push(machineMs() - fromMs);
        await pause(afterMs);
      });
      seen.calm.push(calm[0]?.longestMs ?? 0);
      seen.clients.push(moved[0]?.longestMs ?? 0);
      seen.gaps.push(moved[0]?.gapMs ?? 0);
      seen.inside.push(moved[1]?.longestMs ?? 0);
      if (loud)
        console.error(
          move,
          to.name,
          seen.clients.at(-1)?.toFixed(1),
          seen.inside.at(-1)?.toFixed(1),
          "calm",
          seen.calm.at(-1)?.toFixed(1),
        );
      await pause(50);
    }
    clients = await ask<PacerTotals>(stage.load, "end");
    inside = await ask<PacerTotals>(caller, "end");
  } finally {
    await stage.close();
  }
  const what = `${entities.toLocaleString("en")} ${type === "bulk" ? "entities of 0.9 MB" : "wallets"}`;
  const failed = `${clients.failed + inside.failed} of ${clients.done + inside.done}`;
  const figures = [seen.clients, seen.inside, seen.calm, seen.gaps].map((each) => spread(each, 1));
  const over = percentile(
    seen.clients.map((ms, at) => ms - (seen.calm[at] ?? 0)),
    50,
  ).toFixed(1);
  print(`| ${what} | ${moves} | ${figures.join(" | ")} | ${over} | ${spread(took)} | ${failed} | ${load} |`);
  for (const failure of [...clients.failures, ...inside.failures]) print(`- failed: ${failure}`);
}

export function movesHead(print: (line?: string) => void): void {
  print(
    "ms. Pause: the longest latency of any command of the moved shard that was due, or waited, from the order to 100 ms after the new owner serves. Calm: the same in 100 ms without a move, just before.",
  );
  print();
  print(
    "| active in the shard | moves | pause, clients | pause, in process | calm, clients | longest time without an answer | pause less calm, p50 | order to served | failed | load before |",
  );
  print("|---|---|---|---|---|---|---|---|---|---|");
}

const none: PacerTotals = { done: 0, failed: 0, failures: [] };

/** What each pacer of one shard saw during the work. */
async function watched(pacers: readonly ChildProcess[], work: () => Promise<unknown>): Promise<readonly Pause[]> {
  await Promise.all(pacers.map((child) => ask(child, "open")));
  await work();
  const seen = await Promise.all(pacers.map((child) => ask<readonly Pause[]>(child, "shut")));
  return seen.flat();
}

async function ownerOf(stage: ClusterStage, shard: number): Promise<StageNode> {
  for (;;) {
    for (const node of stage.nodes) if ((await stage.state(node)).owns.includes(shard)) return node;
    await pause(5);
  }
}

export interface RestartsOptions {
  readonly shardCount: number;
  readonly rate: number;
  readonly entities: number;
  /** Rounds over all nodes; without a number only one node is drained. */
  readonly rounds: number | undefined;
  readonly loud: boolean;
}

/** SIGTERM of loaded nodes, and their start again, one after the other. */
export async function measureRestarts(print: (line?: string) => void, options: RestartsOptions): Promise<void> {
  const { shardCount, rate, entities, rounds, loud } = options;
  const stage = new ClusterStage({ shardCount, standbys: 1, nodes: 3, loud });
  const drains: number[] = [];
  const longest: number[] = [];
  let totals = none;
  let load = "";
  try {
    await stage.open();
    const shards = Array.from({ length: shardCount }, (_, shard) => shard);
    const doors = stage.nodes.map(({ url }) => url);
    // Each begins at a door of its own and knows the others.
    await ask(
      stage.load,
      "connect",
      doors.map((_, at) => [...doors.slice(at), ...doors.slice(0, at)]),
    );
    await ask(stage.load, "begin", { type: "wallet", shardCount, shards, entities, rate });
    await pause(1_000);
    load = loadNow();
    const turns =
      rounds === undefined ? stage.nodes.slice(0, 1) : Array.from({ length: rounds }, () => stage.nodes).flat();
    for (const node of turns) {
      const seen = await watched([stage.load], async () => {
        const fromMs = machineMs();
        const gone = new Promise((resolve) => node.child.once("exit", resolve));
        node.child.kill("SIGTERM");
        await gone;
        drains.push(machineMs() - fromMs);
        await pause(200);
      });
      longest.push(Math.max(...seen.map(({ longestMs }) => longestMs)));
      if (loud) console.error(node.name, drains.at(-1)?.toFixed(0), longest.at(-1)?.toFixed(0));
      await stage.restart(node);
      await stage.settled();
    }
    totals = await ask<PacerTotals>(stage.load, "end");
  } finally {
    await stage.close();
  }
  print(
    `${drains.length} times SIGTERM of a node with ${Math.round(shardCount / 3)} of ${shardCount} shards at ${rate} commands/s: ${totals.failed} of ${totals.done + totals.failed} commands failed. Until the process ended: ${spread(drains)} ms. Longest latency of any command meanwhile: ${spread(longest)} ms. Load before ${load}.`,
  );
  for (const failure of totals.failures) print(`- failed: ${failure}`);
}
