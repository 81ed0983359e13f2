/** Records and frames of the log: round trips, and every kind of damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isHoldfastError } from "../model/errors.ts";
import type { Cause, LogRecord } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { bytesToUuid, parseUuidV7 } from "../std/uuid-bytes.ts";
import { decodeFrame, encodeFrame, frameMayHold } from "./frame.ts";

const requestId = "01890a5d-ac96-774b-bcce-b302099a8057";
const step = {
  kind: "step",
  time: 5,
  entity: { type: "t", key: "k" },
  command: "c",
  events: [],
  outcome: { ok: true, value: null },
  sends: [],
  timers: [],
  calls: [],
} as const;
const records: LogRecord[] = [
  { kind: "claim", time: 1, epoch: 3, node: "n" },
  { ...step, cause: { kind: "request", requestId, idBytes: parseUuidV7(requestId) as Uint8Array } },
  {
    ...step,
    cause: { kind: "timer", name: "x", setAt: 9 },
    events: [{ name: "e", version: 2, payload: { a: [1, "b", null, true, 1.5] } }],
  },
  {
    ...step,
    cause: { kind: "send", from: { type: "a", key: "b" }, sequence: 2 },
    outcome: { ok: false, code: "rejected", reason: "no", details: { n: 1 } },
  },
  {
    ...step,
    cause: { kind: "settled", to: { type: "a", key: "b" }, sequence: 7 },
    sends: [
      { to: { type: "a", key: "b" }, sequence: 8, command: "c", input: 1 },
      { to: { type: "a", key: "b" }, sequence: 9, command: "c", input: null, reply: "r", context: { x: 1 } },
    ],
    timers: [
      { name: "t", dueMs: 2 ** 41, command: "c", input: { a: 1 } },
      { name: "u", dueMs: null },
    ],
  },
];

/** Marks of quarantine. They came later: the frame that is kept below has none. */
const marks: LogRecord[] = [
  {
    kind: "mark",
    time: 5,
    entity: { type: "a", key: "b" },
    verb: "park",
    principal: { kind: "system", id: "holdfast" },
    park: {
      why: "evolve",
      error: "Error: no",
      captured: {
        command: "c",
        input: { a: [1] },
        principal: { kind: "user", id: "u", roles: ["r"] },
        cause: { kind: "request", requestId },
        now: 5,
        events: [{ name: "e", version: 2, payload: null }],
      },
      poison: 0,
    },
    state: null,
    left: [],
  },
  {
    kind: "mark",
    time: 6,
    entity: { type: "a", key: "b" },
    verb: "skip",
    principal: { kind: "operator", id: "o" },
    park: null,
    state: { value: { n: 1 } },
    left: [2, 7],
  },
];

/** What calls leave in the log. They came later as well. */
const ofCalls: LogRecord[] = [
  {
    ...step,
    cause: { kind: "called", call: { at: 7, index: 1 }, attempt: 3 },
    calls: [
      { name: "charge", input: { amount: 1 }, timeoutMs: 5, attempts: 2, failure: "park" },
      { name: "charge", input: null, result: "r", context: null, timeoutMs: 5, attempts: 2, failure: "tell" },
      { name: "charge", input: null, result: "r", timeoutMs: 5, attempts: 2, failure: "settle" },
    ],
  },
  { ...step, cause: { kind: "call-failed", call: { at: 7, index: 1 }, attempt: 1, error: "no", retryAtMs: 99 } },
  { ...step, cause: { kind: "call-failed", call: { at: 7, index: 1 }, attempt: 2, error: "no", retryAtMs: null } },
  { ...step, cause: { kind: "call-retried", call: { at: 7, index: 1 }, by: { kind: "operator", id: "o" } } },
  {
    ...step,
    cause: { kind: "call-dropped", call: { at: 7, index: 1 }, by: { kind: "operator", id: "o", roles: ["on-call"] } },
  },
];

/** A stored step makes its outcome and the text of its request id when asked; as data both are the same. */
function plainRecord(record: LogRecord): LogRecord {
  if (record.kind !== "step") return record;
  const { kind, time, entity, command, events, outcome, sends, timers, calls } = record;
  let { cause } = record;
  if (cause.kind === "request")
    cause = { kind: "request", requestId: cause.requestId, idBytes: new Uint8Array(cause.idBytes) };
  return { kind, time, entity, command, cause, events, outcome, sends, timers, calls };
}

/** Through a frame and back. */
function stored(these: readonly LogRecord[]): LogRecord[] {
  const { bytes } = encodeFrame({ shard: 3, epoch: 1, at: 1 }, these, 0);
  return decodeFrame(bytes, 3, 1, 0).records.map(plainRecord);
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(isHoldfastError(error), String(error));
    return error.code;
  }
  return "none";
}

test("every kind of record comes back, alone and among others", () => {
  const all = [...records, ...marks, ...ofCalls];
  for (const record of all) assert.deepEqual(stored([record]), [record]);
  assert.deepEqual(stored(all), all);
});

const name = fc.oneof(
  fc.constantFrom("a", "b", "key-1"),
  fc.string({ maxLength: 8 }),
  fc.string({ minLength: 250, maxLength: 300 }),
);
const entity = fc.record({ type: name, key: name });
const plain = fc
  .jsonValue({ maxDepth: 3 })
  .filter((value) => !/__proto__|-0|\\ud/.test(JSON.stringify(value)))
  .map((value) => JSON.parse(JSON.stringify(value)) as Plain);
const cause: fc.Arbitrary<Cause> = fc.oneof(
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((idBytes): Cause => {
    return { kind: "request", requestId: bytesToUuid(idBytes), idBytes };
  }),
  fc.record({ kind: fc.constant("timer"), name, setAt: fc.nat() }),
  fc.record({ kind: fc.constant("send"), from: entity, sequence: fc.nat() }),
  fc.record({ kind: fc.constant("settled"), to: entity, sequence: fc.nat() }),
  fc.record({ kind: fc.constant("called"), call: fc.record({ at: fc.nat(), index: fc.nat() }), attempt: fc.nat() }),
);
const anyRecord: fc.Arbitrary<LogRecord> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("claim"), time: fc.maxSafeNat(), epoch: fc.nat(), node: name }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant("step"),
      time: fc.oneof(fc.maxSafeNat(), fc.nat(50), fc.double({ noNaN: true, noDefaultInfinity: true })),
      entity,
      command: name,
      cause,
      events: fc.array(fc.record({ name, version: fc.nat(300), payload: plain }), { maxLength: 20 }),
      outcome: fc.oneof(
        fc.record({ ok: fc.constant(true), value: plain }),
        fc.record({ ok: fc.constant(false), code: fc.constant("rejected"), reason: name, details: plain }),
      ),
      sends: fc.array(fc.record({ to: entity, sequence: fc.nat(), command: name, input: plain }), { maxLength: 2 }),
      timers: fc.array(fc.record({ name, dueMs: fc.maxSafeNat(), command: name, input: plain }), { maxLength: 2 }),
      calls: fc.array(
        fc.record({
          name,
          input: plain,
          timeoutMs: fc.nat(),
          attempts: fc.nat(),
          failure: fc.constantFrom("park", "tell", "settle"),
        }),
        { maxLength: 2 },
      ),
    }),
  },
);

test("whatever the records are, a frame gives them back", () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 40 }), (made) => {
      const these = structuredClone(made);
      assert.deepEqual(stored(these), these);
    }),
    { numRuns: 60 },
  );
});

/** The records above in a frame of version 2 at offset 1 of shard 3, as it was written when that version began. */
const written =
  "SEYCAIfGSy8DAAAABQAAAAAAAAAAAAhAAAAAAAAA8D8AAAAAwQAAAB4KAhARGwgHAAAAAAAAFEAAAQIZAAABAgMCCQAAAQIJAAAB" +
  "AgF0AWsBYwFlAWEBBAGJCl2slndLvM6zAgmagFeSAZUBoWLAw8s/+AAAAAAAAJgAwADA/5OocmVqZWN0ZWSibm/eAAGhbgEAwJSU" +
  "AAEDoW6TkwGheAnAwJOUAqFhoWICwMCTlAOhYaFiB5KWoWGhYgihYwHAl6FhoWIJoWPAoXLeAAGheAGSlKF0y0KAAAAAAAAAoWPe" +
  "AAGhYQGRoXU=";

test("a frame may hold the entity of each of its records, and is refused if it is damaged", () => {
  const { bytes } = encodeFrame({ shard: 1, epoch: 2, at: 3 }, [...records, ...marks], 0);
  for (const record of [...records, ...marks])
    if (record.kind !== "claim") assert.ok(frameMayHold(bytes, 1, 3, ["other", record.entity.key]));
  assert.ok(!frameMayHold(bytes, 1, 3, ["other"]));
  const turned = Buffer.from(bytes);
  turned[bytes.length - 1] = (turned.at(-1) as number) ^ 1;
  assert.throws(() => frameMayHold(turned, 1, 3, ["other"]), { code: "log-damaged" });
});

test("a frame that was written when its version began is still read", () => {
  const { epoch, records: read } = decodeFrame(Buffer.from(written, "base64"), 3, 1, 0);
  assert.equal(epoch, 3);
  assert.deepEqual(read.map(plainRecord), records);
});

test("a frame gives its records back, and its chain is the next frame's previous", () => {
  const first = encodeFrame({ shard: 3, epoch: 1, at: 1 }, records.slice(0, 2), 0);
  const second = encodeFrame({ shard: 3, epoch: 1, at: 3 }, records.slice(2), first.chain);
  const decoded = decodeFrame(first.bytes, 3, 1, 0);
  assert.deepEqual(
    [...decoded.records, ...decodeFrame(second.bytes, 3, 3, decoded.chain).records].map(plainRecord),
    records,
  );
});

test("a frame in the wrong place or after the wrong frame is refused", () => {
  const { bytes, chain } = encodeFrame({ shard: 3, epoch: 1, at: 1 }, records, 77);
  assert.equal(
    codeOf(() => decodeFrame(bytes, 3, 1, 77)),
    "none",
  );
  assert.equal(
    codeOf(() => decodeFrame(bytes, 3, 1, undefined)),
    "none",
  );
  assert.equal(
    codeOf(() => decodeFrame(bytes, 4, 1, 77)),
    "log-damaged",
  );
  assert.equal(
    codeOf(() => decodeFrame(bytes, 3, 2, 77)),
    "log-damaged",
  );
  assert.equal(
    codeOf(() => decodeFrame(bytes, 3, 1, chain)),
    "log-damaged",
  );
});

test("every flipped bit and every cut of a frame is detected", () => {
  const { bytes } = encodeFrame({ shard: 3, epoch: 1, at: 1 }, records, 0);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const damaged = new Uint8Array(bytes);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.equal(
      codeOf(() => decodeFrame(damaged, 3, 1, 0)),
      "log-damaged",
      `bit ${bit}`,
    );
  }
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(
      codeOf(() => decodeFrame(bytes.subarray(0, length), 3, 1, 0)),
      "log-damaged",
      `cut at ${length}`,
    );
  }
});
