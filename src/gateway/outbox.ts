/**
 * What one WebSocket is to be sent: collects the messages of one turn into one frame, and keeps a slow reader from
 * costing memory.
 *
 * Behind half of `outgoingBytesPerConnectionMax` the connection is *slow*: it is not read from, views are not sent to it
 * (their subscriptions fall behind), only replies are. When its bytes are gone it is *ready* again. Over the limit, or
 * slow for `slowMs`, it is closed with 4429.
 *
 * Invariant: the socket's queue never holds more than the limit and one frame.
 */
import type { WebSocket } from "ws";
import type { Limits } from "../model/limits.ts";
import { type Encoding, encodePlain, type FrameData, joinFrame } from "../wire/codec.ts";
import type { ServerMessage } from "../wire/protocol.ts";

/** Twice what a socket takes before it asks for a pause: over that, `drain` will follow. */
const backlogBytes = 128 * 1024;

export interface OutboxOwner {
  /** A view's message was left out; its subscription has to start again with an absolute. */
  left(id: number): void;
  tooSlow(): void;
  slowed(): void;
}

export class Outbox {
  slow = false;
  readonly #socket: WebSocket;
  readonly #encoding: Encoding;
  readonly #limits: Limits;
  readonly #owner: OutboxOwner;
  #messages: ServerMessage[] = [];
  #parts: FrameData[] = [];
  #partsBytes = 0;
  #scheduled = false;
  readonly #flush = (): void => this.flush();

  constructor(socket: WebSocket, encoding: Encoding, limits: Limits, owner: OutboxOwner) {
    this.#socket = socket;
    this.#encoding = encoding;
    this.#limits = limits;
    this.#owner = owner;
  }

  /** Sent at the end of this turn, together with whatever else is pushed in it. */
  push(message: ServerMessage): void {
    this.#messages.push(message);
    if (this.#scheduled) return;
    this.#scheduled = true;
    // The answers of one group commit come in one burst; a microtask runs when the burst is over.
    queueMicrotask(this.#flush);
  }

  /** Sends what was pushed, in frames of bounded size. */
  flush(): void {
    this.#scheduled = false;
    const messages = this.#messages;
    if (messages.length === 0) return;
    this.#messages = [];
    for (const message of messages) {
      if (this.#socket.readyState !== this.#socket.OPEN) break;
      if (this.slow && (message.t === "absolute" || message.t === "delta")) {
        this.#owner.left(message.id);
        continue;
      }
      const part = encodePlain(message, this.#encoding);
      this.#parts.push(part);
      this.#partsBytes += part.length;
      if (this.#partsBytes >= this.#limits.frameBytesMax || this.#parts.length >= this.#limits.frameMessagesMax)
        this.#send();
    }
    this.#send();
  }

  /** Whether enough has gone out to be sent views again. */
  drained(): boolean {
    if (this.slow && this.#socket.bufferedAmount <= this.#limits.outgoingBytesPerConnectionMax / 8) this.slow = false;
    return !this.slow;
  }

  /** More than a feed should add to waits in the socket, which will say when it is gone. */
  get backlogged(): boolean {
    return this.#socket.bufferedAmount > backlogBytes;
  }

  #send(): void {
    if (this.#parts.length === 0) return;
    const frame = joinFrame(this.#parts, this.#encoding);
    this.#parts = [];
    this.#partsBytes = 0;
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(frame, { binary: this.#encoding === "msgpack" });
    const buffered = this.#socket.bufferedAmount;
    if (buffered > this.#limits.outgoingBytesPerConnectionMax) this.#owner.tooSlow();
    else if (!this.slow && buffered > this.#limits.outgoingBytesPerConnectionMax / 2) {
      this.slow = true;
      this.#owner.slowed();
    }
  }
}
