/**
 * One side of a connection within a process: what it sent and has not arrived.
 *
 * Invariant: messages leave the queue in order, one for each time that was waited for, whatever the times were.
 */
import type { NodeRef } from "../../model/cluster.ts";
import type { Limits } from "../../model/limits.ts";
import type { PeerConnection, PeerEvents, PeerMessage } from "../../ports/transport.ts";
import type { Plain } from "../../std/plain.ts";
import { Queue } from "../../std/queue.ts";
import { decodePlain } from "../../wire/codec.ts";
import { type EncodedPeer, encodePeer, peerLimits } from "../../wire/peer-codec.ts";

/** What a side needs of its hub. */
interface Lines {
  readonly limits: Limits;
  isCut(from: NodeRef, to: NodeRef): boolean;
  later(from: NodeRef, to: NodeRef, callback: () => void): void;
  readonly clock: { defer(callback: () => void): void };
}

export interface MemorySideFacts {
  readonly self: NodeRef;
  readonly peer: NodeRef;
  readonly info: Plain;
  readonly version: number;
}

type Item = EncodedPeer | { readonly reason: string };

export class MemorySide implements PeerConnection {
  readonly self: NodeRef;
  readonly peer: NodeRef;
  readonly info: Plain;
  readonly version: number;
  other: MemorySide | undefined;
  events: PeerEvents | undefined;
  readonly #lines: Lines;
  readonly #gone: () => void;
  readonly #queue = new Queue<Item>();
  /** Of the queue, those whose time has come. */
  #due = 0;
  #buffered = 0;
  #refused = false;
  #over = false;

  /** @param gone told when its events were told that it is over */
  constructor(lines: Lines, facts: MemorySideFacts, gone: () => void) {
    this.#lines = lines;
    this.self = facts.self;
    this.peer = facts.peer;
    this.info = facts.info;
    this.version = facts.version;
    this.#gone = gone;
  }

  get bufferedBytes(): number {
    return this.#over ? 0 : this.#buffered;
  }

  send(message: PeerMessage): boolean {
    if (this.#over) return false;
    const encoded = encodePeer(message, this.#lines.limits);
    if (this.#buffered + encoded.size > this.#lines.limits.peerBufferedBytesMax) {
      this.#refused = true;
      return false;
    }
    this.#buffered += encoded.size;
    this.#put(encoded);
    return true;
  }

  close(reason: string): void {
    if (this.#over) return;
    this.#put({ reason });
    this.lose(reason);
  }

  /** It is over, and is told so. */
  lose(reason: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#lines.clock.defer(() => {
      this.events?.closed(this, reason);
      this.#gone();
    });
  }

  /** Its process is gone: it is told nothing, and the other side hears of it. */
  end(): void {
    this.#over = true;
    this.events = undefined;
    this.#put({ reason: "the connection is lost" });
  }

  /** Lets arrive what is due. */
  pump(): void {
    while (this.#due > 0 && !this.#lines.isCut(this.self, this.peer)) {
      this.#due--;
      const item = this.#queue.shift() as Item;
      if ("reason" in item) this.other?.lose(item.reason);
      else this.#arrive(item);
    }
  }

  #put(item: Item): void {
    this.#queue.push(item);
    this.#lines.later(this.self, this.peer, () => {
      this.#due++;
      this.pump();
    });
  }

  #arrive(encoded: EncodedPeer): void {
    this.#buffered -= encoded.size;
    this.other?.hear(encoded);
    if (this.#buffered > 0 || !this.#refused || this.#over) return;
    this.#refused = false;
    this.events?.drained(this);
  }

  hear({ body, bytes }: EncodedPeer): void {
    if (this.#over) return;
    let plain: Plain;
    try {
      plain = decodePlain(body, "msgpack", peerLimits(this.#lines.limits));
    } catch {
      return this.close("what came is not of the protocol");
    }
    this.events?.message(this, bytes === undefined ? { body: plain } : { body: plain, bytes });
  }
}
