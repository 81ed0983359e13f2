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
import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE, Unpackr } from "msgpackr";
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

/** The parts of the frame that is being encoded, in their order; their memory is used again for the next one. */
const rows = new ByteWriter();
const wordBytes = new ByteWriter();
const shapeBytes = new ByteWriter();
const ids = new ByteWriter();
const payloadBytes = new ByteWriter();
const outcomeBytes = new ByteWriter();
const restBytes = new ByteWriter();
const measured = [rows, wordBytes, shapeBytes, ids, payloadBytes, outcomeBytes] as const;
const lengths = new ByteWriter();
const words = new WordWriter(wordBytes);
const shapes = new ShapeWriter(words, shapeBytes);

interface Columns {
  readonly payloads: unknown[];
  readonly outcomes: unknown[];
  readonly rest: Row[];
  timeMs: number;
}

/** Encodes for `copyBody`, which is to be called before the next one is encoded. @returns the body's length */
export function encodeBody(records: readonly LogRecord[]): number {
  for (const part of measured) part.clear();
  restBytes.clear();
  lengths.clear();
  words.clear();
  shapes.clear();
  const columns: Columns = { payloads: [], outcomes: [], rest: [], timeMs: Number.NaN };
  for (const record of records) {
    if (record.kind === "step") writeStep(columns, record);
    else {
      rows.byte(marks.rest);
      columns.rest.push(toRow(record));
    }
  }
  pack(columns.payloads, payloadBytes);
  pack(columns.outcomes, outcomeBytes);
  pack(columns.rest, restBytes);
  let length = restBytes.length;
  for (const part of measured) {
    lengths.varint(part.length);
    length += part.length;
  }
  return length + lengths.length;
}

export function copyBody(target: Buffer, at: number): void {
  let end = lengths.copyTo(target, at);
  for (const part of measured) end = part.copyTo(target, end);
  restBytes.copyTo(target, end);
}

/** Without a copy of its own: msgpackr says where in its memory the message stands, and takes that memory again. */
function pack(column: readonly unknown[], part: ByteWriter): void {
  if (column.length === 0) return;
  const memory = packr.pack(column, REUSE_BUFFER_MODE | RESET_BUFFER_MODE) as Buffer & { start: number; end: number };
  part.part(memory, memory.start, memory.end);
}

function writeStep(columns: Columns, step: StepRecord): void {
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
  if (cause.kind === "request") ids.part(cause.idBytes, 0, 16);
  if (outcome.ok) shapes.push(columns.outcomes, outcome.value);
  else columns.outcomes.push(failed, failureToRow(outcome));
  if (rest !== undefined) columns.rest.push(rest);
}

/**
 * @returns undefined if the parts do not hold what the rows say
 * @throws `log-damaged` a newer version wrote it
 */
export function decodeBody(bytes: Buffer, from: number, count: number): LogRecord[] | undefined {
  const lengthsOf = new ByteReader(bytes, from, bytes.length);
  const ends: number[] = [];
  for (let part = 0; part < measured.length; part++) ends.push(lengthsOf.varint());
  const start = lengthsOf.at;
  let end = start;
  for (let part = 0; part < measured.length; part++) ends[part] = end += ends[part] as number;
  const [rowsEnd, wordsEnd, shapesEnd, idsEnd, payloadsEnd, outcomesEnd] = ends as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (end > bytes.length) return undefined;
  const names = readWords(new ByteReader(bytes, rowsEnd, wordsEnd));
  const forms = readShapes(new ByteReader(bytes, wordsEnd, shapesEnd), names);
  const frame: StoredFrame = {
    rows: new ByteReader(bytes, start, rowsEnd),
    words: names,
    bytes,
    idAt: shapesEnd,
    payloads: new ShapedColumn(unpack(bytes, idsEnd, payloadsEnd), forms),
    outcomes: new Outcomes(bytes, payloadsEnd, outcomesEnd, forms),
    rest: unpack(bytes, outcomesEnd, bytes.length) as Row[],
    restAt: 0,
    steps: 0,
    timeMs: 0,
  };
  const records: LogRecord[] = [];
  while (records.length < count && !frame.rows.atEnd) records.push(readRecord(frame));
  const complete = records.length === count && frame.rows.complete && frame.payloads.complete && frame.idAt === idsEnd;
  return complete ? records : undefined;
}

function unpack(bytes: Buffer, start: number, end: number): readonly unknown[] {
  return start === end ? nothing : (unpackr.unpack(bytes, { start, end }) as unknown[]);
}

/** A frame that is being read. */
interface StoredFrame {
  readonly rows: ByteReader;
  readonly words: readonly string[];
  readonly bytes: Buffer;
  /** Of the next request id. */
  idAt: number;
  readonly payloads: ShapedColumn;
  readonly outcomes: Outcomes;
  readonly rest: readonly Row[];
  restAt: number;
  steps: number;
  timeMs: number;
}

function readRecord(frame: StoredFrame): LogRecord {
  const { rows: from, words: names } = frame;
  const mark = from.byte();
  if ((mark & marks.step) === 0) return fromRow(frame.rest[frame.restAt++] ?? []);
  frame.timeMs = (mark & marks.wholeTime) !== 0 ? from.float64() : frame.timeMs + from.varint();
  const entity = { type: names[from.varint()] as string, key: names[from.varint()] as string };
  const command = names[from.varint()] as string;
  const inMark = mark >> eventsShift;
  const events = inMark === 0 ? nothing : readEvents(frame, inMark === eventsFollow ? from.varint() : inMark);
  const cause = (mark & marks.request) === 0 ? undefined : readRequest(frame);
  const rest = (mark & marks.rest) === 0 ? undefined : (frame.rest[frame.restAt++] ?? []);
  const columns = { time: frame.timeMs, entity, command, events, cause };
  return new StoredStep(columns, rest, frame.outcomes, frame.steps++);
}

function readEvents(frame: StoredFrame, count: number): EventBody[] {
  const { rows: from, words: names, payloads } = frame;
  const events: EventBody[] = [];
  for (let left = count; left > 0 && !from.atEnd; left--) {
    const name = names[from.varint()] as string;
    events.push({ name, version: from.varint(), payload: payloads.next() });
  }
  return events;
}

function readRequest(frame: StoredFrame): Cause {
  const at = frame.idAt;
  frame.idAt += 16;
  return new StoredRequest(frame.bytes, at);
}

class Outcomes implements StoredOutcomes {
  readonly #bytes: Buffer;
  readonly #start: number;
  readonly #end: number;
  readonly #shapes: Shapes;
  #decoded: Outcome[] | undefined;

  constructor(bytes: Buffer, start: number, end: number, shapes: Shapes) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#shapes = shapes;
  }

  outcome(index: number): Outcome {
    return (this.#decoded ??= this.#decode())[index] as Outcome;
  }

  #decode(): Outcome[] {
    const column = new ShapedColumn(unpack(this.#bytes, this.#start, this.#end), this.#shapes);
    const outcomes: Outcome[] = [];
    while (!column.complete) {
      const failure = column.take(failed);
      outcomes.push(failure === undefined ? { ok: true, value: column.next() } : failureFromRow(failure as Row));
    }
    return outcomes;
  }
}
