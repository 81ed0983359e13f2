/**
 * Reads JSON that anybody may have sent: a walk over the text, `JSON.parse`, and a count of the keys that came out.
 *
 * Invariant: what comes out is plain data (`std/plain.ts`): keys are unique and not reserved however they were escaped,
 * strings are well formed, numbers are finite, not -0 and exact, depth, count and the length of number literals are
 * bounded before anything is parsed. The walk leaves grammar to `JSON.parse` and is right for every valid text.
 */
import type { Plain } from "../std/plain.ts";
import { reservedKeys } from "../std/reserved.ts";
import { type GuardLimits, objectCost, refuseFrame, refuseLarge } from "./guard.ts";

// The walk's state; it is synchronous and never re-entered.
let text = "";
let position = 0;
let valuesLeft = 0;
let depth = 0;
let depthMax = 0;
let numberCharsMax = 0;
let keyCount = 0;

/** @throws `invalid-frame` or `too-large` */
export function readJson(source: string, limits: GuardLimits): Plain {
  if (source.length > limits.bytesMax) refuseLarge(`is over ${limits.bytesMax} bytes`);
  if (!source.isWellFormed()) refuseFrame("has a lone surrogate");
  walk(source, limits);
  let value: Plain;
  try {
    value = JSON.parse(source) as Plain;
  } catch {
    // The parser's own message repeats what it read.
    return refuseFrame("is not JSON");
  }
  // Of keys that are there twice the parser keeps one, so fewer come out than the walk saw.
  if (countKeys(value) !== keyCount) refuseFrame("has a key twice in one object");
  return value;
}

/** Keys in all objects of a value. @throws `invalid-frame` one is reserved */
function countKeys(value: Plain): number {
  if (typeof value !== "object" || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly Plain[]) if (typeof item === "object") count += countKeys(item);
    return count;
  }
  const fields = value as { readonly [key: string]: Plain };
  for (const key in fields) {
    // The reserved keys have 9 or 11 characters.
    if ((key.length === 9 || key.length === 11) && reservedKeys.has(key)) refuseFrame("has a key that is reserved");
    const item = fields[key] as Plain;
    count += typeof item === "object" ? 1 + countKeys(item) : 1;
  }
  return count;
}

function walk(source: string, limits: GuardLimits): void {
  text = source;
  position = 0;
  depth = 0;
  depthMax = limits.depthMax;
  numberCharsMax = limits.numberCharsMax;
  valuesLeft = limits.valuesMax + 1; // the outermost value is not counted
  keyCount = 0;
  const length = source.length;
  try {
    while (position < length) step(source.charCodeAt(position));
  } finally {
    text = "";
  }
}

function step(unit: number): void {
  if (unit === 0x22) walkString();
  else if (unit === 0x7b || unit === 0x5b) open(unit === 0x7b ? objectCost : 0);
  else if (unit === 0x7d || unit === 0x5d) close();
  else if (unit === 0x2d || (unit >= 0x30 && unit <= 0x39)) walkNumber();
  else if (unit >= 0x61 && unit <= 0x7a) walkWord();
  else position++; // white space, commas, colons, and what JSON.parse will refuse
}

function countValue(): void {
  if (--valuesLeft < 0) refuseLarge("has too many values");
}

function open(cost: number): void {
  countValue();
  valuesLeft -= cost;
  if (++depth > depthMax) refuseFrame("is nested too deep");
  position++;
}

function close(): void {
  if (--depth < 0) refuseFrame("is not JSON");
  position++;
}

/** true, false, null. */
function walkWord(): void {
  countValue();
  for (let unit = text.charCodeAt(position); unit >= 0x61 && unit <= 0x7a; ) unit = text.charCodeAt(++position);
}

function walkString(): void {
  position++;
  const length = text.length;
  for (;;) {
    if (position >= length) refuseFrame("ends within a string");
    const unit = text.charCodeAt(position++);
    if (unit === 0x22) break;
    if (unit === 0x5c) walkEscape();
  }
  let next = text.charCodeAt(position);
  while (next === 0x20 || next === 0x0a || next === 0x0d || next === 0x09) next = text.charCodeAt(++position);
  // In JSON a string before a colon is a key, and nothing else is.
  if (next === 0x3a) keyCount++;
  else countValue();
}

/** After a backslash. A high surrogate must be followed by an escaped low one: raw text is well formed already. */
function walkEscape(): void {
  const unit = text.charCodeAt(position++);
  if (unit !== 0x75) return;
  const code = readHex();
  if (code < 0xd800 || code > 0xdfff) return;
  const paired = code < 0xdc00 && text.charCodeAt(position) === 0x5c && text.charCodeAt(position + 1) === 0x75;
  if (!paired) refuseFrame("has a lone surrogate");
  position += 2;
  const low = readHex();
  if (low < 0xdc00 || low > 0xdfff) refuseFrame("has a lone surrogate");
}

function readHex(): number {
  let code = 0;
  for (let index = 0; index < 4; index++) {
    const unit = text.charCodeAt(position++) | 0x20;
    if (unit >= 0x30 && unit <= 0x39) code = code * 16 + unit - 0x30;
    else if (unit >= 0x61 && unit <= 0x66) code = code * 16 + unit - 0x57;
    else refuseFrame("is not JSON");
  }
  return code;
}

function walkNumber(): void {
  countValue();
  const start = position;
  let digits = true;
  for (;;) {
    const unit = text.charCodeAt(position);
    if (unit >= 0x30 && unit <= 0x39) position++;
    else if (unit === 0x2e || unit === 0x2d || unit === 0x2b || unit === 0x65 || unit === 0x45) {
      digits = false;
      position++;
    } else break;
  }
  const length = position - start;
  if (length > numberCharsMax) refuseLarge("has a number that is too long");
  if (digits && length <= 15) return;
  const value = Number(text.slice(start, position));
  if (!Number.isFinite(value)) refuseFrame("has a number that is not finite");
  if (value === 0 && Object.is(value, -0)) refuseFrame("has a -0");
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) refuseFrame("has an integer beyond 2^53");
}
