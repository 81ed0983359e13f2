/**
 * A node's part in its cluster as metrics. Absent where it is no member of one.
 *
 * Invariant: as `metric-list.ts`.
 */
import type { ClusterFigures } from "../model/cluster-view.ts";
import type { MetricRow } from "./metric-list.ts";

type Value = ReturnType<MetricRow["of"]>;

function row(kind: MetricRow["kind"], name: string, help: string, of: (part: ClusterFigures) => Value): MetricRow {
  return { kind, name: `holdfast_cluster_${name}`, help, of: ({ cluster }) => cluster && of(cluster) };
}

export const clusterRows: readonly MetricRow[] = [
  {
    ...row("gauge", "shards", "Shards that the node owns, and that it follows.", ({ owned, followed }) => ({
      owner: owned,
      standby: followed,
    })),
    label: "role",
  },
  row(
    "gauge",
    "standby_lag_records",
    "Records that the node is behind the owner; the worst of the shards that it follows.",
    (part) => part.lagRecords,
  ),
  row(
    "counter",
    "standby_divergences_total",
    "Copies that had another state than the owner at the same offset, and were made anew: some evolve is not deterministic.",
    (part) => part.diverged,
  ),
  row("gauge", "peers", "Nodes that it has a connection with.", (part) => part.peers),
  row("gauge", "coordinates", "1 while it holds the coordinator's lease.", (part) => Number(part.coordinates)),
  row(
    "counter",
    "forwarded_calls_total",
    "Calls that went to the owner of their shard, repeats among them.",
    (part) => part.forwarded,
  ),
  row("counter", "claims_total", "Shards that became its own.", (part) => part.claims),
  row(
    "counter",
    "failovers_total",
    "Claims of shards that the owner before did not hand over.",
    (part) => part.failovers,
  ),
  {
    ...row("counter", "moves_total", "Live moves that came through.", ({ movesGiven, movesTaken }) => ({
      given: movesGiven,
      taken: movesTaken,
    })),
    label: "direction",
  },
];
