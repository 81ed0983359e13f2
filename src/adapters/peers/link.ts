/**
 * An open connection between two nodes, on a WebSocket.
 *
 * The messages of a turn of the event loop go out together. A frame holds as many as fit in `batchBytes`, or one that is larger.
 *
 * Invariants: never more than `peerBufferedBytesMax` waits to be sent; its events are never called from inside `send` or `close`, and none
 * comes after `closed`. Each side sees to it that it is heard (by unsolicited pongs, which RFC 6455 has for this), so a connection on which nothing was heard for `peerSilentMs` is found by a `sweep`.
 */
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import type { NodeRef } from "../../model/cluster.ts";
import type { Limits } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerConnection, PeerEvents, PeerMessage } from "../../ports/transport.ts";
import type { Plain } from "../../std/plain.ts";
import type { GuardLimits } from "../../wire/guard.ts";
import {
  type EncodedPeer,
  encodePeer,
  joinPeers,
  type PeerParts,
  peerLimits,
  readPeers,
} from "../../wire/peer-codec.ts";
import type { Agreed } from "./handshake.ts";

/** Bounds the work that one frame makes of small messages: about as much as a socket gives at once. */
const batchBytes = 64 * 1024;
/** Of a close frame, by RFC 6455. */
const reasonBytesMax = 123;
const normalClose = 1000;

export interface LinkParts {
  readonly socket: WebSocket;
  /** What the WebSocket reads from and writes to. */
  readonly raw: Duplex;
  readonly clock: Clock;
  readonly limits: Limits;
  /** Told when its events were told that it is over and nothing of its socket is left. */
  readonly gone: (link: PeerLink) => void;
}

export class PeerLink implements PeerConnection {
  readonly peer: NodeRef;
  readonly info: Plain;
  readonly version: number;
  readonly #parts: LinkParts;
  readonly #guard: GuardLimits;
  readonly #flush = (): void => this.#send();
  readonly #written = (error?: Error | null): void => {
    this.#underway--;
    if (error === undefined || error === null) this.#drained();
  };
  #events: PeerEvents | undefined;
  /** Encoded in this turn. */
  #messages: EncodedPeer[] = [];
  #bytes = 0;
  /** Frames that the socket has and has not sent; signs of life are none. */
  #underway = 0;
  #scheduled = false;
  #refused = false;
  #over = false;
  #isTold = false;
  #isClosed = false;
  #heardMs: number;
  #sentMs: number;
  #overMs = 0;

  constructor(agreed: Agreed, parts: LinkParts) {
    this.peer = agreed.peer;
    this.info = agreed.info;
    this.version = agreed.version;
    this.#parts = parts;
    this.#guard = peerLimits(parts.limits);
    this.#heardMs = parts.clock.monotonic();
    this.#sentMs = this.#heardMs;
  }

  /** From now on it is read from. */
  start(events: PeerEvents): void {
    this.#events = events;
    const { socket, raw, clock } = this.#parts;
    socket.on("message", (data, isBinary) => this.#take(data as Buffer, isBinary));
    socket.on("close", (code, reason) => this.#closed(reason.length > 0 ? reason.toString() : lost(code)));
    // Any bytes are a sign of life: a large frame may be on its way for long.
    raw.on("data", () => {
      this.#heardMs = clock.monotonic();
    });
  }

  get bufferedBytes(): number {
    return this.#over ? 0 : this.#bytes + this.#parts.socket.bufferedAmount;
  }

  send(message: PeerMessage): boolean {
    if (this.#over || this.#parts.socket.readyState !== this.#parts.socket.OPEN) return false;
    const encoded = encodePeer(message, this.#parts.limits);
    if (this.bufferedBytes + encoded.size > this.#parts.limits.peerBufferedBytesMax) {
      this.#refused = true;
      return false;
    }
    this.#messages.push(encoded);
    this.#bytes += encoded.size;
    if (!this.#scheduled) {
      this.#scheduled = true;
      // What one group commit brings about comes in one burst; a microtask runs when it is over.
      queueMicrotask(this.#flush);
    }
    return true;
  }

  close(reason: string): void {
    if (this.#over) return;
    this.#send();
    this.#end(reason);
    this.#parts.socket.close(normalClose, shortened(reason));
  }

  /**
   * Checks what time decides.
   * @param lateMs how long this process did not get to run: that does not count, since what came meanwhile is not read yet
   */
  sweep(nowMs: number, lateMs: number): void {
    const { socket, limits } = this.#parts;
    this.#heardMs = Math.min(nowMs, this.#heardMs + lateMs);
    if (this.#over) {
      if (nowMs - this.#overMs > limits.peerSilentMs) socket.terminate();
      return;
    }
    const silentMs = nowMs - this.#heardMs;
    if (silentMs > limits.peerSilentMs) {
      this.#end(`nothing was heard for ${limits.peerSilentMs} ms`);
      socket.terminate();
    } else if (nowMs - this.#sentMs >= limits.peerHeartbeatMs / 2 && this.bufferedBytes === 0) {
      // Not a ping: its answer would wait behind what the other side sends, and so may not come in time. What waits here is a sign of life itself.
      this.#sentMs = nowMs;
      if (socket.readyState === socket.OPEN) socket.pong();
    }
  }

  #take(frame: Buffer, isBinary: boolean): void {
    const parts = readPeers(isBinary ? frame : frame.subarray(0, 0), this.#guard);
    while (!this.#over) {
      let next: IteratorResult<PeerParts>;
      try {
        next = parts.next();
      } catch {
        return this.close("what came is not of the protocol");
      }
      if (next.done === true) return;
      this.#events?.message(this, next.value);
    }
  }

  /** Sends what was encoded. */
  #send(): void {
    this.#scheduled = false;
    const messages = this.#messages;
    if (messages.length === 0 || this.#over) return;
    const { raw } = this.#parts;
    this.#messages = [];
    this.#bytes = 0;
    raw.cork();
    let [from, size] = [0, 0];
    for (let index = 0; index < messages.length; index++) {
      const next = (messages[index] as EncodedPeer).size;
      if (size > 0 && size + next > batchBytes) {
        this.#frame(messages.slice(from, index), size);
        [from, size] = [index, 0];
      }
      size += next;
    }
    this.#frame(from === 0 ? messages : messages.slice(from), size);
    raw.uncork();
  }

  #frame(messages: readonly EncodedPeer[], size: number): void {
    this.#underway++;
    this.#sentMs = this.#parts.clock.monotonic();
    this.#parts.socket.send(joinPeers(messages, size), this.#written);
  }

  #drained(): void {
    if (!this.#refused || this.#over || this.#underway > 0 || this.#bytes > 0) return;
    this.#refused = false;
    this.#events?.drained(this);
  }

  /** It is over on this side. */
  #end(reason: string): void {
    this.#over = true;
    this.#overMs = this.#parts.clock.monotonic();
    this.#messages = [];
    this.#bytes = 0;
    this.#parts.clock.defer(() => this.#tell(reason));
  }

  #closed(reason: string): void {
    this.#isClosed = true;
    if (!this.#over) {
      this.#over = true;
      this.#tell(reason);
    } else if (this.#isTold) this.#parts.gone(this);
  }

  #tell(reason: string): void {
    this.#isTold = true;
    this.#events?.closed(this, reason);
    if (this.#isClosed) this.#parts.gone(this);
  }
}

function lost(code: number): string {
  return code === normalClose || code === 1006 ? "the connection is lost" : `the connection is lost (${code})`;
}

function shortened(reason: string): string {
  let bytes = 0;
  let text = "";
  for (const character of reason) {
    bytes += Buffer.byteLength(character);
    if (bytes > reasonBytesMax) break;
    text += character;
  }
  return text;
}
