/** Any order of faults, operators and changes of coordinators: when it is over, all is served again. */
import { test } from "node:test";
import fc from "fast-check";
import { sameNode } from "../../model/cluster.ts";
import { assertServed, startCluster, type TestCluster } from "./coordinator.harness.ts";

const names = ["a", "b", "c", "d", "e"] as const;

const fault = fc.record({
  kind: fc.constantFrom(
    ...([
      "kill",
      "hang",
      "wake",
      "join",
      "cut",
      "heal",
      "drain",
      "undrain",
      "coordinate",
      "lose",
      "move",
      "stick",
    ] as const),
  ),
  node: fc.constantFrom(...names),
  other: fc.constantFrom(...names),
  afterMs: fc.constantFrom(0, 100, 300, 1_000, 5_000, 10_000),
});

type Fault = typeof fault extends fc.Arbitrary<infer Value> ? Value : never;

test("when it is over, every shard is served by its owner, followed, and balanced", () => {
  const runs = fc.record({
    faults: fc.array(fault, { maxLength: 25 }),
    writeMs: fc.constantFrom(0, 100, 400),
    takenOver: fc.boolean(),
  });
  fc.assert(
    fc.property(runs, ({ faults, writeMs, takenOver }) => {
      const cluster = startCluster(names, { shardCount: 20, suspicionRestMs: 20_000, handHoldMs: 10_000, writeMs });
      for (const one of faults) {
        strike(cluster, one);
        cluster.run(one.afterMs);
      }
      heal(cluster, takenOver);
      cluster.run(100_000);
      assertServed(cluster, names);
    }),
    { numRuns: 40 },
  );
});

function strike(cluster: TestCluster, { kind, node, other }: Fault): void {
  const process = cluster.members.get(node);
  if (kind === "join") cluster.join(node);
  else if (kind === "heal") cluster.cuts.clear();
  else if (kind === "lose") cluster.lostAnswers = 2;
  else if (kind === "cut") cluster.cut(node, other);
  else if (kind === "stick") cluster.stuck.add(node);
  else if (process === undefined) return;
  else if (kind === "kill") process.state = "killed";
  else if (kind === "hang" && process.state === "runs") process.state = "hangs";
  else if (kind === "wake" && process.state === "hangs") process.state = "runs";
  else if (kind === "coordinate" && process.state === "runs") cluster.coordinate(node);
  else if (kind === "drain" || kind === "undrain") cluster.verb({ kind: "drain", node, on: kind === "drain" });
  else if (kind === "move") cluster.verb({ kind: "move", shards: [3, 7], to: node });
}

/** All nodes run and reach each other; somebody coordinates, with what it remembers unless another takes over. */
function heal(cluster: TestCluster, takenOver: boolean): void {
  cluster.cuts.clear();
  cluster.stuck.clear();
  cluster.lostAnswers = 0;
  const { options, startedMs } = cluster.coordinator;
  const coordinates = sameNode(cluster.members.get(options.self.node)?.ref, options.self);
  const runs = cluster.members.get(options.self.node)?.state === "runs";
  const remains = !takenOver && coordinates && runs && startedMs !== undefined;
  for (const node of names) {
    if (cluster.members.get(node)?.state !== "runs") cluster.join(node);
    if (remains) cluster.verb({ kind: "drain", node, on: false });
    else cluster.describe(node, {});
  }
  if (!remains) cluster.coordinate("a");
}
