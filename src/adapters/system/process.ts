/**
 * What the process tells of itself: pauses of the garbage collector, how late the event loop is, memory, processor time.
 *
 * Invariant: after `close` nothing is observed. (The metrics that prom-client brings for this cannot be switched off again,
 * and note one pause of several that come together.)
 */
import { constants, monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";

const kinds: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: "major",
  [constants.NODE_PERFORMANCE_GC_MINOR]: "minor",
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: "incremental",
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: "weak callbacks",
};

/** How often the delay of the event loop is measured, ms: what is shorter is not seen. */
const resolution = 10;

/** What Node tells of a collection. */
interface Collection {
  /** ms */
  readonly duration: number;
  readonly detail: { readonly kind: number };
}

export interface ProcessWatch {
  /** How much later than asked for the event loop came around since this was asked last, in seconds by quantile. */
  delays(): Readonly<Record<"0.5" | "0.99" | "1", number>>;
  /** Bytes: resident, used of the heap, of the whole heap, outside it. */
  memory(): Readonly<Record<"rss" | "heapUsed" | "heapTotal" | "external", number>>;
  cpuSeconds(): number;
  close(): void;
}

/** @param paused told of each pause of the collector */
export function watchProcess(paused: (kind: string, ms: number) => void): ProcessWatch {
  const observer = new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries() as unknown as readonly Collection[])
      paused(kinds[detail.kind] ?? "other", duration);
  });
  observer.observe({ entryTypes: ["gc"] });
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  // The measuring timer's own interval is part of what it measures.
  const seconds = (nanos: number) => Math.max(0, nanos / 1e9 - resolution / 1_000);
  return {
    delays: () => {
      const none = delay.count === 0;
      const [half, most, all] = [delay.percentile(50), delay.percentile(99), delay.max].map(seconds);
      delay.reset();
      return none ? { "0.5": 0, "0.99": 0, "1": 0 } : { "0.5": half ?? 0, "0.99": most ?? 0, "1": all ?? 0 };
    },
    memory: () => {
      const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
      return { rss, heapUsed, heapTotal, external };
    },
    cpuSeconds: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    close: () => {
      observer.disconnect();
      delay.disable();
    },
  };
}
