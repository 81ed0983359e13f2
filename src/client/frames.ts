/**
 * Packs messages into as few frames as the server's limits allow.
 *
 * Invariant: no frame is over the bytes, messages or values that one may have; order is kept.
 */
import type { Plain } from "../std/plain.ts";
import { type Encoding, encodePlain, type FrameData, joinFrame } from "../wire/codec.ts";
import { objectCost } from "../wire/guard.ts";
import type { ClientMessage } from "../wire/protocol.ts";

export interface FrameBounds {
  readonly frameBytesMax: number;
  readonly frameMessagesMax: number;
  readonly frameValuesMax: number;
}

/** Bytes around the messages, at most. */
const frameHeadBytes = 3;
const utf8 = new TextEncoder();

export class FramePacker {
  readonly #encoding: Encoding;
  readonly #bounds: FrameBounds;
  readonly #send: (frame: FrameData) => void;
  #parts: FrameData[] = [];
  #bytes = frameHeadBytes;
  #values = 0;

  constructor(encoding: Encoding, bounds: FrameBounds, send: (frame: FrameData) => void) {
    this.#encoding = encoding;
    this.#bounds = bounds;
    this.#send = send;
  }

  /** @returns false if the message is too large for any frame; nothing is sent of it then */
  add(message: ClientMessage): boolean {
    const { frameBytesMax, frameMessagesMax, frameValuesMax } = this.#bounds;
    const part = encodePlain(message, this.#encoding);
    const bytes = typeof part === "string" ? utf8.encode(part).length + 1 : part.length;
    const values = 1 + countValues(message as unknown as Plain);
    if (frameHeadBytes + bytes > frameBytesMax || values > frameValuesMax) return false;
    const full =
      this.#bytes + bytes > frameBytesMax ||
      this.#values + values > frameValuesMax ||
      this.#parts.length >= frameMessagesMax;
    if (full) this.flush();
    this.#parts.push(part);
    this.#bytes += bytes;
    this.#values += values;
    return true;
  }

  /** Sends what was added since the last frame. */
  flush(): void {
    if (this.#parts.length === 0) return;
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = frameHeadBytes;
    this.#values = 0;
    this.#send(joinFrame(parts, this.#encoding));
  }
}

/** Values as the server's guard counts them: array items, object members and `objectCost` for each object. */
function countValues(value: Plain): number {
  if (typeof value !== "object" || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const item of value) count += 1 + countValues(item);
    return count;
  }
  count = objectCost;
  for (const item of Object.values(value)) count += 1 + countValues(item);
  return count;
}
