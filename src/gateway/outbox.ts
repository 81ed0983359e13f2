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
import type { Writable } from "node:stream";
import type { WebSocket } from "ws";
import type { Limits } from "../model/limits.ts";
import { type Encoding, encodePlain, type FrameData, joinFrame } from "../wire/codec.ts";
import type { ServerMessage } from "../wire/protocol.ts";
import type { ViewMessage } from "./view-message.ts";

/** A message of a view, and the subscription it is for. */
interface Shown {
  readonly id: number;
  readonly view: ViewMessage;
}

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
  readonly #raw: Writable;
  readonly #encoding: Encoding;
  readonly #limits: Limits;
  readonly #owner: OutboxOwner;
  #messages: (ServerMessage | Shown)[] = [];
  #parts: FrameData[] = [];
  /** Messages that the parts make. */
  #count = 0;
  #partsBytes = 0;
  #scheduled = false;
  readonly #flush = (): void => this.flush();

  /** @param raw what the WebSocket writes to, for frames that are made already */
  constructor(socket: WebSocket, raw: Writable, encoding: Encoding, limits: Limits, owner: OutboxOwner) {
    this.#socket = socket;
    this.#raw = raw;
    this.#encoding = encoding;
    this.#limits = limits;
    this.#owner = owner;
  }

  /** Sent at the end of this turn, together with whatever else is pushed in it. */
  push(message: ServerMessage): void {
    this.#add(message);
  }

  /** The same for a message of a view, which is encoded once for all it is sent to. */
  show(id: number, view: ViewMessage): void {
    this.#add({ id, view });
  }

  #add(message: ServerMessage | Shown): void {
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
      if (!("view" in message)) this.#take(encodePlain(message, this.#encoding));
      else if (this.slow) {
        this.#owner.left(message.id);
        continue;
      } else if (messages.length === 1) {
        // Most connections are sent this and nothing else in a turn, and most of them the very same bytes.
        this.#raw.write(message.view.frame(message.id, this.#encoding));
        this.#written();
        break;
      } else {
        const [head, tail] = message.view.parts(message.id, this.#encoding);
        this.#take(head, tail);
      }
      if (this.#partsBytes >= this.#limits.frameBytesMax || this.#count >= this.#limits.frameMessagesMax) this.#send();
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

  /** One message, in one part or two. */
  #take(head: FrameData, tail?: FrameData): void {
    this.#count++;
    this.#parts.push(head);
    this.#partsBytes += head.length;
    if (tail === undefined) return;
    this.#parts.push(tail);
    this.#partsBytes += tail.length;
  }

  #send(): void {
    if (this.#count === 0) return;
    const frame = joinFrame(this.#parts, this.#encoding, this.#count);
    this.#parts = [];
    this.#count = 0;
    this.#partsBytes = 0;
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#socket.send(frame, { binary: this.#encoding === "msgpack" });
    this.#written();
  }

  #written(): void {
    const buffered = this.#socket.bufferedAmount;
    if (buffered > this.#limits.outgoingBytesPerConnectionMax) this.#owner.tooSlow();
    else if (!this.slow && buffered > this.#limits.outgoingBytesPerConnectionMax / 2) {
      this.slow = true;
      this.#owner.slowed();
    }
  }
}
