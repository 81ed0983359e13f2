/**
 * JSON Patch (RFC 6902) as it stands in a msgpack message of a view: an operation is `[0 add | 1 replace | 2 remove, path, value]`, without
 * the names of its members, which would be longer than most changes.
 *
 * Invariant: what is read from rows deep-equals the operations that they were made of.
 */
import type { PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";

const operations = ["add", "replace", "remove"] as const;

export type PatchRow = readonly [kind: number, path: string, value?: Plain];

export function patchToRows(patch: readonly PatchOperation[]): PatchRow[] {
  return patch.map((operation) =>
    operation.op === "remove" ? [2, operation.path] : [operation.op === "add" ? 0 : 1, operation.path, operation.value],
  );
}

/** Undefined if these are no rows. */
export function patchFromRows(rows: readonly unknown[]): PatchOperation[] | undefined {
  const patch: PatchOperation[] = [];
  for (const row of rows) {
    if (!Array.isArray(row)) return undefined;
    const [kind, path, value] = row as unknown[];
    const op = typeof kind === "number" ? operations[kind] : undefined;
    if (op === undefined || typeof path !== "string" || row.length !== (op === "remove" ? 2 : 3)) return undefined;
    patch.push(op === "remove" ? { op, path } : { op, path, value: value as Plain });
  }
  return patch;
}
