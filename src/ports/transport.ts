/**
 * Transport: messages between nodes, one connection per pair, in order.
 *
 * Promises nothing beyond one connection: what was sent on it arrives once, in order, or the connection ends and nobody knows which
 * arrived. No message waits for a connection that is to come: who sends knows whether there is one.
 *
 * That there is one connection per pair is a rule of who uses it: two dials make two connections, and both are told of.
 */
import type { NodeRef } from "../model/cluster.ts";
import type { Plain } from "../std/plain.ts";

/** Frames of the log travel beside the plain part, without being encoded again. */
export interface PeerMessage {
  /** Plain data without `undefined`; what it holds is `wire/peer.ts`'s business. */
  readonly body: Plain;
  /** Bytes that belong to it: at most one frame of the log. Nobody writes to them again, neither who sends nor who gets them. */
  readonly bytes?: Uint8Array;
}

/** A connection that is open: both sides know who the other is. */
export interface PeerConnection {
  readonly peer: NodeRef;
  /** What the peer told of itself at the handshake. */
  readonly info: Plain;
  /** Of the messages: the highest that both sides speak. */
  readonly version: number;
  /**
   * Never blocks. False: the connection is over, or `peerBufferedBytesMax` would wait to be sent: nothing was taken. Whoever must not lose
   * the message ends the connection or tries again after `drained`.
   * @throws `too-large` it is over `peerFrameBytesMax`: nothing was taken, and the connection goes on
   */
  send(message: PeerMessage): boolean;
  /** Bytes that wait to be sent. 0 when it is over. */
  readonly bufferedBytes: number;
  /** Idempotent. The other side hears `closed` as this one does; of what was sent before, all or a beginning arrives. */
  close(reason: string): void;
}

/** What comes of a connection. Called in order, never from inside `send` or `close`. */
export interface PeerEvents {
  message(connection: PeerConnection, message: PeerMessage): void;
  /** What waited was sent, after a `send` that was refused since too much did. */
  drained(connection: PeerConnection): void;
  /** Once, and nothing after it; after a `close` of one's own nothing before it either. */
  closed(connection: PeerConnection, reason: string): void;
}

export interface TransportOptions {
  readonly self: NodeRef;
  /** Told to every peer at the handshake. */
  readonly info: Plain;
  /**
   * A connection is open, by whichever side it was dialed. It is called before any of its messages, and before `dial` resolves.
   * @returns who hears of it
   */
  readonly opened: (connection: PeerConnection) => PeerEvents;
}

/** Made for one running of a node. */
export interface Transport {
  /** Where others dial it. */
  readonly address: string;
  /**
   * Dials once.
   * @throws `unavailable` nobody answers, the other is not `expected`, does not know the secret, or speaks no common version; or this
   *   transport is closed
   * @throws `overloaded` this node has `peersMax` connections
   */
  dial(address: string, expected: NodeRef): Promise<PeerConnection>;
  /** Closes every connection and stops to listen. Idempotent. Resolved, each has been told `closed`. */
  close(): Promise<void>;
}

/**
 * Opens a transport that listens. The node's own part: what is sent is told by `TransportOptions`.
 * @throws `invalid-configuration` it cannot listen, or a setting cannot work
 */
export type OpenTransport = (options: TransportOptions) => Promise<Transport>;
