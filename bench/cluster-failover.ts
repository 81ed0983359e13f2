/** From `kill -9` of an owner, or SIGSTOP, to the first accepted command on each of its shards, as clients of the doors that are left see it. */
import { ask, machineMs } from "./cluster-ask.ts";
import type { PacerTotals } from "./cluster-pacer.ts";
import { ClusterStage, loadNow, pause, type StageNode, spread } from "./cluster-stage.ts";

export interface FailoverOptions {
  readonly how: "kill" | "hang";
  readonly kills: number;
  readonly shardCount: number;
  readonly standbys: number;
  readonly entities: number;
  readonly rate: number;
  readonly loud: boolean;
}

export async function measureFailover(print: (line?: string) => void, options: FailoverOptions): Promise<void> {
  const { how, kills, shardCount, standbys, entities, rate, loud } = options;
  const stage = new ClusterStage({ shardCount, standbys, nodes: 3, loud });
  const [all, coordinators, others, slowest]: number[][] = [[], [], [], []];
  let totals: PacerTotals = { done: 0, failed: 0, failures: [] };
  const load = loadNow();
  try {
    await stage.open();
    // Clients of all doors, since any may die; those that are measured are at doors that are left.
    const shards = Array.from({ length: shardCount }, (_, shard) => shard);
    await ask(
      stage.load,
      "connect",
      stage.nodes.map(({ url }) => [url, ...doorsBeside(stage, url)]),
    );
    await ask(stage.load, "begin", { type: "wallet", shardCount, shards, entities, rate });
    for (let kill = 0; kill < kills; kill++) {
      const victim = stage.nodes[kill % stage.nodes.length] as StageNode;
      const { owns, coordinates } = await stage.state(victim);
      const fromMs = machineMs();
      victim.child.kill(how === "kill" ? "SIGKILL" : "SIGSTOP");
      const times = await ask<readonly { shard: number; ms: number }[]>(stage.load, "first", {
        shards: owns,
        fromMs,
        besides: kill % stage.nodes.length,
      });
      const each = times.map(({ ms }) => ms);
      all?.push(...each);
      (coordinates ? coordinators : others)?.push(...each);
      slowest?.push(Math.max(...each));
      if (loud) console.error(kill, victim.name, coordinates ? "coordinates" : "", Math.max(...each).toFixed(0));
      if (how === "hang") {
        victim.child.kill("SIGCONT");
        await pause(100);
        victim.child.kill("SIGKILL");
      }
      await stage.restart(victim);
      await stage.settled();
      await ask(stage.load, "reached");
    }
    totals = await ask<PacerTotals>(stage.load, "end");
  } finally {
    await stage.close();
  }
  const what = how === "kill" ? "`kill -9`" : "SIGSTOP";
  print(
    `| ${what} | ${kills} | ${shardCount} | ${standbys} | ${spread(all ?? [])} | ${spread(slowest ?? [])} | ${spread(others ?? [])} | ${spread(coordinators ?? [])} | ${totals.failed} of ${totals.done + totals.failed} | ${load} |`,
  );
  for (const failure of totals.failures) print(`- failed: ${failure}`);
}

export function failoverHead(print: (line?: string) => void): void {
  print("ms from the signal to the first accepted command, sent after it, on a shard of the node.");
  print();
  print(
    "| what | times | shards | standbys | each shard | last shard of the node | node that did not coordinate | node that coordinated | failed commands | load before |",
  );
  print("|---|---|---|---|---|---|---|---|---|---|");
}

function doorsBeside({ nodes }: ClusterStage, url: string): readonly string[] {
  return nodes.map((node) => node.url).filter((each) => each !== url);
}
