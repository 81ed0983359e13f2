/**
 * Throws mutated frames at each decoder for a while.
 *
 *     node --conditions=source test/hostile/fuzz.ts --seconds 60 [--seed 7] [--target msgpack|json|messages|server|progress]
 *
 * What must hold of every input: plain data or a `HoldfastError` comes out, within 50 ms, twice the same, that survives
 * being encoded and decoded again, and `Object.prototype` is as it was. Prints executions and seeds; exits with 1 at the first input that breaks it,
 * and prints that input in base64.
 */
import { parseArgs } from "node:util";
import { FrameProgress } from "../../src/gateway/frame-progress.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { limitsDefault } from "../../src/model/limits.ts";
import { equal } from "../../src/std/patch.ts";
import { copyPlain, type Plain } from "../../src/std/plain.ts";
import { decodePlain, type Encoding, encodePlain } from "../../src/wire/codec.ts";
import { frameLimits } from "../../src/wire/guard.ts";
import { parseClientMessages, parseServerFrame } from "../../src/wire/messages.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "10" }, seed: { type: "string" }, target: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const slowMs = 50;
const limits = frameLimits(limitsDefault);
const plainLimits = { depthMax: 68, bytesMax: 1e9 };

// mulberry32, Tommy Ettinger: small and good enough to choose mutations with.
let state = seed >>> 0;
function chance(below: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

const id = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
const samples: readonly Plain[] = [
  [{ t: "hello", token: "x" }, { t: "ping" }],
  [
    {
      t: "command",
      id,
      type: "wallet",
      key: "ann",
      name: "debit",
      input: { amount: 5, tags: ["a", "ä", "🃏"], nested: { a: { b: [1, -1, 1.5] } } },
      ifVersion: 7,
    },
  ],
  [{ t: "query", id: 4_294_967_296, type: "wallet", key: "ann", name: "balance", input: null }],
  [
    { t: "follow", id: 4, form: "changes", filter: { types: ["table"], shards: [1] }, start: { timeMs: 5 }, credit: 9 },
    { t: "credit", id: 4, items: 3 },
    { t: "subscribe", id: 3, type: "table", key: "t1", view: "public", from: 12, run: "abc" },
    { t: "unsubscribe", id: 3 },
  ],
  [{ t: "reply", id, version: 7, value: { balance: -5.25, list: [true, false, null] } }],
  [
    {
      t: "delta",
      id: 3,
      from: 7,
      version: 8,
      patch: [
        { op: "replace", path: "/a/b", value: 1e-7 },
        { op: "remove", path: "/c" },
      ],
    },
  ],
  [{ t: "error", code: "rejected", detail: "no", reason: "why", details: { a: 1 } }],
  {
    key: "x".repeat(60),
    long: "y".repeat(300),
    numbers: [
      127,
      128,
      255,
      256,
      65_535,
      65_536,
      2 ** 32,
      2 ** 53 - 1,
      -32,
      -33,
      -128,
      -129,
      -32_769,
      -(2 ** 31),
      -(2 ** 53) + 1,
    ],
  },
];
const tokens: readonly string[] = [
  "__proto__",
  "constructor",
  "prototype",
  '"',
  "\\u0000",
  "\\ud800",
  "\\u005f_proto__",
  "[[[[",
  "{}",
  "1e999",
  "-0",
  "9007199254740993",
  "\ufeff",
  "\u00ff\u00fe",
  "\u00c0\u00af",
  ":",
  ",",
];

/** One to eight small changes of a good input, or noise. */
function mutate(base: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let bytes = Uint8Array.from(base);
  for (let count = 1 + chance(8); count > 0; count--) {
    const at = chance(bytes.length + 1);
    const kind = chance(8);
    if (kind === 0 && bytes.length > 0) bytes[at % bytes.length] = chance(256);
    else if (kind === 1 && bytes.length > 0)
      bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ (1 << chance(8));
    else if (kind === 2) bytes = bytes.slice(0, at);
    else if (kind === 3)
      bytes = splice(
        bytes,
        at,
        Uint8Array.from({ length: 1 + chance(8) }, () => chance(256)),
        chance(4),
      );
    else if (kind === 4)
      bytes = splice(bytes, at, Buffer.from(tokens[chance(tokens.length)] as string, "latin1"), chance(12));
    else if (kind === 5) bytes = splice(bytes, at, bytes.slice(chance(bytes.length + 1)).subarray(0, 64), 0);
    else if (kind === 6)
      bytes = splice(bytes, at, (corpus[chance(corpus.length)] as Uint8Array).subarray(0, 200), chance(20));
    else
      bytes = splice(
        bytes,
        at,
        Uint8Array.of([0x81, 0x91, 0xa1, 0xc1, 0xcb, 0xcf, 0xd9, 0xdc, 0xdd, 0xde, 0xdf][chance(11)] as number),
        1,
      );
  }
  return bytes.length > 4_096 ? bytes.slice(0, 4_096) : bytes;
}

function splice(bytes: Uint8Array, at: number, insert: Uint8Array, remove: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(Math.min(bytes.length, at + remove))]),
  );
}

function checkDecoded(bytes: Uint8Array, encoding: Encoding): void {
  const value = decodePlain(bytes, encoding, limits);
  const { value: copy } = copyPlain(value, plainLimits);
  if (!equal(copy, decodePlain(bytes, encoding, limits))) throw new Error("decoded twice it is not the same");
  for (const other of ["msgpack", "json"] as const) {
    if (!equal(copy, decodePlain(encodePlain(copy, other), other, { ...limits, bytesMax: 1e8, numberCharsMax: 400 })))
      throw new Error(`changed by ${other}`);
  }
}

const targets: Readonly<Record<string, (bytes: Uint8Array) => void>> = {
  msgpack: (bytes) => checkDecoded(bytes, "msgpack"),
  json: (bytes) => checkDecoded(bytes, "json"),
  messages: (bytes) => {
    for (const message of parseClientMessages(bytes, chance(2) === 0 ? "json" : "msgpack", limitsDefault))
      copyPlain(message, plainLimits);
  },
  server: (bytes) => void parseServerFrame(bytes, chance(2) === 0 ? "json" : "msgpack"),
  progress: (bytes) => {
    // Cut anywhere, the stream means the same.
    const whole = new FrameProgress();
    whole.take(bytes);
    const cut = new FrameProgress();
    for (let at = 0; at < bytes.length; ) {
      const next = at + 1 + chance(7);
      cut.take(bytes.subarray(at, next));
      at = next;
    }
    if (whole.partial !== cut.partial || whole.completed !== cut.completed)
      throw new Error("cutting the stream changed it");
  },
};

const untouched = Object.getOwnPropertyNames(Object.prototype).join();

function run(name: string, target: (bytes: Uint8Array) => void, seconds: number): void {
  const corpus: Uint8Array<ArrayBuffer>[] = samples
    .flatMap((sample) => [Buffer.from(encodePlain(sample, "msgpack")), Buffer.from(encodePlain(sample, "json"))])
    .map((sample) => Uint8Array.from(sample));
  const started = performance.now();
  let executions = 0;
  let accepted = 0;
  let slowest = 0;
  while (performance.now() - started < seconds * 1000) {
    const bytes = mutate(corpus[chance(corpus.length)] as Uint8Array, corpus);
    const before = performance.now();
    try {
      target(bytes);
      accepted++;
      // What is accepted is a new place to start from; the corpus stays small.
      if (corpus.length < 400) corpus.push(bytes);
      else corpus[16 + chance(384)] = bytes;
    } catch (error) {
      if (!isHoldfastError(error)) fail(name, bytes, error);
    }
    const took = performance.now() - before;
    if (took > slowest) slowest = took;
    // Something else may fall into one try; what is slow is slow every time.
    if (took > slowMs && fastest(target, bytes) > slowMs) fail(name, bytes, new Error(`took ${took.toFixed(1)} ms`));
    if (Object.getOwnPropertyNames(Object.prototype).join() !== untouched)
      fail(name, bytes, new Error("Object.prototype changed"));
    executions++;
  }
  console.log(
    `${name}: ${executions} executions, ${accepted} accepted, slowest ${slowest.toFixed(1)} ms, seed ${seed}`,
  );
}

/** The best of five, ms. */
function fastest(target: (bytes: Uint8Array) => void, bytes: Uint8Array): number {
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0; count < 5; count++) {
    const before = performance.now();
    try {
      target(bytes);
    } catch {}
    best = Math.min(best, performance.now() - before);
  }
  return best;
}

function fail(name: string, bytes: Uint8Array, error: unknown): never {
  console.error(`${name}: ${String(error)}\nseed ${seed}\ninput ${Buffer.from(bytes).toString("base64")}`);
  process.exit(1);
}

const chosen = Object.entries(targets).filter(([name]) => values.target === undefined || values.target === name);
for (const [name, target] of chosen) run(name, target, Number(values.seconds) / chosen.length);
