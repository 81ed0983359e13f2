/**
 * One node of the benchmark's cluster, as a process. Argument: `NodeSettings` as JSON.
 *
 * It answers the questions of `ClusterStage`, and can call itself: callers in the same process, whose pauses hold no socket.
 */
import { type ClusterService, startCluster } from "holdfast/cluster";
import type { CallResult } from "../src/model/records.ts";
import { answerQuestions } from "./cluster-ask.ts";
import { bulk, commandOf } from "./cluster-entities.ts";
import { Pacer, type PacerOrder } from "./cluster-pacer.ts";
import type { NodeSettings, NodeState } from "./cluster-stage.ts";
import { uuidV7 } from "./uuid.ts";
import { wallet } from "./wallet.ts";

const settings = JSON.parse(process.argv[2] ?? "null") as NodeSettings;
const service: ClusterService = await startCluster({
  entities: [wallet, bulk],
  directory: settings.directory,
  shared: settings.shared,
  name: settings.name,
  postgres: { connection: settings.postgres },
  peer: { secrets: ["only-for-this-benchmark-0123456789"] },
  standbys: settings.standbys,
  ...(settings.leaseMs === undefined ? {} : { leaseMs: settings.leaseMs }),
  port: settings.port,
  progress: false,
  limits: { createsPerMinuteMax: 10_000_000 },
  authenticate: async () => ({ principal: { kind: "service", id: "bench" } }),
  onFault: (where, error) => {
    if (settings.loud)
      console.error(`${settings.name}: ${where}: ${error instanceof Error ? error.message : String(error)}`);
  },
});
const { cluster, node } = service;
const principal = { kind: "service", id: "bench" } as const;
const pacer = new Pacer(
  (type, key) =>
    new Promise<void>((resolve, reject) => {
      const { command, input } = commandOf(type);
      node.execute({ entity: { type, key }, command, input, requestId: uuidV7(), principal }, (result: CallResult) =>
        result.ok ? resolve() : reject(new Error(`${result.code}: ${"detail" in result ? result.detail : ""}`)),
      );
    }),
);

answerQuestions({
  state: (): NodeState => {
    const { shards } = cluster.report();
    const of = (role: string) => shards.filter((each) => each.role === role).map(({ shard }) => shard);
    return { owns: of("owner"), ready: of("standby"), coordinates: cluster.coordinates };
  },
  move: async ({ shards, to }: { shards: readonly number[]; to: string }) => service.move(shards, to),
  cpu: () => process.cpuUsage(),
  begin: (order: PacerOrder) => pacer.begin(order),
  open: () => pacer.open(),
  shut: () => pacer.shut(),
  end: () => pacer.end(),
  stop: async () => {
    await service.stop();
    setTimeout(() => process.exit(0), 10);
  },
});
process.once("SIGTERM", () => void service.stop().then(() => process.exit(0)));
process.once("disconnect", () => process.exit(0));
process.send?.({ url: service.url });
