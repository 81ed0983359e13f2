/**
 * Records of the log as arrays, which msgpack writes smaller and faster than objects with names.
 *
 * Invariant: fromArray(toArray(record)) deep-equals the record. Positions never change meaning: a new kind of record or
 * cause gets a new number, a new field a new position at the end.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Cause, EventBody, LogRecord, Outcome, SendBody, StepRecord, TimerChange } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { bytesToUuid } from "../std/uuid-bytes.ts";
import { callCauseFromRow, callCauseToRow, callFromRow, callToRow } from "./record-calls.ts";

const kinds = { claim: 0, step: 1 } as const;
/** Numbers from 4 on are those of calls: `record-calls.ts`. */
const causes = { timer: 1, send: 2, settled: 3 } as const;

type Row = unknown[];

/** Most records have none: one array for all of them. */
const noCalls: StepRecord["calls"] = [];

export function toRow(record: LogRecord): Row {
  if (record.kind === "claim") return [kinds.claim, record.time, record.epoch, record.node];
  return [
    kinds.step,
    record.time,
    record.entity.type,
    record.entity.key,
    record.command,
    causeToRow(record.cause),
    record.events.length === 0 ? null : eventsToRow(record.events),
    record.outcome.ok ? [record.outcome.value] : [record.outcome.code, record.outcome.reason, record.outcome.details],
    record.sends.length === 0 ? null : record.sends.map(sendToRow),
    record.timers.length === 0 ? null : record.timers.map(timerToRow),
    ...(record.calls.length === 0 ? [] : [record.calls.map(callToRow)]),
  ];
}

/** @throws `log-damaged` a kind this code does not know: a newer version wrote it */
export function fromRow(row: Row): LogRecord {
  if (row[0] === kinds.step) return stepFromRow(row);
  if (row[0] === kinds.claim) {
    return { kind: "claim", time: row[1] as number, epoch: row[2] as number, node: row[3] as string };
  }
  throw unknown("record", row[0]);
}

function stepFromRow(row: Row): StepRecord {
  const outcome = row[7] as Row;
  return {
    kind: "step",
    time: row[1] as number,
    entity: { type: row[2] as string, key: row[3] as string },
    command: row[4] as string,
    cause: causeFromRow(row[5]),
    events: row[6] === null ? [] : eventsFromRow(row[6] as Row),
    outcome: outcome.length === 1 ? { ok: true, value: outcome[0] as Plain } : failedOutcome(outcome),
    sends: row[8] === null ? [] : (row[8] as Row[]).map(sendFromRow),
    timers: row[9] === null ? [] : (row[9] as Row[]).map(timerFromRow),
    calls: row.length < 11 ? noCalls : (row[10] as Row[]).map(callFromRow),
  };
}

function failedOutcome(row: Row): Outcome {
  const [code, reason, details] = row as [Extract<Outcome, { ok: false }>["code"], string, Plain];
  return { ok: false, code, reason, details };
}

function causeToRow(cause: Cause): Uint8Array | Row {
  switch (cause.kind) {
    case "request":
      return cause.idBytes;
    case "timer":
      return [causes.timer, cause.name, cause.setAt];
    case "send":
      return [causes.send, cause.from.type, cause.from.key, cause.sequence];
    case "settled":
      return [causes.settled, cause.to.type, cause.to.key, cause.sequence];
    default:
      return callCauseToRow(cause);
  }
}

/** A request id out of the log. A replay needs its bytes only; the text is made when somebody asks for it. */
class StoredRequest {
  readonly kind = "request";
  readonly idBytes: Uint8Array;

  constructor(idBytes: Uint8Array) {
    this.idBytes = idBytes;
  }

  get requestId(): string {
    return bytesToUuid(this.idBytes);
  }
}

function causeFromRow(row: unknown): Cause {
  if (row instanceof Uint8Array) return new StoredRequest(row);
  const [kind, first, second, third] = row as [number, string, string, number];
  if (kind === causes.timer) return { kind: "timer", name: first, setAt: second as unknown as number };
  if (kind === causes.send) return { kind: "send", from: { type: first, key: second }, sequence: third };
  if (kind === causes.settled) return { kind: "settled", to: { type: first, key: second }, sequence: third };
  return callCauseFromRow(row as Row);
}

/** Name, version, payload; name, version, payload; … */
function eventsToRow(events: readonly EventBody[]): Row {
  const row: Row = [];
  for (const event of events) row.push(event.name, event.version, event.payload);
  return row;
}

function eventsFromRow(row: Row): EventBody[] {
  const events: EventBody[] = [];
  for (let index = 0; index < row.length; index += 3) {
    events.push({ name: row[index] as string, version: row[index + 1] as number, payload: row[index + 2] as Plain });
  }
  return events;
}

function sendToRow(send: SendBody): Row {
  const row: Row = [send.to.type, send.to.key, send.sequence, send.command, send.input, send.reply ?? null];
  if (send.context !== undefined) row.push(send.context);
  return row;
}

function sendFromRow(row: Row): SendBody {
  const [type, key, sequence, command, input, reply] = row as [string, string, number, string, Plain, string | null];
  return {
    to: { type, key },
    sequence,
    command,
    input,
    ...(reply === null ? {} : { reply }),
    ...(row.length > 6 ? { context: row[6] as Plain } : {}),
  };
}

function timerToRow(change: TimerChange): Row {
  return change.dueMs === null ? [change.name] : [change.name, change.dueMs, change.command, change.input];
}

function timerFromRow(row: Row): TimerChange {
  const [name, dueMs, command, input] = row as [string, number, string, Plain];
  return row.length === 1 ? { name, dueMs: null } : { name, dueMs, command, input };
}

function unknown(what: string, kind: unknown): HoldfastError {
  return new HoldfastError(
    "log-damaged",
    `The log holds a ${what} of kind ${String(kind)}, which this version does not know. Run the version that wrote it.`,
  );
}
