/**
 * A service's projections, made of its parts.
 *
 * Invariant: each is of entity types that the service has, by the same definitions.
 */
import { HoldfastError } from "../model/errors.ts";
import { shardOf } from "../model/ids.ts";
import type { ProjectionDefinition } from "../model/projection.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { Feeds } from "../propagation/feed.ts";
import { Projections } from "../propagation/projections.ts";
import type { HoldfastNode } from "../runtime/node.ts";

export interface ProjectionsSetting {
  readonly node: HoldfastNode;
  readonly feeds: Feeds;
  readonly store: SnapshotStore | undefined;
  readonly onFault?: ((where: string, error: unknown) => void) | undefined;
}

/**
 * Not started yet.
 * @throws `invalid-definition` two of one name, or one of an entity type that is not the service's
 */
export function makeProjections(
  definitions: readonly ProjectionDefinition[],
  { node, feeds, store, onFault }: ProjectionsSetting,
): Projections {
  for (const { name, from } of definitions) {
    for (const [type, definition] of from) {
      if (node.definitions.get(type) === definition) continue;
      const problem = `Projection "${name}" is of "${type}", which is not among the service's entities`;
      throw new HoldfastError("invalid-definition", `${problem}; give both the same definition.`);
    }
  }
  const { source, limits, served } = node;
  // Every node folds and answers. All save to the same place, so one does: it is where this name's shard is.
  const saves = (name: string) =>
    served === undefined || served.serves(shardOf("holdfast-projection", name, source.shardCount));
  return new Projections(definitions, {
    feeds,
    store,
    saves,
    clock: source.clock,
    limits,
    door: source.openDoor(new Map(definitions.map((definition) => [definition.name, definition]))),
    run: () => node.run,
    report: (where, error) => onFault?.(where, error),
  });
}
