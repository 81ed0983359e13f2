/**
 * The key store of an embedded service: where it is, and when one is made.
 *
 * Invariant: no key store is made beside a log that may hold values sealed under another one: that would read as erased, or
 * as damaged, what only needs its keys back.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openKeyFiles } from "../adapters/keys/files.ts";
import { openDirectory } from "../adapters/system/disk.ts";
import { systemRandom } from "../adapters/system/random.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { KeyStore } from "../ports/key-store.ts";
import type { LogReader } from "../ports/log.ts";
import { sealedMember } from "../std/reserved.ts";

export interface KeysOptions {
  readonly directory: string;
  readonly entities: readonly EntityDefinition[];
  readonly log: Pick<LogReader, "tail" | "read">;
  readonly shardCount: number;
  /** It stands elsewhere. */
  readonly given?: KeyStore | undefined;
  /** Make one whatever the log holds. */
  readonly newKeys: boolean;
}

/** The directory of a service's keys. */
export function keysDirectory(directory: string): string {
  return join(directory, "keys");
}

/**
 * Undefined if the service has no personal data and never had.
 * @throws `keys-damaged` it is damaged, or missing where it must be; `directory-in-use`
 */
export async function openKeys(options: KeysOptions): Promise<KeyStore | undefined> {
  const { directory, entities, newKeys, given } = options;
  if (given !== undefined) return given;
  const place = keysDirectory(directory);
  const disk = () => openDirectory(place);
  if (existsSync(join(place, "keys"))) return await openKeyFiles({ disk: disk(), random: systemRandom, create: false });
  const isPersonal = entities.some(({ personal }) => personal);
  // its notes without its keys: the store says so itself
  if (!isPersonal && !existsSync(place)) return undefined;
  if (!newKeys) await checkUnsealed(options, place);
  return await openKeyFiles({ disk: disk(), random: systemRandom });
}

/** A service may declare personal data only now; then its log is whole and holds nothing sealed. */
async function checkUnsealed({ log, shardCount }: KeysOptions, place: string): Promise<void> {
  const shards = Array.from({ length: shardCount }, (_, shard) => shard);
  const from = new Map<number, number>();
  for (const [shard, { tail, trimmed }] of (await log.tail(shards)).entries()) {
    if (trimmed > 1) throw missing(place, `the log of shard ${shard} begins at offset ${trimmed}, behind snapshots`);
    if (tail > 1) from.set(shard, 1);
  }
  if (from.size === 0) return;
  for await (const frames of log.read(from)) {
    for (const { shard, at, bytes } of frames) {
      if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(sealedMember))
        throw missing(place, `the log of shard ${shard} holds sealed values at offset ${at}`);
    }
  }
}

function missing(place: string, why: string): HoldfastError {
  return new HoldfastError(
    "keys-damaged",
    `There is no key store at ${place}, and ${why}. Restore it from a backup; or, if nothing was ever sealed here, start once with \`newKeys: true\`.`,
    { details: { place } },
  );
}
