/**
 * Items of feeds as CloudEvents 1.0: what every consumer outside the process is given.
 *
 * Invariants: the text of an item is the same whoever makes it. `source` and `id` name it for ever. `sequence` compares as a
 * string and grows along a shard. Sealed values stay sealed.
 *
 * The text is put together by hand, since most of it needs no escaping: only names that a service chose and the payload go
 * through `JSON.stringify`.
 */
import { type FeedItem, idOf } from "../model/feeds.ts";
import type { Plain } from "../std/plain.ts";

/** One event. */
export const cloudEventMediaType = "application/cloudevents+json";
/** An array of them. */
export const cloudEventBatchMediaType = "application/cloudevents-batch+json";

const jsonMediaType = "application/json";
const patchMediaType = "application/json-patch+json";

/** Digits of the largest offset, 2^53 - 1. */
const offsetDigits = 16;
/** A command makes at most `perCommandMax` events, 256 unless a service sets more. */
const indexDigits = 6;

/** The context attributes: all of a CloudEvent but its `data`. Of extensions, those the item has. */
export interface CloudAttributes {
  readonly specversion: "1.0";
  readonly id: string;
  /** `/<service>/<entity type>/<key>` */
  readonly source: string;
  /** `<service>.<entity type>.<event>`, or `.absolute`, or `.delta` in its place. */
  readonly type: string;
  /** `<entity type>/<key>` */
  readonly subject: string;
  /** Of changes: the recorded time. */
  readonly time?: string;
  readonly datacontenttype: string;
  /** The offset with leading zeros; of changes, `-` and the index of the event in its record follow. */
  readonly sequence: string;
  readonly shard: number;
  /** As the subject: events of one entity stay in order. */
  readonly partitionkey: string;
  /** Of deltas: the offset of the value that the patch applies to, written as in `sequence`. */
  readonly fromsequence?: string;
  readonly eventversion?: number;
  readonly command?: string;
  readonly requestid?: string;
}

/** The attributes of one item, for transports that send them beside the data. */
export function cloudAttributesOf(item: FeedItem, service: string): CloudAttributes {
  const { type, key } = item.entity;
  const subject = `${type}/${key}`;
  const common = {
    specversion: "1.0",
    id: idOf(item),
    source: `/${encodeURIComponent(service)}/${subject}`,
    type: `${service}.${type}.${item.kind === "change" ? item.event : item.kind}`,
    subject,
    datacontenttype: item.kind === "delta" ? patchMediaType : jsonMediaType,
    sequence: sequenceOf(item),
    shard: item.shard,
    partitionkey: subject,
  } as const;
  if (item.kind === "absolute") return common;
  if (item.kind === "delta") return { ...common, fromsequence: padded(item.from, offsetDigits) };
  const { eventVersion, command, requestId } = item;
  const change = { ...common, time: new Date(item.timeMs).toISOString(), eventversion: eventVersion, command };
  return requestId === undefined ? change : { ...change, requestid: requestId };
}

/** What an item carries: `data`. */
export function cloudDataOf(item: FeedItem): Plain {
  if (item.kind === "change") return item.payload;
  return item.kind === "absolute" ? item.value : (item.patch as unknown as Plain);
}

/** One item in the JSON event format, on one line. */
export function cloudEventOf(item: FeedItem, service: string): string {
  const { type, key } = item.entity;
  const { source, prefix } = writtenOf(service);
  const subject = `${type}/${key}`;
  const head =
    `{"specversion":"1.0","id":"${idOf(item)}","source":"${source}${subject}","type":"${prefix}${type}.` +
    `${item.kind === "change" ? inner(item.event) : item.kind}","subject":"${subject}","sequence":"${sequenceOf(item)}",` +
    `"shard":${item.shard},"partitionkey":"${subject}",`;
  return `${head}${restOf(item)}}`;
}

/** A batch in the JSON batch format. */
export function cloudEventBatchOf(items: readonly FeedItem[], service: string): string {
  let text = "[";
  for (let index = 0; index < items.length; index++) {
    if (index > 0) text += ",";
    text += cloudEventOf(items[index] as FeedItem, service);
  }
  return `${text}]`;
}

/** Orders the items of a shard, as a string. */
export function sequenceOf(item: FeedItem): string {
  const offset = padded(item.offset, offsetDigits);
  return item.kind === "change" ? `${offset}-${padded(item.index, indexDigits)}` : offset;
}

function restOf(item: FeedItem): string {
  switch (item.kind) {
    case "change": {
      const requestId = item.requestId === undefined ? "" : `"requestid":${JSON.stringify(item.requestId)},`;
      return (
        `"time":"${timeOf(item.timeMs)}","eventversion":${item.eventVersion},"command":"${inner(item.command)}",${requestId}` +
        `"datacontenttype":"${jsonMediaType}","data":${JSON.stringify(item.payload)}`
      );
    }
    case "absolute":
      return `"datacontenttype":"${jsonMediaType}","data":${JSON.stringify(item.value)}`;
    case "delta":
      return (
        `"fromsequence":"${padded(item.from, offsetDigits)}",` +
        `"datacontenttype":"${patchMediaType}","data":${JSON.stringify(item.patch)}`
      );
    default:
      return item satisfies never;
  }
}

const zeros = "0".repeat(offsetDigits);

function padded(value: number, digits: number): string {
  const text = String(value);
  return text.length >= digits ? text : zeros.slice(0, digits - text.length) + text;
}

const needsNoEscape = /^[@A-Za-z0-9_-]*$/;

/** A name as it stands inside the quotes of a JSON string. */
function inner(name: string): string {
  return needsNoEscape.test(name) ? name : JSON.stringify(name).slice(1, -1);
}

interface Written {
  readonly service: string;
  readonly source: string;
  readonly prefix: string;
}

/** A process writes events of one service: its name is escaped once. */
let written: Written = { service: "", source: "//", prefix: "." };

function writtenOf(service: string): Written {
  if (written.service === service) return written;
  written = { service, source: `/${encodeURIComponent(service)}/`, prefix: `${inner(service)}.` };
  return written;
}

/** Records of one group commit share their time. */
let time = { ms: 0, text: new Date(0).toISOString() };

function timeOf(ms: number): string {
  if (time.ms !== ms) time = { ms, text: new Date(ms).toISOString() };
  return time.text;
}
