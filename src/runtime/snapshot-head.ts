/**
 * The head of a shard's snapshots and the manifests it lists, as they are found in the store.
 *
 * Invariant: a head or manifest that fails its checks is told apart from one that is not there, and neither stops anybody
 * from using what is whole: without a readable head the manifests are found by listing them. Any whole manifest is true,
 * whoever wrote it, because its images rest on durable records alone.
 */
import { type HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { ObjectTag } from "../ports/snapshot-store.ts";
import {
  damaged,
  decodeHead,
  decodeManifest,
  type Generation,
  type Head,
  type Manifest,
  sha256,
} from "../wire/snapshot.ts";
import type { ShardObjects } from "./snapshot-objects.ts";

/** Generations that a head lists. */
export const generationsMax = 3;

export interface FoundHead {
  /** Of the object that is there, whole or not; undefined if there is none. */
  readonly tag: ObjectTag | undefined;
  readonly head: Head;
  readonly problem: HoldfastError | undefined;
}

/** An object that could not be used, and why. */
export interface SnapshotProblem {
  readonly name: string;
  readonly error: HoldfastError;
}

export async function findHead(objects: ShardObjects): Promise<FoundHead> {
  const found = await objects.store.get(objects.headName);
  if (found === undefined) return { tag: undefined, head: await rebuildHead(objects), problem: undefined };
  try {
    return { tag: found.tag, head: decodeHead(found.bytes, objects.headName, objects.shard), problem: undefined };
  } catch (error) {
    if (!isDamage(error)) throw error;
    return { tag: found.tag, head: await rebuildHead(objects), problem: error };
  }
}

/** What the head would say, from the manifests that are there. */
async function rebuildHead(objects: ShardObjects): Promise<Head> {
  const { shard } = objects;
  const found: (Generation & { readonly key: string })[] = [];
  let epoch = 0;
  for await (const name of objects.store.list(`${objects.prefix}manifests/`)) {
    const stamp = objects.stampOf(name);
    if (stamp === undefined) continue;
    epoch = Math.max(epoch, stamp.epoch);
    const bytes = (await objects.store.get(name))?.bytes;
    const manifest = bytes === undefined ? undefined : tryManifest(bytes, name, objects);
    if (bytes === undefined || manifest === undefined) continue;
    const { generation, at } = manifest;
    found.push({ generation, epoch: manifest.epoch, at, name, length: bytes.length, sha256: sha256(bytes), key: name });
  }
  found.sort((one, other) => other.at - one.at || other.epoch - one.epoch || other.generation - one.generation);
  const generations = found.slice(0, generationsMax).map(({ key: _, ...generation }) => generation);
  return { shard, epoch, generations };
}

function tryManifest(bytes: Uint8Array, name: string, objects: ShardObjects): Manifest | undefined {
  try {
    return decodeManifest(bytes, name, objects.shard);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** The manifest of a listed generation. @throws `snapshot-damaged` */
export async function fetchManifest(objects: ShardObjects, listed: Generation): Promise<Manifest> {
  const manifest = decodeManifest(await objects.fetch(listed), listed.name, objects.shard);
  if (manifest.at !== listed.at || manifest.generation !== listed.generation)
    throw damaged(listed.name, "is another generation's");
  return manifest;
}

export function isDamage(error: unknown): error is HoldfastError {
  return isHoldfastError(error) && error.code === "snapshot-damaged";
}
