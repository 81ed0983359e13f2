/**
 * One try to have a connection, and the connection if it works: what `Connection` knows of it.
 *
 * Invariant: none of its own; `Connection` alone changes it.
 */
import type { HoldfastError } from "../model/errors.ts";
import type { ServerMessage } from "../wire/protocol.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { TransportSocket } from "./platform.ts";

export type Welcome = Extract<ServerMessage, { t: "welcome" }>;

export interface Attempt {
  readonly url: string;
  socket: TransportSocket | undefined;
  token: string | undefined;
  welcome: Welcome | undefined;
  /** Monotonic times. */
  dialledMs: number;
  openedMs: number;
  askedMs: number;
  heardMs: number;
  sentBytes: number;
  /** What it took to find out that it is dead, where that took time. */
  lostMs: number;
  /** What the server said was wrong, before it closed. */
  fault: HoldfastError | undefined;
  cancelTimer: () => void;
  heartbeat: Heartbeat | undefined;
  /** The socket is closed on both sides. */
  gone: boolean;
  whenGone: () => void;
}

export function newAttempt(url: string, nowMs: number): Attempt {
  return {
    url,
    socket: undefined,
    token: undefined,
    welcome: undefined,
    dialledMs: nowMs,
    openedMs: 0,
    askedMs: 0,
    heardMs: 0,
    sentBytes: 0,
    lostMs: 0,
    fault: undefined,
    cancelTimer: () => {},
    heartbeat: undefined,
    gone: false,
    whenGone: () => {},
  };
}
