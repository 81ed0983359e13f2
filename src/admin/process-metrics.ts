/**
 * The process as metrics.
 *
 * Invariant: values are read when somebody asks; only pauses of the collector are noted as they come.
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { type ProcessWatch, watchProcess } from "../adapters/system/process.ts";

const pauseSeconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1];

/** @returns what is to be closed with the registry */
export function addProcessMetrics(registry: Registry): ProcessWatch {
  const registers = [registry];
  const pauses = new Histogram({
    name: "holdfast_gc_pause_seconds",
    help: "Pauses of the garbage collector.",
    labelNames: ["kind"],
    buckets: pauseSeconds,
    registers,
  });
  const watch = watchProcess((kind, ms) => pauses.observe({ kind }, ms / 1_000));
  new Gauge({
    name: "holdfast_event_loop_delay_seconds",
    help: "How much later than asked for the event loop came around, since the last time this was read.",
    labelNames: ["quantile"],
    registers,
    collect() {
      for (const [quantile, seconds] of Object.entries(watch.delays())) this.set({ quantile }, seconds);
    },
  });
  new Gauge({
    name: "holdfast_memory_bytes",
    help: "Memory of the process: resident, V8's heap, outside it.",
    labelNames: ["kind"],
    registers,
    collect() {
      for (const [kind, bytes] of Object.entries(watch.memory())) this.set({ kind }, bytes);
    },
  });
  new Counter({
    name: "holdfast_cpu_seconds_total",
    help: "Processor time of the process.",
    registers,
    collect() {
      this.reset();
      this.inc(watch.cpuSeconds());
    },
  });
  return watch;
}
