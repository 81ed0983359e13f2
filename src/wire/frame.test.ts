/** Records and frames of the log: round trips, and every kind of damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isHoldfastError } from "../model/errors.ts";
import type { Cause, LogRecord } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { bytesToUuid, parseUuidV7 } from "../std/uuid-bytes.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";

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

/** A stored step makes its outcome and the text of its request id when asked; as data both are the same. */
function plainRecord(record: LogRecord): LogRecord {
  if (record.kind !== "step") return record;
  const { kind, time, entity, command, events, outcome, sends, timers } = record;
  let { cause } = record;
  if (cause.kind === "request")
    cause = { kind: "request", requestId: cause.requestId, idBytes: new Uint8Array(cause.idBytes) };
  return { kind, time, entity, command, cause, events, outcome, sends, timers };
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
  for (const record of records) assert.deepEqual(stored([record]), [record]);
  assert.deepEqual(stored(records), records);
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
    }),
  },
);

test("whatever the records are, a frame gives them back", () => {
  fc.assert(
    fc.property(fc.array(anyRecord, { maxLength: 40 }), (made) => {
      const these = structuredClone(made);
      assert.deepEqual(stored(these), these);
    }),
    { numRuns: 300 },
  );
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
