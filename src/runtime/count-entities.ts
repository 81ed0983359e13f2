/**
 * What a node tells of its entities.
 *
 * Invariant: it counts what every shard's present incarnation has; an incarnation's lookups end with it.
 */
import type { Health } from "./service.ts";
import type { ShardHost } from "./shard-host.ts";

export function countEntities(
  hosts: readonly ShardHost[],
): Pick<Health, "hot" | "hotBytes" | "lookups" | "activations" | "quarantined"> {
  const counts = { hot: 0, hotBytes: 0, lookups: 0, activations: 0, quarantined: 0 };
  for (const { owner } of hosts) {
    counts.hot += owner.slots.size;
    counts.hotBytes += owner.slots.bytes;
    counts.lookups += owner.slots.hits + owner.slots.activations;
    counts.activations += owner.slots.activations;
    counts.quarantined += owner.parked.size;
  }
  return counts;
}
