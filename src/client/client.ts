/**
 * The client's parts put together: calls and subscriptions over one connection that comes and goes.
 *
 * Invariant: what is queued in one turn leaves in one frame, as far as the server's limits and the socket allow;
 * nothing is given to a socket before the server's welcome.
 */
import { HoldfastError } from "../model/errors.ts";
import type { FeedForm } from "../model/feeds.ts";
import { limitsDefault } from "../model/limits.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { copyPlain, type Plain, PlainError } from "../std/plain.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import type { Encoding } from "../wire/codec.ts";
import type { Welcome } from "./attempt.ts";
import type { Request } from "./call.ts";
import { Calls } from "./calls.ts";
import { type Answer, Connection } from "./connection.ts";
import { Doors } from "./doors.ts";
import type { BatchOf, FollowAsk, FollowOptions, ItemOf, TypedAsk } from "./feed-types.ts";
import { ClientFeeds } from "./feeds.ts";
import { FramePacker } from "./frames.ts";
import { clientLimits } from "./limits.ts";
import {
  onWake,
  platformClock,
  platformRandom,
  reportUncaught,
  type Transport,
  webSocketTransport,
} from "./platform.ts";
import { ServerClock } from "./server-clock.ts";
import { Subscriptions } from "./subscriptions.ts";
import type {
  Client,
  ConnectionState,
  ConnectOptions,
  EntityClient,
  ExecuteOptions,
  ReadOptions,
  StateChange,
  Untyped,
} from "./types.ts";
import { updatesOf } from "./updates.ts";

/** @throws `invalid-configuration` */
export function openClient(options: ConnectOptions): Client<Untyped> {
  const transport = webSocketTransport(options.WebSocket);
  if (transport === undefined)
    throw new HoldfastError(
      "invalid-configuration",
      "This platform has no WebSocket; give a constructor in `WebSocket`.",
    );
  return new ConnectedClient(options, transport);
}

/** For tests, which bring their own transport. @throws `invalid-configuration` */
export function openClientOver(options: ConnectOptions, transport: Transport): Client<Untyped> {
  return new ConnectedClient(options, transport);
}

class ConnectedClient implements Client<Untyped> {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #serverClock: ServerClock;
  readonly #encoding: Encoding;
  readonly #timeoutMs: number;
  readonly #connection: Connection;
  readonly #calls: Calls;
  readonly #subscriptions: Subscriptions;
  readonly #feeds: ClientFeeds;
  readonly #listeners = new Set<(change: StateChange) => void>();
  readonly #stopListening: () => void;
  #principal: Welcome["principal"] | undefined;
  #packer: FramePacker | undefined;
  #flushing = false;
  /** The server stops: what is new waits for the next connection. */
  #leaving = false;
  #cancelPoll: (() => void) | undefined;
  #lastId = 0;
  /** Why it is closed. */
  #error: HoldfastError | undefined;

  constructor(options: ConnectOptions, transport: Transport) {
    const { clock = platformClock, random = platformRandom, signal, timeoutMs = clientLimits.callMs } = options;
    const { encoding = "msgpack", token, learnDoors = true, silenceMs = clientLimits.silenceMs } = options;
    if (!(silenceMs >= 20)) throw new HoldfastError("invalid-configuration", "`silenceMs` is a number from 20.");
    const doors = new Doors(options.url, random);
    this.#clock = clock;
    this.#random = random;
    this.#encoding = encoding;
    this.#timeoutMs = timeoutMs;
    const serverClock = new ServerClock(clock);
    this.#serverClock = serverClock;
    const shared = { clock, random, nextId: () => ++this.#lastId, ready: () => this.#ready() };
    this.#calls = new Calls({
      ...shared,
      requestId: () => this.requestId(),
      connected: () => this.#connection.state === "open",
      askTime: () => this.#connection.ping(),
    });
    this.#subscriptions = new Subscriptions({ ...shared, uncaught: reportUncaught });
    this.#feeds = new ClientFeeds(shared);
    this.#connection = new Connection(
      { doors, learnDoors, silenceMs, token, encoding, transport, clock, serverClock },
      {
        opened: (welcome) => this.#opened(welcome),
        received: (answer) => this.#received(answer),
        leaving: () => this.#serverLeaves(),
        busy: () => this.#calls.size + this.#subscriptions.size + this.#feeds.size > 0,
        down: () => this.#down(),
        changed: (change) => this.#changed(change),
      },
    );
    const abort = (): void =>
      this.#close(new HoldfastError("aborted", "The client's signal aborted.", { cause: signal?.reason }));
    const stopWaking = onWake(() => this.#connection.wake());
    this.#stopListening = () => {
      stopWaking();
      signal?.removeEventListener("abort", abort);
    };
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
    else this.#connection.start();
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  get door(): string | undefined {
    return this.#connection.door;
  }

  get principal(): Welcome["principal"] | undefined {
    return this.#principal;
  }

  entity<Type extends string>(type: Type, key: string): EntityClient<Untyped[Type]> {
    const call = (kind: Request["kind"], name: string, input: unknown, options: ExecuteOptions & ReadOptions = {}) =>
      this.#call({ kind, type, key, name }, input, options);
    const subscriptions = this.#subscriptions;
    const entity = {
      type,
      key,
      execute: (name: string, input?: unknown, options?: ExecuteOptions) => call("command", name, input, options),
      query: (name: string, input?: unknown, options?: ReadOptions) => call("query", name, input, options),
      watch: (view: string, listener: Parameters<Subscriptions["watch"]>[1], options = {}) =>
        subscriptions.watch({ type, key, view }, listener, options),
      updates: (view: string, options?: { readonly signal?: AbortSignal }) =>
        updatesOf((listener, rest) => subscriptions.watch({ type, key, view }, listener, rest), options?.signal),
    };
    return entity as EntityClient<Untyped[Type]>;
  }

  feed<Type extends string, const Form extends FeedForm, const View = undefined>(
    ask: TypedAsk<Type, Form, View>,
    options: FollowOptions = {},
  ): AsyncIterableIterator<BatchOf<ItemOf<Untyped, Type, Form, View>>> {
    // What it brings is what was asked for, which only the compiler cares about.
    return this.#feeds.follow(ask as FollowAsk, options) as never;
  }

  async #call(
    name: Pick<Request, "kind" | "type" | "key" | "name">,
    input: unknown,
    options: ExecuteOptions & ReadOptions,
  ) {
    if (this.#error !== undefined)
      throw new HoldfastError("disconnected", "The client is closed.", { cause: this.#error });
    // Copied, so that every attempt sends the same, whatever the caller does with its object meanwhile.
    const copy = input === undefined ? undefined : copyInput(input);
    const { ifVersion, consistency, lagMs } = options;
    const local = consistency === "local" ? { lagMs } : undefined;
    const request = { ...name, input: copy?.value, inputBytes: copy?.bytes ?? 0, ifVersion, local };
    return await this.#calls.start(request, { ...options, timeoutMs: options.timeoutMs ?? this.#timeoutMs });
  }

  onState(listener: (change: StateChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  opened(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        const aborted = signal?.aborted === true;
        if (this.state === "open") resolve();
        else if (this.#error !== undefined) reject(this.#error);
        else if (aborted) reject(new HoldfastError("aborted", "The caller cancelled.", { cause: signal.reason }));
        else return false;
        return true;
      };
      if (settle()) return;
      const look = (): void => {
        if (!settle()) return;
        stop();
        signal?.removeEventListener("abort", look);
      };
      const stop = this.onState(look);
      signal?.addEventListener("abort", look);
    });
  }

  now(): number {
    return this.#serverClock.now();
  }

  requestId(): string {
    return makeUuidV7(this.#serverClock.now(), this.#random.bytes(16));
  }

  refresh(): Promise<void> {
    return this.#connection.refresh();
  }

  async close(): Promise<void> {
    this.#close(new HoldfastError("disconnected", "The client was closed."));
    await this.#connection.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #close(error: HoldfastError): void {
    this.#connection.close(error);
  }

  #changed(change: StateChange): void {
    if (change.state === "closed" && change.error !== undefined) {
      this.#error = change.error;
      this.#stopListening();
      this.#cancelPoll?.();
      this.#calls.close(change.error);
      this.#subscriptions.close(change.error);
      this.#feeds.close(change.error);
    }
    for (const listener of [...this.#listeners]) {
      try {
        listener(change);
      } catch (error) {
        reportUncaught(error);
      }
    }
  }

  #opened(welcome: Welcome): void {
    const limits = boundsOf(welcome);
    this.#principal = welcome.principal;
    this.#packer = new FramePacker(this.#encoding, limits, (frame) => this.#connection.send(frame));
    this.#subscriptions.opened(welcome.run);
    this.#feeds.opened();
    this.#calls.opened(limits.inflightPerConnectionMax);
  }

  #received(answer: Answer): void {
    if (!this.#calls.answered(answer) && !this.#subscriptions.received(answer)) this.#feeds.received(answer);
    if (this.#leaving && this.#calls.inflight === 0) this.#connection.leave();
  }

  #serverLeaves(): void {
    this.#leaving = true;
    if (this.#calls.inflight === 0) this.#connection.leave();
  }

  #down(): void {
    this.#leaving = false;
    this.#packer = undefined;
    this.#cancelPoll?.();
    this.#cancelPoll = undefined;
    this.#calls.down();
    this.#subscriptions.down();
    this.#feeds.down();
  }

  /** There is something to send: at the end of the turn, with whatever else comes in it. */
  #ready(): void {
    if (this.#flushing || this.#packer === undefined) return;
    this.#flushing = true;
    const flush = (): void => {
      this.#flushing = false;
      this.#flush();
    };
    // With nothing under way there are no answers that more calls could follow from: do not keep this one waiting.
    if (this.#calls.inflight === 0) queueMicrotask(flush);
    else this.#clock.defer(flush);
  }

  #flush(): void {
    const packer = this.#packer;
    if (packer === undefined || this.#cancelPoll !== undefined || this.#leaving) return;
    for (const part of [this.#subscriptions, this.#feeds, this.#calls]) {
      const messages = part.take();
      for (;;) {
        if (this.#connection.bufferedBytes > clientLimits.bufferedBytesMax) return this.#poll();
        const { done, value: message } = messages.next();
        if (done) break;
        if (packer.add(message) || !("id" in message)) continue;
        this.#calls.tooLarge(message.id);
        this.#feeds.tooLarge(message.id);
      }
    }
    packer.flush();
  }

  /** The socket is full. WebSocket says nothing when it is not any more, so it is looked at now and then. */
  #poll(): void {
    this.#packer?.flush();
    this.#cancelPoll = this.#clock.after(clientLimits.bufferedPollMs, () => {
      this.#cancelPoll = undefined;
      this.#flush();
    });
  }
}

/** What the server takes; the defaults where it does not say so in a number that can be one. */
function boundsOf({ limits }: Welcome): Welcome["limits"] {
  const sane = (name: keyof Welcome["limits"]): number =>
    Number.isSafeInteger(limits[name]) && limits[name] > 0 ? limits[name] : limitsDefault[name];
  return {
    frameBytesMax: sane("frameBytesMax"),
    frameMessagesMax: sane("frameMessagesMax"),
    frameValuesMax: sane("frameValuesMax"),
    inflightPerConnectionMax: sane("inflightPerConnectionMax"),
  };
}

/** @throws `invalid-input` or `too-large` */
function copyInput(input: unknown): { readonly value: Plain; readonly bytes: number } {
  try {
    // `copyPlain` may count twice the bytes. The server has the exact word.
    const copy = copyPlain(input, { depthMax: limitsDefault.depthMax, bytesMax: 2 * limitsDefault.frameBytesMax });
    return { value: copy.value as Plain, bytes: copy.bytes };
  } catch (error) {
    if (!(error instanceof PlainError)) throw error;
    const code = error.reason === "not-plain" ? "invalid-input" : "too-large";
    throw new HoldfastError(code, `The input: ${error.message}.`);
  }
}
