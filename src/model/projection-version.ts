/**
 * Which code folded a projection's documents: the explicit version, and a hash over the text of everything that folds.
 *
 * Invariant: equal versions are equal texts; in doubt they differ, and the projection is built again.
 */
import { fnv1a } from "../std/hash.ts";
import { bareSource } from "../std/source-text.ts";
import type { EntityDefinition } from "./entity.ts";
import type { ProjectionDefinition } from "./projection.ts";

/** `<version>-<16 hexadecimal digits>`: a part of a name in the store. */
export type ProjectionVersion = string;

const known = new WeakMap<ProjectionDefinition, ProjectionVersion>();

export function projectionVersionOf(definition: ProjectionDefinition): ProjectionVersion {
  let version = known.get(definition);
  if (version === undefined) {
    version = `${definition.version}-${digest(JSON.stringify(textsOf(definition)))}`;
    known.set(definition, version);
  }
  return version;
}

/** Upcasts are of it too: they make the payloads. What only reads documents (`orderBy`, `access`) is not. */
function textsOf({ name, document, key, on, from }: ProjectionDefinition): unknown {
  const folds = sorted(on).map(([type, events]) => [
    type,
    sorted(events).map(([event, fold]) => [event, bare(fold), upcastsOf(from.get(type), event)]),
  ]);
  return [1, name, bare(document), bare(key), folds];
}

function upcastsOf(definition: EntityDefinition | undefined, event: string): unknown {
  const known = definition?.events.get(event);
  if (known === undefined) return [];
  const versions = Object.keys(known.upcast).map(Number);
  versions.sort((left, right) => left - right);
  return [known.version, versions.map((from) => bare(known.upcast[from]))];
}

function sorted<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : 1));
}

function bare(code: unknown): string {
  return bareSource(String(code));
}

/** Two hashes of 32 bits: against chance, not against an adversary. */
function digest(text: string): string {
  return [0, 1].map((salt) => fnv1a(`${salt}${text}`).toString(16).padStart(8, "0")).join("");
}
