/** Records and frames of the log: round trips, and every kind of damage. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import type { LogRecord } from "../model/records.ts";
import { parseUuidV7 } from "../std/uuid-bytes.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { fromRow, toRow } from "./record.ts";

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

/** A stored request id makes its text when asked; as data both are the same. */
function plainCause(record: LogRecord): LogRecord {
  if (record.kind !== "step" || record.cause.kind !== "request") return record;
  const { kind, requestId: id, idBytes } = record.cause;
  return { ...record, cause: { kind, requestId: id, idBytes: new Uint8Array(idBytes) } };
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

test("every kind of record comes back from its row", () => {
  for (const record of records) assert.deepEqual(plainCause(fromRow(toRow(record))), record);
});

test("a frame gives its records back, and its chain is the next frame's previous", () => {
  const first = encodeFrame({ shard: 3, epoch: 1, at: 1 }, records.slice(0, 2), 0);
  const second = encodeFrame({ shard: 3, epoch: 1, at: 3 }, records.slice(2), first.chain);
  const decoded = decodeFrame(first.bytes, 3, 1, 0);
  assert.deepEqual(
    [...decoded.records, ...decodeFrame(second.bytes, 3, 3, decoded.chain).records].map(plainCause),
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
