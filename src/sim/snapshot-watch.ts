/**
 * Looks at every head of snapshots that is published, with the store's own decoders.
 *
 * Invariant checked: the epoch of a shard's head never goes down, nor the offset of its newest generation under one epoch.
 */
import type { MemoryObjects, SnapshotStoreCall } from "../adapters/memory/snapshot-store.ts";
import type { ShardId } from "../model/ids.ts";
import { decodeHead, decodeManifest, type Head } from "../wire/snapshot.ts";
import type { World } from "./world.ts";

const headName = /^shards\/(\d+)\/head$/;

export class SnapshotWatch {
  readonly #world: World;
  readonly #objects: MemoryObjects;
  /** The head before the last, by name. */
  readonly older = new Map<string, Uint8Array>();
  readonly #last = new Map<string, Uint8Array>();
  readonly #heads = new Map<ShardId, Head>();

  constructor(world: World, objects: MemoryObjects) {
    this.#world = world;
    this.#objects = objects;
  }

  /** A call took effect. */
  saw({ verb, name }: SnapshotStoreCall): void {
    const match = headName.exec(name);
    if (verb !== "replace" || match === null) return;
    const shard = Number(match[1]);
    const head = headOf(this.#objects, shard);
    const before = this.#heads.get(shard);
    if (head === undefined) return;
    this.#heads.set(shard, head);
    const bytes = this.#last.get(name);
    if (bytes !== undefined) this.older.set(name, bytes);
    this.#last.set(name, Uint8Array.from(this.#objects.objects.get(name)?.bytes ?? []));
    const [newest] = head.generations;
    if (before !== undefined && head.epoch < before.epoch)
      this.#world.violated(
        "a deposed owner publishes no snapshot",
        `shard ${shard}: a head of epoch ${head.epoch} after one of ${before.epoch}`,
      );
    if (newest === undefined || newest.name === before?.generations[0]?.name) return;
    this.#world.counts.snapshots++;
    this.#world.note(`snapshot of shard ${shard} at ${newest.at}, epoch ${newest.epoch}`);
  }
}

function headOf(objects: MemoryObjects, shard: ShardId): Head | undefined {
  const name = `shards/${shard}/head`;
  const found = objects.objects.get(name);
  return found && decodeHead(found.bytes, name, shard);
}

/**
 * Names of what only the newest generation of a shard needs, if there is a good one before it that can do in its place.
 * @param spoilt names of objects that are bad already
 */
export function exclusiveObjects(objects: MemoryObjects, shard: ShardId, spoilt: ReadonlySet<string>): string[] {
  const [newest, ...older] = headOf(objects, shard)?.generations ?? [];
  if (newest === undefined) return [];
  const good = older.map(({ name }) => namesOf(objects, shard, name)).find((names) => isGood(names, spoilt));
  const own = namesOf(objects, shard, newest.name);
  if (good === undefined || !isGood(own, spoilt)) return [];
  return own.filter((name) => !good.includes(name) && objects.objects.has(name));
}

/** Nothing was done to it here: whatever else happened to it is the node's doing. */
function isGood(names: readonly string[], spoilt: ReadonlySet<string>): boolean {
  return names.every((name) => !spoilt.has(name));
}

/** Everything that a generation needs, as far as that can be known. */
function namesOf(objects: MemoryObjects, shard: ShardId, manifest: string): string[] {
  const found = objects.objects.get(manifest);
  try {
    const { layers, requests } = decodeManifest(found?.bytes ?? new Uint8Array(0), manifest, shard);
    return [manifest, ...[...layers.flatMap(({ parts }) => parts), ...requests].map(({ name }) => name)];
  } catch {
    return [manifest];
  }
}
