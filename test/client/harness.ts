/**
 * A client in a world where a test decides everything: time, chance, and each event of each socket.
 *
 * Invariant: nothing happens that the test did not cause; what the client sends is read by the server's own parser.
 */
import assert from "node:assert/strict";
import { openClientOver } from "../../src/client/client.ts";
import type { Transport, TransportEvents } from "../../src/client/platform.ts";
import type { Client, ConnectOptions, StateChange, Untyped } from "../../src/client/types.ts";
import { type ErrorCode, isHoldfastError } from "../../src/model/errors.ts";
import { limitsDefault } from "../../src/model/limits.ts";
import type { Clock, Random } from "../../src/ports/clock.ts";
import { type Encoding, encodeServerFrame, type FrameData } from "../../src/wire/codec.ts";
import { parseClientMessages } from "../../src/wire/messages.ts";
import { type ClientMessage, type ServerMessage, subprotocol } from "../../src/wire/protocol.ts";

export class TestClock implements Clock {
  #nowMs = 0;
  /** What our wall clock is wrong by. */
  wrongMs = 0;
  readonly #timers = new Set<{ dueMs: number; callback: () => void }>();
  deferred: (() => void)[] = [];

  now(): number {
    return 1_800_000_000_000 + this.#nowMs + this.wrongMs;
  }
  monotonic(): number {
    return this.#nowMs;
  }
  after(ms: number, callback: () => void): () => void {
    const timer = { dueMs: this.#nowMs + ms, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }
  defer(callback: () => void): void {
    this.deferred.push(callback);
  }
  get timers(): number {
    return this.#timers.size;
  }
  /** Moves to the next timer that is due by `untilMs` and runs it. */
  step(untilMs: number): boolean {
    let next: { dueMs: number; callback: () => void } | undefined;
    for (const timer of this.#timers) if (next === undefined || timer.dueMs < next.dueMs) next = timer;
    if (next === undefined || next.dueMs > untilMs) {
      this.#nowMs = untilMs;
      return false;
    }
    this.#timers.delete(next);
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    next.callback();
    return true;
  }
}

/** The server's end of one connection. */
export class TestSocket {
  readonly protocol: string;
  readonly url: string;
  readonly frames: ClientMessage[][] = [];
  bufferedBytes = 0;
  closedWith: number | undefined;
  readonly #events: TransportEvents;
  readonly #encoding: Encoding;

  constructor(url: string, protocol: string, events: TransportEvents) {
    this.url = url;
    this.protocol = protocol;
    this.#events = events;
    this.#encoding = protocol === subprotocol.json ? "json" : "msgpack";
  }
  take(frame: FrameData): void {
    const data = typeof frame === "string" ? frame : new Uint8Array(frame);
    const messages = parseClientMessages(data, this.#encoding, limitsDefault);
    for (const message of messages) assert.notEqual(message.t, "fault", JSON.stringify(message));
    this.frames.push(messages as ClientMessage[]);
  }
  /** All messages since the last call. */
  heard(): ClientMessage[] {
    return this.frames.splice(0).flat();
  }
  accept(): void {
    this.#events.opened();
  }
  say(...messages: ServerMessage[]): void {
    this.#events.frame(encodeServerFrame(messages, this.#encoding));
  }
  sayBytes(bytes: Uint8Array): void {
    this.#events.frame(bytes);
  }
  closeWith(code: number, reason = ""): void {
    this.#events.closed(code, reason);
  }
}

export class World {
  readonly clock = new TestClock();
  readonly sockets: TestSocket[] = [];
  readonly states: StateChange[] = [];
  readonly client: Client<Untyped>;
  #chance = 0.5;

  constructor(options: Partial<ConnectOptions> = {}) {
    const transport: Transport = {
      open: (url, protocol, events) => {
        const socket = new TestSocket(url, protocol, events);
        this.sockets.push(socket);
        return {
          get bufferedBytes() {
            return socket.bufferedBytes;
          },
          send: (frame) => socket.take(frame),
          close: (code) => {
            socket.closedWith = code;
            queueMicrotask(() => socket.closeWith(code));
          },
        };
      },
    };
    const random: Random = {
      bytes: (count) =>
        Uint8Array.from({ length: count }, () => (this.#chance = (this.#chance * 137.31 + 0.17) % 1) * 256),
    };
    this.client = openClientOver({ url: "http://host", clock: this.clock, random, ...options }, transport);
    this.client.onState((change) => this.states.push(change));
  }

  /** The newest connection. */
  get socket(): TestSocket {
    const socket = this.sockets.at(-1);
    assert.ok(socket, "a socket was opened");
    return socket;
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const deferred = this.clock.deferred;
      this.clock.deferred = [];
      for (const callback of deferred) callback();
      quiet = deferred.length === 0 ? quiet + 1 : 0;
    }
  }

  async pass(ms: number): Promise<void> {
    const untilMs = this.clock.monotonic() + ms;
    await this.settle();
    while (this.clock.step(untilMs)) await this.settle();
    await this.settle();
  }

  welcome(changes: { run?: string; now?: number; limits?: Partial<WelcomeLimits> } = {}): ServerMessage {
    const { frameBytesMax, frameMessagesMax, frameValuesMax, inflightPerConnectionMax } = limitsDefault;
    return {
      t: "welcome",
      now: changes.now ?? this.clock.now() - this.clock.wrongMs,
      run: changes.run ?? "run-1",
      principal: { kind: "user", id: "u" },
      limits: { frameBytesMax, frameMessagesMax, frameValuesMax, inflightPerConnectionMax, ...changes.limits },
    };
  }

  /** Has the client connected, and its greeting heard. */
  async open(changes: Parameters<World["welcome"]>[0] = {}): Promise<TestSocket> {
    await this.settle();
    const { socket } = this;
    socket.accept();
    assert.equal(socket.heard()[0]?.t, "hello");
    socket.say(this.welcome(changes));
    await this.settle();
    return socket;
  }

  /** Waits out the backoff and connects again. */
  async reopen(changes: Parameters<World["welcome"]>[0] = {}): Promise<TestSocket> {
    const before = this.sockets.length;
    await this.settle();
    while (this.sockets.length === before) await this.pass(10);
    return await this.open(changes);
  }

  /** The first connection, or the next. */
  async reopenOrOpen(): Promise<TestSocket> {
    return this.sockets.length === 0 ? await this.open() : await this.reopen();
  }

  execute(name: string, input?: unknown, options?: object): Promise<{ value: unknown; version: number }> {
    return this.client.entity("wallet", "7").execute(name, input, options);
  }
}

type WelcomeLimits = Extract<ServerMessage, { t: "welcome" }>["limits"];

export type CommandMessage = Extract<ClientMessage, { t: "command" }>;

export function commands(messages: readonly ClientMessage[]): CommandMessage[] {
  return messages.filter((message) => message.t === "command");
}

export function subscribes(messages: readonly ClientMessage[]): Extract<ClientMessage, { t: "subscribe" }>[] {
  return messages.filter((message) => message.t === "subscribe");
}

/** For `assert.rejects`: our error, of this code. */
export function ofCode(code: ErrorCode): (error: unknown) => true {
  return (error) => {
    assert.ok(isHoldfastError(error), String(error));
    assert.equal(error.code, code, error.message);
    return true;
  };
}
