/**
 * Which metrics there are, and where in a node's figures their values stand.
 *
 * Invariant: names end in their unit; what only grows ends in `_total`. A label's values are few and known to the code.
 */
import type { ProjectionStatus } from "../model/projection-status.ts";
import type { Figures, Phase } from "../runtime/service.ts";

export interface MetricRow {
  readonly kind: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  /** Then the value is one for each of its values. */
  readonly label?: string;
  /** Undefined: not known at the moment. */
  readonly of: (figures: Figures) => number | Readonly<Record<string, number>> | undefined;
}

const phases: readonly Phase[] = ["starting", "recovering", "serving", "draining", "stopped"];

const work: readonly MetricRow[] = [
  { kind: "counter", name: "holdfast_commands_total", help: "Commands that were asked for.", of: (at) => at.commands },
  { kind: "counter", name: "holdfast_queries_total", help: "Queries that were asked for.", of: (at) => at.queries },
  {
    kind: "counter",
    name: "holdfast_replies_total",
    help: "Answers to commands, queries and operators.",
    label: "code",
    of: (at) => ({ ok: 0, overloaded: 0, ...at.replies }),
  },
  {
    kind: "counter",
    name: "holdfast_over_budget_total",
    help: "Steps of the author's code that took longer than decideBudgetMs.",
    of: (at) => at.overBudget,
  },
  { kind: "gauge", name: "holdfast_calls", help: "Calls that are not settled.", of: (at) => at.calls },
  {
    kind: "gauge",
    name: "holdfast_calls_parked",
    help: "Calls that wait for an operator.",
    of: (at) => at.callsParked,
  },
  { kind: "gauge", name: "holdfast_calls_running", help: "Handlers that run.", of: (at) => at.callsRunning },
];

const lifecycle: readonly MetricRow[] = [
  {
    kind: "gauge",
    name: "holdfast_phase",
    help: "1 at the phase the node is in.",
    label: "phase",
    of: (at) => Object.fromEntries(phases.map((phase) => [phase, at.phase === phase ? 1 : 0])),
  },
  { kind: "gauge", name: "holdfast_shards", help: "Shards by phase.", label: "phase", of: (at) => ({ ...at.shards }) },
  {
    kind: "gauge",
    name: "holdfast_read_only",
    help: "1 while the log has no space: commands are refused.",
    of: (at) => Number(at.readOnly),
  },
  {
    kind: "gauge",
    name: "holdfast_recovery_records",
    help: "Records that recoveries had to replay, and those that they have replayed.",
    label: "what",
    of: (at) => ({ wanted: at.toRecover, done: at.recovered }),
  },
  {
    kind: "gauge",
    name: "holdfast_recovery_eta_seconds",
    help: "How long the recovery will take still; absent outside of one.",
    of: (at) => at.etaMs && at.etaMs / 1_000,
  },
];

const memory: readonly MetricRow[] = [
  { kind: "gauge", name: "holdfast_entities_hot", help: "Entities in memory.", of: (at) => at.hot },
  { kind: "gauge", name: "holdfast_entities_hot_bytes", help: "Bytes of entities in memory.", of: (at) => at.hotBytes },
  {
    kind: "gauge",
    name: "holdfast_entities_stored",
    help: "Entities that have an image in the state store.",
    of: (at) => at.stored,
  },
  { kind: "counter", name: "holdfast_lookups_total", help: "Lookups of entities.", of: (at) => at.lookups },
  {
    kind: "counter",
    name: "holdfast_activations_total",
    help: "Lookups that had to read the state store.",
    of: (at) => at.activations,
  },
  {
    kind: "counter",
    name: "holdfast_evictions_total",
    help: "Entities that were forgotten to make room.",
    of: (at) => at.evictions,
  },
  {
    kind: "gauge",
    name: "holdfast_entities_quarantined",
    help: "Entities that are parked.",
    of: (at) => at.quarantined,
  },
];

const kept: readonly MetricRow[] = [
  {
    kind: "gauge",
    name: "holdfast_checkpoint_lag_records",
    help: "Records of one shard that no checkpoint contains; the worst shard.",
    of: (at) => at.checkpoint.lagRecords,
  },
  {
    kind: "gauge",
    name: "holdfast_checkpoint_age_seconds",
    help: "Age of the last checkpoint of a shard that changed since; the worst shard.",
    of: (at) => at.checkpoint.ageMs / 1_000,
  },
  {
    kind: "gauge",
    name: "holdfast_shards_withheld",
    help: "Shards that are not checkpointed nor trimmed until an operator has dealt with an entity.",
    of: (at) => at.checkpoint.withheld,
  },
  {
    kind: "gauge",
    name: "holdfast_snapshot_lag_records",
    help: "Records of one shard that no snapshot contains; the worst shard.",
    of: (at) => at.snapshot.lagRecords,
  },
  {
    kind: "gauge",
    name: "holdfast_snapshot_age_seconds",
    help: "Age of the last snapshot of a shard that changed since; the worst shard.",
    of: (at) => at.snapshot.ageMs / 1_000,
  },
  {
    kind: "counter",
    name: "holdfast_snapshot_objects_total",
    help: "Objects written to the snapshot store.",
    of: (at) => at.snapshots.objects,
  },
  {
    kind: "counter",
    name: "holdfast_snapshot_written_bytes_total",
    help: "Bytes written to the snapshot store.",
    of: (at) => at.snapshots.writtenBytes,
  },
  {
    kind: "counter",
    name: "holdfast_snapshot_read_bytes_total",
    help: "Bytes read from the snapshot store.",
    of: (at) => at.snapshots.readBytes,
  },
  { kind: "gauge", name: "holdfast_log_records", help: "Records that the log has.", of: (at) => at.log?.records },
  {
    kind: "gauge",
    name: "holdfast_log_trimmed_records",
    help: "Records at the beginning of the log that it no longer shows.",
    of: (at) => at.log?.trimmed,
  },
];

const ofEach = (at: Figures, value: (status: ProjectionStatus) => number) =>
  at.projections && Object.fromEntries(at.projections.map((status) => [status.name, value(status)]));

/** The label is a projection's name: the author's, of which there are few. */
const projections: readonly MetricRow[] = [
  {
    kind: "gauge",
    name: "holdfast_projection_lag_records",
    help: "Records that are durable and that the projection has not looked at.",
    label: "projection",
    of: (at) => ofEach(at, ({ lag }) => lag?.records ?? 0),
  },
  {
    kind: "gauge",
    name: "holdfast_projection_lag_seconds",
    help: "Age of the oldest of those records.",
    label: "projection",
    of: (at) => ofEach(at, ({ lag }) => lag?.seconds ?? 0),
  },
  {
    kind: "gauge",
    name: "holdfast_projection_current",
    help: "1 while readers get what this code folded; 0 while it is built, and where it failed.",
    label: "projection",
    of: (at) => ofEach(at, ({ phase, served, version }) => Number(phase === "serving" && served === version)),
  },
  {
    kind: "gauge",
    name: "holdfast_projection_documents",
    help: "Documents of the projection.",
    label: "projection",
    of: (at) => ofEach(at, ({ documents }) => documents),
  },
  {
    kind: "gauge",
    name: "holdfast_projection_bytes",
    help: "Bytes of its documents.",
    label: "projection",
    of: (at) => ofEach(at, ({ bytes }) => bytes),
  },
];

export const metricRows: readonly MetricRow[] = [...work, ...lifecycle, ...memory, ...kept, ...projections];
