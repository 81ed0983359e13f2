/**
 * Records of the log as arrays, which msgpack writes smaller and faster than objects with names. What every step has is
 * in columns (`body.ts`); here is the rest of a step, and every record that is none.
 *
 * Invariant: what is read from a row deep-equals what it was written from. Positions never change meaning: a new kind of
 * record or cause gets a new number, a new field a new position at the end.
 */
import { HoldfastError } from "../model/errors.ts";
import type {
  Cause,
  EntityRef,
  EventBody,
  LogRecord,
  Outcome,
  SendBody,
  StepRecord,
  TimerChange,
} from "../model/records.ts";
import type { Plain } from "../std/plain.ts";
import { bytesToUuid } from "../std/uuid-bytes.ts";

const kinds = { claim: 0 } as const;
const causes = { timer: 1, send: 2, settled: 3 } as const;

export type Row = unknown[];

/** A record that is not a step. */
export function toRow(record: Exclude<LogRecord, StepRecord>): Row {
  return [kinds.claim, record.time, record.epoch, record.node];
}

/** @throws `log-damaged` a kind this code does not know: a newer version wrote it */
export function fromRow(row: Row): LogRecord {
  if (row[0] === kinds.claim) {
    return { kind: "claim", time: row[1] as number, epoch: row[2] as number, node: row[3] as string };
  }
  throw unknown("record", row[0]);
}

/** What few steps have. New fields of a step belong here, at the end. @returns undefined for a step that has none of it */
export function restToRow(step: StepRecord): Row | undefined {
  const { cause, sends, timers } = step;
  if (cause.kind === "request" && sends.length === 0 && timers.length === 0) return undefined;
  return [
    cause.kind === "request" ? null : causeToRow(cause),
    sends.length === 0 ? null : sends.map(sendToRow),
    timers.length === 0 ? null : timers.map(timerToRow),
  ];
}

const none: readonly never[] = [];

/** What the columns say of a step. */
export interface StepColumns {
  readonly time: number;
  readonly entity: EntityRef;
  readonly command: string;
  readonly events: readonly EventBody[];
  /** Undefined if the cause is in the rest. */
  readonly cause: Cause | undefined;
}

/** Outcomes of a frame's steps. A replay needs those of the last steps only: they are decoded when asked for. */
export interface StoredOutcomes {
  outcome(index: number): Outcome;
}

export class StoredStep implements StepRecord {
  readonly kind = "step";
  readonly time: number;
  readonly entity: EntityRef;
  readonly command: string;
  readonly cause: Cause;
  readonly events: readonly EventBody[];
  readonly sends: readonly SendBody[];
  readonly timers: readonly TimerChange[];
  readonly #outcomes: StoredOutcomes;
  readonly #index: number;

  /** @param index of the step among the steps of its frame */
  constructor(columns: StepColumns, rest: Row | undefined, outcomes: StoredOutcomes, index: number) {
    this.time = columns.time;
    this.entity = columns.entity;
    this.command = columns.command;
    this.cause = columns.cause ?? causeFromRow((rest?.[0] ?? []) as Row);
    this.events = columns.events;
    this.sends = rest === undefined || rest[1] === null ? none : (rest[1] as Row[]).map(sendFromRow);
    this.timers = rest === undefined || rest[2] === null ? none : (rest[2] as Row[]).map(timerFromRow);
    this.#outcomes = outcomes;
    this.#index = index;
  }

  get outcome(): Outcome {
    return this.#outcomes.outcome(this.#index);
  }
}

export function failureToRow(outcome: Extract<Outcome, { ok: false }>): Row {
  return [outcome.code, outcome.reason, outcome.details];
}

export function failureFromRow(row: Row): Outcome {
  const [code, reason, details] = row as [Extract<Outcome, { ok: false }>["code"], string, Plain];
  return { ok: false, code, reason, details };
}

function causeToRow(cause: Exclude<Cause, { kind: "request" }>): Row {
  switch (cause.kind) {
    case "timer":
      return [causes.timer, cause.name, cause.setAt];
    case "send":
      return [causes.send, cause.from.type, cause.from.key, cause.sequence];
    default:
      return [causes.settled, cause.to.type, cause.to.key, cause.sequence];
  }
}

/** A request id out of the log. A replay needs its bytes only; the text is made when somebody asks for it. */
export class StoredRequest {
  readonly kind = "request";
  readonly idBytes: Uint8Array;

  constructor(idBytes: Uint8Array) {
    this.idBytes = idBytes;
  }

  get requestId(): string {
    return bytesToUuid(this.idBytes);
  }
}

function causeFromRow(row: Row): Cause {
  const [kind, first, second, third] = row as [number, string, string, number];
  if (kind === causes.timer) return { kind: "timer", name: first, setAt: second as unknown as number };
  if (kind === causes.send) return { kind: "send", from: { type: first, key: second }, sequence: third };
  if (kind === causes.settled) return { kind: "settled", to: { type: first, key: second }, sequence: third };
  throw unknown("cause", kind);
}

export function sendToRow(send: SendBody): Row {
  const row: Row = [send.to.type, send.to.key, send.sequence, send.command, send.input, send.reply ?? null];
  if (send.context !== undefined) row.push(send.context);
  return row;
}

export function sendFromRow(row: Row): SendBody {
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
