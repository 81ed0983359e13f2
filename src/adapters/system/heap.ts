/** V8's heap. Invariant: asking costs microseconds and causes no collection. */
import { getHeapStatistics } from "node:v8";
import type { HeapGauge } from "../../ports/heap.ts";

export const systemHeap: HeapGauge = {
  usedShare() {
    const { used_heap_size, heap_size_limit } = getHeapStatistics();
    return used_heap_size / heap_size_limit;
  },
};
