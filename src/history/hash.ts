/**
 * State hashes, and the file in which those of a whole service are kept.
 *
 * Invariant: one state has one hash, on every machine and version: SHA-256 over the canonical JSON of the state.
 */
import { createHash } from "node:crypto";
import { copyState } from "../core/image.ts";
import { HoldfastError } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import { canonicalJson } from "../std/canonical.ts";

/** What a service was, as of the tails of its shards. */
export interface StateHashes {
  readonly format: "holdfast-state-hashes";
  readonly version: 1;
  readonly shardCount: number;
  /** Tail of each shard, by its number. */
  readonly tails: readonly Offset[];
  /** By `type/key`. */
  readonly entities: Readonly<Record<string, StateHash>>;
}

export interface StateHash {
  /** Offset of the last record with events. */
  readonly version: Offset;
  /** Hexadecimal. */
  readonly hash: string;
}

/** @throws PlainError the state is not plain data */
export function hashState(state: unknown): string {
  return createHash("sha256")
    .update(canonicalJson(copyState(state)))
    .digest("hex");
}

/** One line per entity, in the order of their names, so that two files can be compared by eye. */
export function writeHashes(hashes: StateHashes): string {
  const { entities, ...head } = hashes;
  const lines = Object.keys(entities)
    .sort()
    .map((name) => `    ${JSON.stringify(name)}: ${JSON.stringify(entities[name])}`);
  return `{\n  ${JSON.stringify(head).slice(1, -1)},\n  "entities": {\n${lines.join(",\n")}\n  }\n}\n`;
}

/** @throws `invalid-input` the text is not such a file */
export function readHashes(text: string): StateHashes {
  let value: Partial<StateHashes> | null;
  try {
    value = JSON.parse(text) as Partial<StateHashes> | null;
  } catch {
    throw notHashes("it is not JSON");
  }
  if (value?.format !== "holdfast-state-hashes") throw notHashes("it does not say so");
  if (value.version !== 1) throw notHashes(`it has version ${String(value.version)}, and this code reads version 1`);
  const { tails, entities, shardCount } = value;
  const fits = Array.isArray(tails) && tails.length === shardCount && typeof entities === "object" && entities !== null;
  if (!fits) throw notHashes("parts of it are missing");
  return value as StateHashes;
}

function notHashes(why: string): HoldfastError {
  const text = `This is no file of state hashes: ${why}. Make one with \`holdfast verify --write\`.`;
  return new HoldfastError("invalid-input", text);
}
