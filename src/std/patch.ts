/**
 * JSON Patch (RFC 6902) between plain values: the operations add, remove and replace.
 *
 * Invariant: apply(before, diff(before, after)) deep-equals `after`, and neither argument is changed; the same of `compactDiff`.
 * Arrays are compared position by position after their common prefix and suffix, or after what moved by a few places at once:
 * that finds the usual changes (append, drop from either end, a window that moves on, change in place) without a search.
 */
import type { Plain } from "./plain.ts";
import { roughBytes } from "./rough-bytes.ts";

export type PatchOperation =
  | { readonly op: "add" | "replace"; readonly path: string; readonly value: Plain }
  | { readonly op: "remove"; readonly path: string };

type Items = readonly Plain[];
type Fields = Readonly<Record<string, Plain>>;

// The walk's state; it is synchronous and never re-entered. Paths are made for what changed only.
let operations: PatchOperation[] = [];
let compact = false;
const steps: (string | number)[] = [];

/** The operations that turn `before` into `after`, each about the smallest part that changed; none if they are equal. */
export function diff(before: Plain, after: Plain): PatchOperation[] {
  compact = false;
  return operationsOf(before, after);
}

/**
 * The same in few bytes: where so much of a part changed that naming each change takes more bytes than the part has, it is replaced
 * as a whole, up to the value itself.
 */
export function compactDiff(before: Plain, after: Plain): PatchOperation[] {
  compact = true;
  return operationsOf(before, after);
}

function operationsOf(before: Plain, after: Plain): PatchOperation[] {
  operations = [];
  steps.length = 0;
  diffValue(before, after);
  const made = operations;
  operations = [];
  return made;
}

/** Whether a patch replaces everything, so that it is the value itself. */
export function isWhole(patch: readonly PatchOperation[]): boolean {
  return patch.length === 1 && patch[0]?.path === "";
}

function path(): string {
  let text = "";
  for (const step of steps) text += typeof step === "number" ? `/${step}` : `/${escape(step)}`;
  return text;
}

function diffValue(before: Plain, after: Plain): void {
  if (before === after) return;
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after)) {
    operations.push({ op: "replace", path: path(), value: after });
    return;
  }
  const first = operations.length;
  if (Array.isArray(before)) diffArray(before, after as Items);
  else diffObject(before as Fields, after as Fields);
  if (compact && operations.length - first > 1) replaceIfSmaller(first, after);
}

/** Puts the whole part in the place of the operations on it, if that is smaller. */
function replaceIfSmaller(first: number, after: Plain): void {
  let bytes = 0;
  for (let index = first; index < operations.length; index++) {
    bytes += roughBytes(operations[index] as unknown as Plain, Number.POSITIVE_INFINITY);
  }
  const whole: PatchOperation = { op: "replace", path: path(), value: after };
  if (roughBytes(whole as unknown as Plain, bytes) >= bytes) return;
  operations.length = first;
  operations.push(whole);
}

function diffField(step: string | number, before: Plain, after: Plain): void {
  if (before === after) return;
  steps.push(step);
  diffValue(before, after);
  steps.pop();
}

function addAt(step: string | number, value: Plain): void {
  steps.push(step);
  operations.push({ op: "add", path: path(), value });
  steps.pop();
}

function removeAt(step: string | number): void {
  steps.push(step);
  operations.push({ op: "remove", path: path() });
  steps.pop();
}

function diffObject(before: Fields, after: Fields): void {
  const names = Object.keys(after);
  const namesBefore = Object.keys(before);
  // Nearly always both have the same fields in the same order.
  let same = names.length === namesBefore.length;
  for (let index = 0; same && index < names.length; index++) same = names[index] === namesBefore[index];
  if (!same) for (const name of namesBefore) if (!Object.hasOwn(after, name)) removeAt(name);
  for (const name of names) {
    if (same || Object.hasOwn(before, name)) diffField(name, before[name] as Plain, after[name] as Plain);
    else addAt(name, after[name] as Plain);
  }
}

function diffArray(before: Items, after: Items): void {
  const moved = before.length > 1 && after.length > 1 ? movedBy(before, after) : 0;
  if (moved > 0) return window(before.length, after, moved);
  if (moved < 0) return windowBack(before.length, after, -moved);
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  let tail = 0;
  if (before.length !== after.length) {
    while (head < shorter && equal(before[head] as Plain, after[head] as Plain)) head++;
    while (tail < shorter - head && equal(before.at(-1 - tail) as Plain, after.at(-1 - tail) as Plain)) tail++;
  }
  const both = shorter - tail;
  for (let index = head; index < both; index++) diffField(index, before[index] as Plain, after[index] as Plain);
  for (let index = before.length - tail - 1; index >= both; index--) removeAt(index);
  for (let index = both; index < after.length - tail; index++) addAt(index, after[index] as Plain);
}

/** Farthest that a window is looked for. */
const movedMax = 4;

/**
 * By how many places the items moved towards the front while others came in at the end; negative: towards the end, while others
 * came in at the front. 0 if that is not what happened.
 */
function movedBy(before: Items, after: Items): number {
  if (equal(before[0] as Plain, after[0] as Plain)) return 0;
  for (let by = 1; by <= movedMax; by++) {
    if (by < before.length && before.length - by <= after.length && startsWith(after, before, by)) return by;
    if (by < after.length && after.length - by <= before.length && startsWith(before, after, by)) return -by;
  }
  return 0;
}

/** Whether `items` begins with what `others` has from `from` on, or is all of that. */
function startsWith(items: Items, others: Items, from: number): boolean {
  const count = Math.min(items.length, others.length - from);
  for (let index = 0; index < count; index++) {
    if (!equal(items[index] as Plain, others[from + index] as Plain)) return false;
  }
  return true;
}

/** The first `by` items went; what is more than the rest came at the end. */
function window(length: number, after: Items, by: number): void {
  for (let count = 0; count < by; count++) removeAt(0);
  for (let index = length - by; index < after.length; index++) addAt(index, after[index] as Plain);
}

/** `by` items came at the front; what does not fit any more at the end went. */
function windowBack(length: number, after: Items, by: number): void {
  for (let index = length - 1; index >= after.length - by; index--) removeAt(index);
  for (let index = 0; index < by; index++) addAt(index, after[index] as Plain);
}

/** Deep equality of plain values; the order of an object's keys does not count. */
export function equal(left: Plain, right: Plain): boolean {
  if (left === right) return true;
  if (!isContainer(left) || !isContainer(right)) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  if (Array.isArray(left)) {
    const other = right as Items;
    if (left.length !== other.length) return false;
    for (let index = 0; index < left.length; index++) {
      if (!equal(left[index] as Plain, other[index] as Plain)) return false;
    }
    return true;
  }
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  for (const key of keys) {
    const other = (right as Fields)[key];
    const own = (left as Fields)[key] as Plain;
    if (own === other) continue;
    if (other === undefined || !Object.hasOwn(right, key) || !equal(own, other)) return false;
  }
  return true;
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
