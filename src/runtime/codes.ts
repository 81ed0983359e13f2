/**
 * Which code evolved the states that were kept, and what to do with those of other code.
 *
 * As long as the log reaches back to its first record, states of other code are evolved again from it. Once it is trimmed
 * they are evolved again through the archive, if that is whole and not too long. Else the kept state goes through the
 * definition's `migrate` if its `version` was raised, and is taken as it is if the version is the same, which is how an author
 * says that older states still hold. Where that is not allowed, an archive that is whole is replayed however long it is.
 *
 * Invariant: a state of an older `version` without a `migrate`, or of a newer one, is never used.
 */
import type { EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { StoredImage } from "../model/images.ts";
import { stateFrom, stateVersionOf } from "../model/state-version.ts";
import type { Plain } from "../std/plain.ts";
import { decodeImage, encodeImage } from "../wire/image.ts";

/** `version:state version` by entity type. */
export type Codes = Readonly<Record<string, string>>;

export function codesOf(definitions: ReadonlyMap<string, EntityDefinition>): Codes {
  return Object.fromEntries([...definitions].map(([name, each]) => [name, `${each.version}:${stateVersionOf(each)}`]));
}

/** Whether the same code evolved both. */
export function sameCodes(left: Codes, right: Codes): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => left[name] === right[name]);
}

function isPart(part: Codes, whole: Codes): boolean {
  return Object.entries(part).every(([name, code]) => whole[name] === code);
}

/** What there is of a shard's past beside kept states. */
export interface Past {
  /** The log still has its first record; or the archive has, up to where the log begins. */
  readonly logWhole: boolean;
  readonly archiveWhole: boolean;
  /** Of the whole past. */
  readonly records: number;
}

/**
 * What is done with the states that a snapshot keeps:
 * - `take`    as they are, the same code evolved them
 * - `replay`  they are left, and evolved again from the first record on
 * - `convert` each goes through `converterOf`, which refuses what it cannot
 */
export type Plan = "take" | "replay" | "convert";

export function planFor(
  kept: Codes,
  definitions: ReadonlyMap<string, EntityDefinition>,
  past: Past,
  replayRecordsMax: number,
): Plan {
  if (sameCodes(kept, codesOf(definitions))) return "take";
  if (past.logWhole) return "replay";
  // Types that were added have no states yet.
  if (!past.archiveWhole || isPart(kept, codesOf(definitions))) return "convert";
  return past.records <= replayRecordsMax || sortCodes(kept, definitions).lost.size > 0 ? "replay" : "convert";
}

/**
 * What turns images of other code into this code's; it throws `unknown-event` for one that it cannot.
 */
export function converterOf(
  codes: Codes,
  definitions: ReadonlyMap<string, EntityDefinition>,
): (image: StoredImage) => StoredImage {
  const { migrated, lost } = sortCodes(codes, definitions);
  if (migrated.size === 0 && lost.size === 0) return (image) => image;
  return (image) => {
    const type = image.name.slice(0, image.name.indexOf("/"));
    const error = lost.get(type);
    if (error !== undefined) throw error;
    const found = migrated.get(type);
    return found === undefined ? image : migrate(image, found.definition, found.version);
  };
}

interface Sorted {
  readonly migrated: ReadonlyMap<string, { readonly definition: EntityDefinition; readonly version: number }>;
  /** Types of which no image can be used: as long as there is none, nothing is wrong. */
  readonly lost: ReadonlyMap<string, HoldfastError>;
}

function sortCodes(codes: Codes, definitions: ReadonlyMap<string, EntityDefinition>): Sorted {
  const now = codesOf(definitions);
  const migrated = new Map<string, { readonly definition: EntityDefinition; readonly version: number }>();
  const lost = new Map<string, HoldfastError>();
  for (const [name, code] of Object.entries(codes)) {
    if (code === now[name]) continue;
    const definition = definitions.get(name);
    const version = Number.parseInt(code, 10);
    if (definition === undefined) {
      lost.set(name, unusable(name, "this code does not define that type. Deploy the code that wrote it"));
    } else if (version > definition.version || (version < definition.version && definition.migrate === undefined)) {
      const why = `they are of version ${version}, the definition's is ${definition.version}. Give it a \`migrate\``;
      lost.set(name, unusable(name, why));
    } else if (version < definition.version) migrated.set(name, { definition, version });
  }
  return { migrated, lost };
}

function migrate(stored: StoredImage, definition: EntityDefinition, version: number): StoredImage {
  const image = decodeImage(stored.bytes);
  const kept = image && stateFrom(definition, { state: image.state, stateVersion: "", version });
  if (image === undefined || kept === undefined) throw unusable(stored.name, "its `migrate` gave no state");
  return encodeImage({ ...image, state: kept.state as Plain });
}

function unusable(name: string, why: string): HoldfastError {
  return new HoldfastError(
    "unknown-event",
    `The log is trimmed, and the kept states of "${name}" cannot be used: ${why}.`,
  );
}
