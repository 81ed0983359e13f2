/**
 * Plain data: what survives encoding and decoding unchanged. null, booleans, finite numbers, well-formed strings, arrays
 * and plain objects of these.
 *
 * Invariant: for every value `copyPlain` accepts, decode(encode(copy)) deep-equals the copy, in msgpack and in JSON. What
 * would come back changed (NaN, Infinity, -0, integers beyond 2^53, lone surrogates, Date, Map, class instances, cycles)
 * is refused with the path that leads to it. So an owner may evolve the copy and a replay will evolve the same.
 * An object with the member `$sealed` is refused as well, unless the limits allow it: then it has that one member, a string.
 */
import { reservedKeys, sealedMember } from "./reserved.ts";

/** JSON-like data. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

export class PlainError extends Error {
  readonly reason: "not-plain" | "too-deep" | "too-large";
  readonly path: string;
  constructor(reason: PlainError["reason"], path: string, problem: string) {
    super(`${path === "" ? "the value" : path} ${problem}`);
    this.reason = reason;
    this.path = path;
  }
}

export interface PlainLimits {
  /** Levels of nesting; a scalar has depth 0. */
  readonly depthMax: number;
  /** Size as `copyPlain` counts it: about the bytes of the msgpack form, never fewer than half of it. */
  readonly bytesMax: number;
  /** Sealed values may stand in it. Absent: they may not. */
  readonly sealed?: boolean;
}

export interface PlainCopy<T> {
  readonly value: T;
  readonly bytes: number;
}

let bytesLeft = 0;

/** Names that are looked at twice. One lookup a name, as before there were sealed values. */
const guardedKeys: ReadonlySet<string> = new Set([...reservedKeys, sealedMember]);

/**
 * Checks and copies in one walk; properties whose value is `undefined` are left out.
 * @throws PlainError naming the first offending path
 */
export function copyPlain<T>(value: T, limits: PlainLimits): PlainCopy<T> {
  bytesLeft = limits.bytesMax;
  const copy = copyValue(value, limits.depthMax, limits, undefined, "");
  return { value: copy as T, bytes: limits.bytesMax - bytesLeft };
}

/** Where a value sits, as a linked list so that the walk allocates no strings unless something is wrong. */
interface Place {
  readonly up: Place | undefined;
  readonly name: string | number;
}

function copyValue(
  value: unknown,
  depthLeft: number,
  limits: PlainLimits,
  place: Place | undefined,
  name: string | number,
): unknown {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) refuse(place, name, "is a string with a lone surrogate");
      spend(value.length + 1, limits, place, name);
      return value;
    case "number":
      checkNumber(value, place, name);
      spend(9, limits, place, name);
      return value;
    case "boolean":
      spend(1, limits, place, name);
      return value;
    case "object":
      if (value === null) {
        spend(1, limits, place, name);
        return null;
      }
      if (depthLeft === 0)
        throw new PlainError("too-deep", path(place, name), `is nested deeper than ${limits.depthMax}`);
      return Array.isArray(value)
        ? copyArray(value, depthLeft, limits, { up: place, name })
        : copyObject(value, depthLeft, limits, { up: place, name });
    default:
      return refuse(place, name, value === undefined ? "is undefined" : `is a ${typeof value}`);
  }
}

function checkNumber(value: number, place: Place | undefined, name: string | number): void {
  if (!Number.isFinite(value)) refuse(place, name, `is ${value}`);
  if (value === 0 && Object.is(value, -0)) refuse(place, name, "is -0");
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) refuse(place, name, "is an integer beyond 2^53");
}

function copyArray(value: readonly unknown[], depthLeft: number, limits: PlainLimits, place: Place): unknown[] {
  const copy: unknown[] = [];
  spend(3, limits, place.up, place.name);
  for (let index = 0; index < value.length; index++) {
    copy.push(copyValue(value[index], depthLeft - 1, limits, place, index));
  }
  return copy;
}

function copyObject(value: object, depthLeft: number, limits: PlainLimits, place: Place): object {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    refuse(place.up, place.name, `is a ${prototype?.constructor?.name ?? "class instance"}, not plain data`);
  }
  const copy: Record<string, unknown> = {};
  spend(3, limits, place.up, place.name);
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined) continue;
    if (guardedKeys.has(key)) checkGuarded(value, key, limits, place);
    if (!key.isWellFormed()) refuse(place, key, "has a name with a lone surrogate");
    spend(key.length + 1, limits, place, key);
    copy[key] = copyValue(item, depthLeft - 1, limits, place, key);
  }
  return copy;
}

function checkGuarded(value: object, key: string, limits: PlainLimits, place: Place): void {
  if (key !== sealedMember) refuse(place, key, "has a reserved name");
  if (limits.sealed !== true) refuse(place.up, place.name, "is a sealed value, which may not stand here");
  if (typeof (value as { [sealedMember]: unknown })[sealedMember] !== "string" || Object.keys(value).length !== 1)
    refuse(place.up, place.name, `has the name ${sealedMember} and is no sealed value`);
}

function spend(bytes: number, limits: PlainLimits, place: Place | undefined, name: string | number): void {
  bytesLeft -= bytes;
  if (bytesLeft < 0)
    throw new PlainError("too-large", path(place, name), `is over the limit of ${limits.bytesMax} bytes`);
}

function refuse(place: Place | undefined, name: string | number, problem: string): never {
  throw new PlainError("not-plain", path(place, name), problem);
}

function path(place: Place | undefined, name: string | number): string {
  const steps: string[] = [];
  for (let step: Place | undefined = { up: place, name }; step; step = step.up) {
    if (step.name !== "") steps.push(typeof step.name === "number" ? `[${step.name}]` : `.${step.name}`);
  }
  return steps.reverse().join("").replace(/^\./, "");
}

/** Freezes a plain value all the way down, so that code which must not change it fails loudly. */
export function freezePlain<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const item of Object.values(value)) freezePlain(item);
  }
  return value;
}
