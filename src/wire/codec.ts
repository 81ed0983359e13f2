/**
 * Bytes or text to plain data and back, in the two encodings of the wire.
 *
 * Invariant: decoding untrusted data gives plain data or a `HoldfastError`, in bounded time, and changes no prototype.
 * Runs in browsers: no node:* imports.
 */
import { Packr } from "msgpackr";
import type { Plain } from "../std/plain.ts";
import { type GuardLimits, refuseFrame, refuseLarge } from "./guard.ts";
import { readJson } from "./json.ts";
import { readMsgpack } from "./msgpack.ts";
import type { ClientMessage, ServerMessage } from "./protocol.ts";

export type Encoding = "msgpack" | "json";

/** A frame as it comes from or goes to a socket: bytes for msgpack; text, or its UTF-8 bytes, for JSON. */
export type FrameData = Uint8Array | string;

// No records, no shared structures, no extensions: any msgpack library understands it.
const packr = new Packr({ useRecords: false, variableMapSize: true });
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws `invalid-frame` or `too-large` */
export function decodePlain(data: FrameData, encoding: Encoding, limits: GuardLimits): Plain {
  if (encoding === "msgpack") {
    if (typeof data === "string") refuseFrame("is text where bytes are spoken");
    return readMsgpack(data, limits);
  }
  if (data.length > limits.bytesMax) refuseLarge(`is over ${limits.bytesMax} bytes`);
  return readJson(typeof data === "string" ? data : decodeText(data), limits);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return refuseFrame("is not UTF-8");
  }
}

/**
 * One value in an encoding. It must be plain data without `undefined` (see `copyPlain`); nothing is checked here.
 * The bytes may share their buffer with other messages and are never written again.
 */
export function encodePlain(value: unknown, encoding: "msgpack"): Uint8Array;
export function encodePlain(value: unknown, encoding: "json"): string;
export function encodePlain(value: unknown, encoding: Encoding): FrameData;
export function encodePlain(value: unknown, encoding: Encoding): FrameData {
  return encoding === "msgpack" ? packr.pack(value) : JSON.stringify(value);
}

/** One frame of the server's messages, of which there is at least one. */
export function encodeServerFrame(messages: readonly ServerMessage[], encoding: Encoding): FrameData {
  return encodePlain(messages, encoding);
}

/** One frame of a client's messages, of which there is at least one. */
export function encodeClientFrame(messages: readonly ClientMessage[], encoding: Encoding): FrameData {
  return encodePlain(messages, encoding);
}

/**
 * One frame out of messages that were encoded one by one, so that their sizes were known before.
 * @param count the messages, if some of them are in several parts (msgpack only)
 */
export function joinFrame(parts: readonly FrameData[], encoding: Encoding, count = parts.length): FrameData {
  if (encoding === "json") return `[${parts.join(",")}]`;
  let size = 0;
  for (const part of parts) size += part.length;
  const head = count < 16 ? 1 : 3;
  const frame = new Uint8Array(head + size);
  if (head === 1) {
    frame[0] = 0x90 | count;
  } else {
    frame[0] = 0xdc;
    frame[1] = count >> 8;
    frame[2] = count & 0xff;
  }
  let offset = head;
  for (const part of parts as readonly Uint8Array[]) {
    frame.set(part, offset);
    offset += part.length;
  }
  return frame;
}
