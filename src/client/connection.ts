/**
 * The connection's life, as a state machine over a transport and a clock.
 *
 *   connecting -> open -> (down) -> connecting | waiting -> connecting … -> closed
 *
 * *connecting* covers asking for a token, opening the socket and the greeting, and has `connectMs` for all three. Down
 * leads to *connecting* at once if the server said so (4001) or the token has ended (4401), else to *waiting* for a time
 * that doubles until a connection was stable. *closed* is for good: by the user, or because the server refuses us (4403,
 * or 4401 with nothing new from `token`).
 *
 * Invariants: of at most one attempt events are heard, whatever sockets of earlier ones still say; `opened` and `down`
 * alternate.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { type Encoding, encodeClientFrame, type FrameData } from "../wire/codec.ts";
import { parseServerFrame } from "../wire/messages.ts";
import { closeCode, type ServerMessage, subprotocol } from "../wire/protocol.ts";
import { Inbox } from "./inbox.ts";
import { clientLimits } from "./limits.ts";
import type { Transport, TransportSocket } from "./platform.ts";
import { backoffMs } from "./retry.ts";
import type { ServerClock } from "./server-clock.ts";
import type { ConnectionState, ConnectOptions, StateChange } from "./types.ts";

export type Welcome = Extract<ServerMessage, { t: "welcome" }>;
/** What concerns calls and subscriptions. */
export type Answer = Exclude<ServerMessage, { t: "welcome" | "pong" }> & { readonly id: string | number };

export interface ConnectionOwner {
  opened(welcome: Welcome): void;
  received(answer: Answer): void;
  /** It was open and is not any more. */
  down(): void;
  changed(change: StateChange): void;
}

export interface ConnectionParts {
  readonly url: string;
  readonly token: ConnectOptions["token"];
  readonly encoding: Encoding;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly serverClock: ServerClock;
}

/** One try to have a connection, and the connection if it works. */
interface Attempt {
  socket: TransportSocket | undefined;
  token: string | undefined;
  welcome: Welcome | undefined;
  /** Monotonic times. */
  openedMs: number;
  askedMs: number;
  heardMs: number;
  /** What the server said was wrong, before it closed. */
  fault: HoldfastError | undefined;
  cancelTimer: () => void;
  /** The socket is closed on both sides. */
  gone: boolean;
  whenGone: () => void;
}

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #owner: ConnectionOwner;
  /** Of the present attempt, and only while it is open. */
  readonly #inbox: Inbox<Answer>;
  #state: ConnectionState = "connecting";
  #attempt: Attempt | undefined;
  #cancelWait: () => void = () => {};
  #failures = 0;
  /** 4001 leads to a new attempt at once; but not again before a connection was open. */
  #mayHurry = true;
  /** The token that was refused; only another one is tried. */
  #refusedToken: { readonly token: string | undefined } | undefined;
  #refusals = 0;
  #ended: Promise<void> = Promise.resolve();

  constructor(parts: ConnectionParts, owner: ConnectionOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#inbox = new Inbox(parts.clock, (answer) => owner.received(answer));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get bufferedBytes(): number {
    return this.#attempt?.socket?.bufferedBytes ?? 0;
  }

  /** Resolves when the socket that `close` closed is gone, or after `closeMs`. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  start(): void {
    this.#connect();
  }

  /** For an open connection. */
  send(frame: FrameData): void {
    this.#attempt?.socket?.send(frame);
  }

  /** The machine woke up or the network is back: finds out at once what became of the connection. */
  wake(): void {
    if (this.#state === "waiting") this.#connect();
    else if (this.#state === "open") this.#ping(this.#attempt as Attempt);
  }

  /** Asks for the server's time. */
  ping(): void {
    if (this.#state === "open") this.#ping(this.#attempt as Attempt);
  }

  async refresh(): Promise<void> {
    const token = await this.#askToken();
    const attempt = this.#attempt;
    if (this.#state !== "open" || attempt === undefined || token === undefined) return;
    attempt.token = token;
    this.#say(attempt, [{ t: "refresh", token }]);
  }

  close(error: HoldfastError): void {
    if (this.#state === "closed") return;
    const attempt = this.#attempt;
    this.#drop(closeCode.consent);
    if (attempt?.socket !== undefined && !attempt.gone) {
      this.#ended = new Promise((resolve) => {
        const cancel = this.#parts.clock.after(clientLimits.closeMs, resolve);
        attempt.whenGone = () => {
          cancel();
          resolve();
        };
      });
    }
    this.#close(error, attempt?.welcome !== undefined);
  }

  #connect(): void {
    this.#cancelWait();
    const attempt: Attempt = {
      socket: undefined,
      token: undefined,
      welcome: undefined,
      openedMs: 0,
      askedMs: 0,
      heardMs: 0,
      fault: undefined,
      cancelTimer: () => {},
      gone: false,
      whenGone: () => {},
    };
    this.#attempt = attempt;
    attempt.cancelTimer = this.#parts.clock.after(clientLimits.connectMs, () =>
      this.#fail(attempt, new HoldfastError("disconnected", "The server did not greet in time.")),
    );
    this.#change({ state: "connecting" });
    this.#askToken().then(
      (token) => this.#open(attempt, token),
      (error: unknown) => {
        if (this.#attempt !== attempt) return;
        const final = isHoldfastError(error) && error.recovery === "reject";
        const told = final ? error : new HoldfastError("disconnected", "`token` failed.", { cause: error });
        if (final) this.#end(told);
        else this.#fail(attempt, told);
      },
    );
  }

  async #askToken(): Promise<string | undefined> {
    const { token } = this.#parts;
    return typeof token === "function" ? await token() : token;
  }

  #open(attempt: Attempt, token: string | undefined): void {
    if (this.#attempt !== attempt) return;
    if (this.#refusedToken !== undefined && this.#refusedToken.token === token) {
      return this.#end(new HoldfastError("unauthenticated", "The token is not valid, and `token` gave no other."));
    }
    attempt.token = token;
    const { url, encoding, transport } = this.#parts;
    try {
      attempt.socket = transport.open(url, subprotocol[encoding], {
        opened: () => this.#greet(attempt),
        frame: (data) => this.#take(attempt, data),
        closed: (code, reason) => this.#closed(attempt, code, reason),
      });
    } catch (error) {
      this.#fail(attempt, new HoldfastError("disconnected", "No socket could be opened.", { cause: error }));
    }
  }

  #greet(attempt: Attempt): void {
    if (this.#attempt !== attempt) return;
    attempt.askedMs = this.#parts.clock.monotonic();
    this.#say(attempt, [{ t: "hello", ...(attempt.token === undefined ? undefined : { token: attempt.token }) }]);
  }

  #say(attempt: Attempt, messages: Parameters<typeof encodeClientFrame>[0]): void {
    attempt.socket?.send(encodeClientFrame(messages, this.#parts.encoding));
  }

  #take(attempt: Attempt, data: FrameData): void {
    if (this.#attempt !== attempt) return;
    attempt.heardMs = this.#parts.clock.monotonic();
    let messages: readonly ServerMessage[];
    try {
      messages = parseServerFrame(data, this.#parts.encoding);
    } catch (error) {
      const told = new HoldfastError("disconnected", "The server sent a frame that is none.", { cause: error });
      return this.#fail(attempt, told, closeCode.badFrame);
    }
    for (const message of messages) {
      if (this.#attempt !== attempt) return;
      this.#hear(attempt, message);
    }
    this.#inbox.turn();
  }

  #hear(attempt: Attempt, message: ServerMessage): void {
    if (message.t === "welcome") this.#welcomed(attempt, message);
    else if (message.t === "pong") this.#sampleTime(attempt, message.now);
    else if (message.t === "error" && message.id === undefined)
      attempt.fault = new HoldfastError(message.code, message.detail);
    else if (attempt.welcome !== undefined) this.#inbox.push(message as Answer);
  }

  #welcomed(attempt: Attempt, welcome: Welcome): void {
    if (attempt.welcome !== undefined) return;
    this.#sampleTime(attempt, welcome.now);
    attempt.welcome = welcome;
    attempt.openedMs = attempt.heardMs;
    attempt.cancelTimer();
    this.#mayHurry = true;
    this.#refusals = 0;
    this.#refusedToken = undefined;
    this.#armPing(attempt);
    this.#change({ state: "open" });
    if (this.#attempt === attempt) this.#owner.opened(welcome);
  }

  #sampleTime(attempt: Attempt, serverMs: number): void {
    if (attempt.askedMs < 0) return;
    this.#parts.serverClock.sample(serverMs, attempt.heardMs - attempt.askedMs);
    attempt.askedMs = -1;
  }

  #armPing(attempt: Attempt): void {
    attempt.cancelTimer = this.#parts.clock.after(clientLimits.pingMs, () => this.#ping(attempt));
  }

  #ping(attempt: Attempt): void {
    const nowMs = this.#parts.clock.monotonic();
    // Of two pings under way the answer to the first would be taken for the second's, and the trip for too short.
    attempt.askedMs = attempt.askedMs < 0 ? nowMs : attempt.askedMs;
    attempt.cancelTimer();
    attempt.cancelTimer = this.#parts.clock.after(clientLimits.pongMs, () => {
      if (attempt.heardMs >= nowMs) this.#armPing(attempt);
      else this.#fail(attempt, new HoldfastError("disconnected", "The server is silent."));
    });
    this.#say(attempt, [{ t: "ping" }]);
  }

  #closed(attempt: Attempt, code: number, reason: string): void {
    attempt.gone = true;
    attempt.whenGone();
    if (this.#attempt !== attempt) return;
    this.#inbox.drain();
    if (this.#attempt !== attempt) return;
    const words = `The connection was closed (${code}${reason === "" ? "" : `: ${reason}`}).`;
    const error = attempt.fault ?? new HoldfastError("disconnected", words);
    if (code === closeCode.forbidden) {
      return this.#end(error.code === "forbidden" ? error : new HoldfastError("forbidden", words, { cause: error }));
    }
    if (code === closeCode.unauthenticated) return this.#unauthenticated(attempt, error);
    const hurry = code === closeCode.shuttingDown && this.#mayHurry;
    if (hurry) this.#mayHurry = false;
    this.#fail(attempt, error, undefined, hurry);
  }

  /** A token that a function gave may have ended meanwhile: the function is asked once more. */
  #unauthenticated(attempt: Attempt, error: HoldfastError): void {
    const told = error.code === "unauthenticated" ? error : new HoldfastError("unauthenticated", error.message);
    const lastedMs = attempt.welcome === undefined ? 0 : this.#parts.clock.monotonic() - attempt.openedMs;
    this.#refusals++;
    if (typeof this.#parts.token !== "function" || this.#refusals > 1) return this.#end(told);
    this.#refusedToken = { token: attempt.token };
    // Tokens that the server takes and drops again would otherwise go round as fast as they are made.
    this.#fail(attempt, told, undefined, attempt.welcome === undefined || lastedMs >= clientLimits.stableMs);
  }

  /** The attempt is over; the next comes at once or after a while. */
  #fail(attempt: Attempt, error: HoldfastError, code?: number, atOnce = false): void {
    if (this.#attempt !== attempt) return;
    const { clock, random } = this.#parts;
    const wasOpen = attempt.welcome !== undefined;
    const stable = wasOpen && clock.monotonic() - attempt.openedMs >= clientLimits.stableMs;
    this.#drop(code ?? closeCode.consent);
    if (stable) this.#failures = 0;
    this.#state = "connecting";
    if (wasOpen) this.#owner.down();
    if (atOnce) return this.#connect();
    const { reconnectBaseMs: baseMs, reconnectMaxMs: maxMs } = clientLimits;
    const retryInMs = backoffMs(this.#failures++, { baseMs, maxMs }, random);
    this.#cancelWait = clock.after(retryInMs, () => this.#connect());
    this.#change({ state: "waiting", error, retryInMs });
  }

  /** Over, for good. */
  #end(error: HoldfastError): void {
    const wasOpen = this.#attempt?.welcome !== undefined;
    this.#drop(closeCode.consent);
    this.#close(error, wasOpen);
  }

  #close(error: HoldfastError, wasOpen: boolean): void {
    this.#cancelWait();
    this.#state = "closed";
    if (wasOpen) this.#owner.down();
    this.#owner.changed({ state: "closed", error });
  }

  /** Lets go of the attempt; nothing is heard of it any more. */
  #drop(code: number): void {
    const attempt = this.#attempt;
    this.#attempt = undefined;
    this.#inbox.clear();
    attempt?.cancelTimer();
    try {
      attempt?.socket?.close(code);
    } catch {
      // A socket that cannot be closed is as good as closed.
    }
  }

  #change(change: StateChange): void {
    this.#state = change.state;
    this.#owner.changed(change);
  }
}
