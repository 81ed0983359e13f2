/** What one step of placement costs at its largest: 1,000 nodes and 4,096 shards. Run by `npm run bench -- --only placement`. */

import { type Cluster, clusterOf, nodesOf, settle } from "../src/core/cluster/placement.harness.ts";
import { type PlacementNode, placement } from "../src/core/cluster/placement.ts";

const rounds = 9;

export function measurePlacement(print: (line?: string) => void): void {
  const zones = ["z1", "z2", "z3"];
  const nodes = nodesOf(1_000, (index) => ({ weight: 1 + (index % 3), zone: zones[index % zones.length] }));
  const { cluster: calm } = settle(clusterOf(nodes, 4_096, { movesMax: 4_096 }));
  const left = (out: (index: number) => boolean): readonly PlacementNode[] => nodes.filter((_, index) => !out(index));
  const came = nodesOf(100).map((node) => ({ ...node, ref: { node: `new-${node.ref.node}`, generation: 1 } }));
  const cases: readonly (readonly [string, Cluster])[] = [
    ["nothing changes", calm],
    ["50 nodes die", { ...calm, nodes: left((index) => index % 20 === 7) }],
    ["500 nodes die", { ...calm, nodes: left((index) => index % 2 === 1) }],
    ["100 nodes come", { ...calm, nodes: [...nodes, ...came] }],
    ["nothing was assigned", clusterOf(nodes, 4_096)],
  ];
  print("## Placement");
  print();
  print(
    `One step over 1,000 nodes and 4,096 shards, with a standby each in another of three zones; medians of ${rounds}.`,
  );
  print();
  print("| what happens | ms |");
  print("|---|---|");
  for (const [name, cluster] of cases) print(`| ${name} | ${medianMs(() => placement(cluster)).toFixed(1)} |`);
  print();
}

function medianMs(run: () => void): number {
  const taken: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const begunMs = performance.now();
    run();
    taken.push(performance.now() - begunMs);
  }
  return taken.toSorted((one, other) => one - other)[Math.floor(rounds / 2)] as number;
}
