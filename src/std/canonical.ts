/**
 * The canonical text of plain data: JSON with the keys of every object sorted by their code units and no spaces.
 *
 * Invariant: two values that are deeply equal have one text, whatever order their keys were set in; two that differ have
 * two texts.
 */
import type { Plain } from "./plain.ts";

export function canonicalJson(value: Plain): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const object = value as Readonly<Record<string, Plain>>;
  const members = Object.keys(object)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key] as Plain)}`);
  return `{${members.join(",")}}`;
}
