/**
 * The body of a frame: what every step has in columns, everything else in rows.
 *
 *   lengths of the parts but the last (varints) ·
 *   rows      a byte of marks for each record, then for a step: time, type, key, command, and name and version of each event
 *   words     what the rows name, each once
 *   shapes    the member names of payloads and replies, each combination once
 *   ids       request ids of the steps that have one, 16 bytes each
 *   payloads  of all events, one msgpack array
 *   outcomes  of all steps, one msgpack array; a replay decodes it only where it keeps them
 *   rest      msgpack array of rows (`record.ts`), for the records that have one
 *
 * Invariant: decodeBody(encodeBody(records)) deep-equals the records. There is one text of each word and one decode of each
 * column per frame, not per record: that is what makes a replay fast.
 */
import { Packr, Unpackr } from "msgpackr";
import type { Cause, EventBody, LogRecord, Outcome, StepRecord } from "../model/records.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import {
  failureFromRow,
  failureToRow,
  fromRow,
  type Row,
  restToRow,
  type StoredOutcomes,
  StoredRequest,
  StoredStep,
  toRow,
} from "./record.ts";
import { readShapes, ShapedColumn, type Shapes, ShapeWriter } from "./shapes.ts";
import { readWords, WordWriter } from "./words.ts";

/** A record's first byte. The number of events stands above the marks; `eventsFollow` says that it is a varint instead. */
const marks = { step: 1, request: 2, wholeTime: 4, rest: 8 } as const;
const eventsShift = 4;
const eventsFollow = 15;
/** Farthest a time may lie after the one before it to be written as the difference. */
const timeStepMax = 2 ** 31;
/** Stands in the column of outcomes, before the row of a failure; others have the number of their shape there. */
const failed = -1;

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, copyBuffers: false });
const nothing: readonly never[] = [];

const rows = new ByteWriter();
const wordBytes = new ByteWriter();
const shapeBytes = new ByteWriter();
const ids = new ByteWriter();
const lengths = new ByteWriter();

interface Columns {
  readonly words: WordWriter;
  readonly shapes: ShapeWriter;
  readonly payloads: unknown[];
  readonly outcomes: unknown[];
  readonly rest: Row[];
  timeMs: number;
}

/** @returns the parts, to be joined before the next call */
export function encodeBody(records: readonly LogRecord[]): readonly Uint8Array[] {
  for (const part of [rows, wordBytes, shapeBytes, ids, lengths]) part.clear();
  const words = new WordWriter(wordBytes);
  const shapes = new ShapeWriter(words, shapeBytes);
  const columns: Columns = { words, shapes, payloads: [], outcomes: [], rest: [], timeMs: Number.NaN };
  for (const record of records) {
    if (record.kind === "step") writeStep(columns, record);
    else {
      rows.byte(marks.rest);
      columns.rest.push(toRow(record));
    }
  }
  const parts = [
    rows.written,
    wordBytes.written,
    shapeBytes.written,
    ids.written,
    packed(columns.payloads),
    packed(columns.outcomes),
  ];
  for (const part of parts) lengths.varint(part.length);
  return [lengths.written, ...parts, packed(columns.rest)];
}

const noBytes = new Uint8Array(0);

function packed(column: readonly unknown[]): Uint8Array {
  return column.length === 0 ? noBytes : packr.pack(column);
}

function writeStep(columns: Columns, step: StepRecord): void {
  const { words, shapes } = columns;
  const { cause, events, outcome } = step;
  const timeStep = step.time - columns.timeMs;
  const wholeTime = !(timeStep >= 0 && timeStep < timeStepMax && Number.isInteger(timeStep));
  columns.timeMs = step.time;
  const rest = restToRow(step);
  let mark: number = marks.step;
  if (cause.kind === "request") mark |= marks.request;
  if (wholeTime) mark |= marks.wholeTime;
  if (rest !== undefined) mark |= marks.rest;
  rows.byte(mark | (Math.min(events.length, eventsFollow) << eventsShift));
  if (wholeTime) rows.float64(step.time);
  else rows.varint(timeStep);
  rows.varint(words.numberOf(step.entity.type));
  rows.varint(words.numberOf(step.entity.key));
  rows.varint(words.numberOf(step.command));
  if (events.length >= eventsFollow) rows.varint(events.length);
  for (const event of events) {
    rows.varint(words.numberOf(event.name));
    rows.varint(event.version);
    shapes.push(columns.payloads, event.payload);
  }
  if (cause.kind === "request") ids.sixteen(cause.idBytes);
  if (outcome.ok) shapes.push(columns.outcomes, outcome.value);
  else columns.outcomes.push(failed, failureToRow(outcome));
  if (rest !== undefined) columns.rest.push(rest);
}

/**
 * @returns undefined if the parts do not hold what the rows say
 * @throws `log-damaged` a newer version wrote it
 */
export function decodeBody(body: Buffer, count: number): LogRecord[] | undefined {
  const reader = new ByteReader(body);
  const sizes = [reader.varint(), reader.varint(), reader.varint(), reader.varint(), reader.varint(), reader.varint()];
  const [rowPart, wordPart, shapePart, idPart, payloadPart, outcomePart] = sizes.map((size) => reader.part(size)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  if (reader.at > body.length) return undefined;
  const words = readWords(new ByteReader(wordPart));
  const shapes = readShapes(new ByteReader(shapePart), words);
  const frame: StoredFrame = {
    rows: new ByteReader(rowPart),
    words,
    ids: idPart,
    idAt: 0,
    payloads: new ShapedColumn(unpacked(payloadPart), shapes),
    outcomes: new Outcomes(outcomePart, shapes),
    rest: unpacked(reader.part(body.length - reader.at)) as Row[],
    restAt: 0,
    steps: 0,
    timeMs: 0,
  };
  const records: LogRecord[] = [];
  while (records.length < count && !frame.rows.atEnd) records.push(readRecord(frame));
  const complete =
    records.length === count && frame.rows.complete && frame.payloads.complete && frame.idAt === idPart.length;
  return complete ? records : undefined;
}

function unpacked(part: Buffer): readonly unknown[] {
  return part.length === 0 ? nothing : (unpackr.unpack(part) as unknown[]);
}

/** A frame that is being read. */
interface StoredFrame {
  readonly rows: ByteReader;
  readonly words: readonly string[];
  readonly ids: Buffer;
  idAt: number;
  readonly payloads: ShapedColumn;
  readonly outcomes: Outcomes;
  readonly rest: readonly Row[];
  restAt: number;
  steps: number;
  timeMs: number;
}

function readRecord(frame: StoredFrame): LogRecord {
  const { rows: from, words } = frame;
  const mark = from.byte();
  if ((mark & marks.step) === 0) return fromRow(frame.rest[frame.restAt++] ?? []);
  frame.timeMs = (mark & marks.wholeTime) !== 0 ? from.float64() : frame.timeMs + from.varint();
  const entity = { type: words[from.varint()] as string, key: words[from.varint()] as string };
  const command = words[from.varint()] as string;
  const inMark = mark >> eventsShift;
  const events = inMark === 0 ? nothing : readEvents(frame, inMark === eventsFollow ? from.varint() : inMark);
  const cause = (mark & marks.request) === 0 ? undefined : readRequest(frame);
  const rest = (mark & marks.rest) === 0 ? undefined : (frame.rest[frame.restAt++] ?? []);
  const columns = { time: frame.timeMs, entity, command, events, cause };
  return new StoredStep(columns, rest, frame.outcomes, frame.steps++);
}

function readEvents(frame: StoredFrame, count: number): EventBody[] {
  const { rows: from, words, payloads } = frame;
  const events: EventBody[] = [];
  for (let left = count; left > 0 && !from.atEnd; left--) {
    const name = words[from.varint()] as string;
    events.push({ name, version: from.varint(), payload: payloads.next() });
  }
  return events;
}

function readRequest(frame: StoredFrame): Cause {
  const at = frame.idAt;
  frame.idAt += 16;
  return new StoredRequest(frame.ids.subarray(at, at + 16));
}

class Outcomes implements StoredOutcomes {
  readonly #part: Buffer;
  readonly #shapes: Shapes;
  #decoded: Outcome[] | undefined;

  constructor(part: Buffer, shapes: Shapes) {
    this.#part = part;
    this.#shapes = shapes;
  }

  outcome(index: number): Outcome {
    return (this.#decoded ??= this.#decode())[index] as Outcome;
  }

  #decode(): Outcome[] {
    const column = new ShapedColumn(unpacked(this.#part), this.#shapes);
    const outcomes: Outcome[] = [];
    while (!column.complete) {
      const failure = column.take(failed);
      outcomes.push(failure === undefined ? { ok: true, value: column.next() } : failureFromRow(failure as Row));
    }
    return outcomes;
  }
}
