/**
 * The one place of the client that touches the platform it runs on: clock, chance, WebSocket, uncaught errors. Browsers,
 * Node, Deno, Bun and workers; nothing of `node:` is imported.
 *
 * Invariant: everything else in this folder gets these as inputs, so that a test can be their only source.
 */
import type { Clock, Random } from "../ports/clock.ts";
import { poolRandom } from "../std/random-pool.ts";
import type { WebSocketConstructor, WebSocketLike } from "./types.ts";

/** The longest delay `setTimeout` takes; anything longer it runs after 1 ms. */
const timerMsMax = 2 ** 31 - 1;

type Surroundings = {
  readonly setImmediate?: (callback: () => void) => unknown;
  readonly reportError?: (error: unknown) => void;
  readonly WebSocket?: WebSocketConstructor;
  readonly addEventListener?: (type: string, listener: () => void) => void;
  readonly removeEventListener?: (type: string, listener: () => void) => void;
};
const surroundings = globalThis as Surroundings;

export const platformClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const dueMs = performance.now() + ms;
    let timer: ReturnType<typeof setTimeout>;
    const arm = (): void => {
      timer = setTimeout(fire, Math.min(Math.ceil(Math.max(0, dueMs - performance.now())), timerMsMax));
    };
    const fire = (): void => {
      if (performance.now() < dueMs) arm();
      else callback();
    };
    arm();
    return () => clearTimeout(timer);
  },
  defer: surroundings.setImmediate ? (callback) => void surroundings.setImmediate?.(callback) : deferByMessage(),
};

/** Browsers have no `setImmediate`; a message to oneself is not slowed down in a hidden tab as timers are. */
function deferByMessage(): (callback: () => void) => void {
  let channel: MessageChannel | undefined;
  let waiting: (() => void)[] = [];
  return (callback) => {
    if (channel === undefined) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => {
        const callbacks = waiting;
        waiting = [];
        for (const each of callbacks) each();
      };
    }
    waiting.push(callback);
    if (waiting.length === 1) channel.port2.postMessage(null);
  };
}

export const platformRandom: Random = {
  bytes: poolRandom((bytes) => crypto.getRandomValues(bytes)),
};

/** What a listener of the application threw: not ours to swallow, and not a reason to stop. */
export function reportUncaught(error: unknown): void {
  if (surroundings.reportError) surroundings.reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}

/** Calls back when the machine woke up or the network came back. Returns a function that stops it. */
export function onWake(callback: () => void): () => void {
  const { addEventListener, removeEventListener } = surroundings;
  if (!addEventListener || !removeEventListener || !("document" in globalThis)) return () => {};
  const seen = (): void => {
    if (document.visibilityState === "visible") callback();
  };
  addEventListener.call(globalThis, "online", callback);
  document.addEventListener("visibilitychange", seen);
  return () => {
    removeEventListener.call(globalThis, "online", callback);
    document.removeEventListener("visibilitychange", seen);
  };
}

/** One connection, as the client's state machine sees it. */
export interface TransportSocket {
  /** Bytes that were sent and have not left. */
  readonly bufferedBytes: number;
  send(frame: Uint8Array | string): void;
  /** No event comes after this but `closed`. */
  close(code: number): void;
}

export interface TransportEvents {
  opened(): void;
  frame(data: Uint8Array | string): void;
  /** Once, and the last. */
  closed(code: number, reason: string): void;
}

export interface Transport {
  /** Never calls back from inside. @throws whatever the platform throws for an address it cannot use */
  open(url: string, protocol: string, events: TransportEvents): TransportSocket;
}

export function webSocketTransport(given: WebSocketConstructor | undefined): Transport | undefined {
  const Socket = given ?? surroundings.WebSocket;
  if (Socket === undefined) return undefined;
  return {
    open(url, protocol, events) {
      const socket: WebSocketLike = new Socket(url, [protocol]);
      socket.binaryType = "arraybuffer";
      socket.addEventListener("open", () => events.opened());
      socket.addEventListener("message", ({ data }) => {
        if (typeof data === "string") events.frame(data);
        else if (data instanceof ArrayBuffer) events.frame(new Uint8Array(data));
      });
      // `close` follows, and says as much.
      socket.addEventListener("error", () => {});
      socket.addEventListener("close", ({ code, reason }) => events.closed(code, reason));
      return {
        get bufferedBytes() {
          return socket.bufferedAmount;
        },
        send: (frame) => socket.send(frame as Uint8Array<ArrayBuffer> | string),
        close: (code) => socket.close(code),
      };
    },
  };
}
