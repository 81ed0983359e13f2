/**
 * JSON Patch (RFC 6902) between plain values: the operations add, remove and replace.
 *
 * Invariant: apply(before, diff(before, after)) deep-equals `after`, and neither argument is changed. Arrays are compared
 * position by position after their common prefix and suffix, which finds the usual changes (append, drop from either
 * end, change in place) without a search.
 */
import type { Plain } from "./plain.ts";

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: Plain }
  | { readonly op: "remove"; readonly path: string };

/** The operations that turn `before` into `after`; none if they are equal. */
export function diff(before: Plain, after: Plain): PatchOperation[] {
  const operations: PatchOperation[] = [];
  diffValue(before, after, "", operations);
  return operations;
}

function diffValue(before: Plain, after: Plain, path: string, operations: PatchOperation[]): void {
  if (before === after) return;
  if (isContainer(before) && isContainer(after) && Array.isArray(before) === Array.isArray(after)) {
    if (Array.isArray(before)) diffArray(before, after as readonly Plain[], path, operations);
    else diffObject(before as Record<string, Plain>, after as Record<string, Plain>, path, operations);
  } else {
    operations.push({ op: "replace", path, value: after });
  }
}

function diffObject(
  before: Readonly<Record<string, Plain>>,
  after: Readonly<Record<string, Plain>>,
  path: string,
  operations: PatchOperation[],
): void {
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: "remove", path: `${path}/${escape(key)}` });
  }
  for (const key of Object.keys(after)) {
    const value = after[key] as Plain;
    if (!Object.hasOwn(before, key)) operations.push({ op: "add", path: `${path}/${escape(key)}`, value });
    else diffValue(before[key] as Plain, value, `${path}/${escape(key)}`, operations);
  }
}

function diffArray(
  before: readonly Plain[],
  after: readonly Plain[],
  path: string,
  operations: PatchOperation[],
): void {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && equal(before[head] as Plain, after[head] as Plain)) head++;
  let tail = 0;
  while (
    tail < shorter - head &&
    equal(before[before.length - 1 - tail] as Plain, after[after.length - 1 - tail] as Plain)
  )
    tail++;
  const changed = Math.min(before.length, after.length) - head - tail;
  for (let index = head; index < head + changed; index++) {
    diffValue(before[index] as Plain, after[index] as Plain, `${path}/${index}`, operations);
  }
  for (let index = before.length - tail - 1; index >= head + changed; index--)
    operations.push({ op: "remove", path: `${path}/${index}` });
  for (let index = head + changed; index < after.length - tail; index++) {
    operations.push({ op: "add", path: `${path}/${index}`, value: after[index] as Plain });
  }
}

/** Deep equality of plain values; the order of an object's keys does not count. */
export function equal(left: Plain, right: Plain): boolean {
  if (left === right) return true;
  if (!isContainer(left) || !isContainer(right)) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  if (Array.isArray(left)) {
    const other = right as readonly Plain[];
    return left.length === other.length && left.every((item, index) => equal(item, other[index] as Plain));
  }
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(right, key) &&
      equal((left as Record<string, Plain>)[key] as Plain, (right as Record<string, Plain>)[key] as Plain),
  );
}

function isContainer(value: Plain): value is readonly Plain[] | { readonly [key: string]: Plain } {
  return typeof value === "object" && value !== null;
}

/**
 * Applies operations to a copy: what is not touched is shared with `before`, nothing of `before` is changed.
 * @throws Error if an operation names a place that does not exist
 */
export function applyPatch(before: Plain, operations: readonly PatchOperation[]): Plain {
  let after = before;
  const owned = new Set<object>();
  for (const operation of operations) {
    if (operation.path === "") {
      after = operation.op === "remove" ? null : operation.value;
      continue;
    }
    const steps = operation.path.slice(1).split("/").map(unescape);
    after = applyAt(after, steps, 0, operation, owned);
  }
  return after;
}

function applyAt(
  node: Plain,
  steps: readonly string[],
  depth: number,
  operation: PatchOperation,
  owned: Set<object>,
): Plain {
  if (!isContainer(node)) throw new Error(`no place ${operation.path}`);
  const copy = owned.has(node) ? node : Array.isArray(node) ? [...node] : { ...(node as Record<string, Plain>) };
  owned.add(copy);
  const step = steps[depth] as string;
  if (Array.isArray(copy)) applyToArray(copy, step, steps, depth, operation, owned);
  else applyToObject(copy as Record<string, Plain>, step, steps, depth, operation, owned);
  return copy;
}

function applyToArray(
  copy: Plain[],
  step: string,
  steps: readonly string[],
  depth: number,
  operation: PatchOperation,
  owned: Set<object>,
): void {
  const last = depth === steps.length - 1;
  const index = Number(step);
  const limit = last && operation.op === "add" ? copy.length : copy.length - 1;
  if (!Number.isInteger(index) || index < 0 || index > limit) throw new Error(`no place ${operation.path}`);
  if (!last) copy[index] = applyAt(copy[index] as Plain, steps, depth + 1, operation, owned);
  else if (operation.op === "remove") copy.splice(index, 1);
  else if (operation.op === "add") copy.splice(index, 0, operation.value);
  else copy[index] = operation.value;
}

function applyToObject(
  copy: Record<string, Plain>,
  step: string,
  steps: readonly string[],
  depth: number,
  operation: PatchOperation,
  owned: Set<object>,
): void {
  const last = depth === steps.length - 1;
  if (!(last && operation.op === "add") && !Object.hasOwn(copy, step)) throw new Error(`no place ${operation.path}`);
  if (!last) copy[step] = applyAt(copy[step] as Plain, steps, depth + 1, operation, owned);
  else if (operation.op === "remove") delete copy[step];
  else copy[step] = operation.value;
}

function escape(step: string): string {
  return step.includes("~") || step.includes("/") ? step.replaceAll("~", "~0").replaceAll("/", "~1") : step;
}

function unescape(step: string): string {
  return step.includes("~") ? step.replaceAll("~1", "/").replaceAll("~0", "~") : step;
}
