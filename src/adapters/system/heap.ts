/** V8's heap. Invariant: asking costs microseconds and causes no collection. */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import type { HeapGauge } from "../../ports/heap.ts";

export const systemHeap: HeapGauge = {
  usedShare() {
    const { used_heap_size, heap_size_limit } = getHeapStatistics();
    return used_heap_size / heap_size_limit;
  },
};

/**
 * How much the heap may grow beyond what lives before all of it is collected, in percent of that. V8's own choice is up to
 * 300: a node whose entities come and go promotes 20 MB/s that die there, and one late collection of 500 MB stalled its
 * event loop for 240 ms, where one of 200 MB takes 30 (`npm run bench:scale`).
 */
export const heapGrowthPercent = 70;

/** Sets it for this process, from the next collection on. V8 reads this flag at each of them, so it may be set late. */
export function limitHeapGrowth(percent: number = heapGrowthPercent): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
