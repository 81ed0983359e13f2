/**
 * A node's figures in the form of Prometheus. Each metric is explained in docs/patterns/observability.md.
 *
 * Invariants:
 * 1. The way of a command pays nothing: what the node counts anyway is read when somebody asks. Only the three histograms
 *    of appends are fed as it goes, once per group commit.
 * 2. Labels have few values: known to the code, or names of subscribers, which are bounded. No entity, key, principal or payload is in a metric.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { ProcessWatch } from "../adapters/system/process.ts";
import type { Subscribers } from "../propagation/subscribers.ts";
import type { HoldfastNode } from "../runtime/node.ts";
import type { Figures } from "../runtime/service.ts";
import { clusterRows } from "./cluster-metrics.ts";
import { type MetricRow, metricRows } from "./metric-list.ts";
import { addProcessMetrics } from "./process-metrics.ts";
import { addSubscriberMetrics } from "./subscriber-metrics.ts";

const appendSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const appendRecords = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384];
const appendBytes = [512, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #registry = new Registry();
  readonly #node: Pick<HoldfastNode, "figures" | "onCommit">;
  readonly #process: ProcessWatch;
  readonly #endCommits: () => void;
  #figures: Figures | undefined;

  constructor(node: Pick<HoldfastNode, "figures" | "onCommit">, subscribers?: Pick<Subscribers, "list">) {
    this.#node = node;
    if (subscribers !== undefined) addSubscriberMetrics(this.#registry, () => subscribers.list());
    for (const row of [...metricRows, ...clusterRows]) this.#add(row);
    this.#endCommits = this.#followCommits();
    this.#process = addProcessMetrics(this.#registry);
  }

  /** In the text form of Prometheus. */
  async text(): Promise<string> {
    this.#figures = await this.#node.figures();
    return await this.#registry.metrics();
  }

  close(): void {
    this.#endCommits();
    this.#process.close();
    this.#registry.clear();
  }

  #add({ kind, name, help, label, of }: MetricRow): void {
    const read = () => this.#figures && of(this.#figures);
    const labelNames = label === undefined ? [] : [label];
    const registers = [this.#registry];
    if (kind === "gauge") {
      const gauge = new Gauge({ name, help, labelNames, registers, collect: () => set(read()) });
      const set = (value: ReturnType<typeof read>): void => {
        // What is not there is not shown; a label that is gone is not shown any more.
        if (label !== undefined) gauge.reset();
        else if (value === undefined) gauge.remove();
        if (typeof value === "number") gauge.set(value);
        else for (const [key, each] of Object.entries(value ?? {})) gauge.set({ [label as string]: key }, each);
      };
      return;
    }
    const counter = new Counter({ name, help, labelNames, registers, collect: () => set(read()) });
    const set = (value: ReturnType<typeof read>): void => {
      counter.reset();
      if (typeof value === "number") counter.inc(value);
      else for (const [key, each] of Object.entries(value ?? {})) counter.inc({ [label as string]: key }, each);
    };
  }

  #followCommits(): () => void {
    const registers = [this.#registry];
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name, help, buckets, registers });
    const seconds = histogram(
      "holdfast_append_seconds",
      "Time of an append of the log: a group commit.",
      appendSeconds,
    );
    const records = histogram("holdfast_append_records", "Records in an append.", appendRecords);
    const bytes = histogram("holdfast_append_bytes", "Bytes of an append's frames.", appendBytes);
    return this.#node.onCommit((commit) => {
      seconds.observe(commit.ms / 1_000);
      records.observe(commit.records);
      bytes.observe(commit.bytes);
    });
  }
}
