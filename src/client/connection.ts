/**
 * The connection's life, as a state machine over a transport and a clock.
 *
 *   connecting -> open -> (down) -> connecting | waiting -> connecting … -> closed
 *
 * *connecting* covers asking for a token, opening the socket and the greeting, and has `connectMs` for all three; less for
 * the last two where there is another door. Down leads to *connecting* at once if the server said so (4001) or the token
 * has ended (4401), else to *waiting*: a moment if there is another door (`Doors`), else for a time that doubles until a
 * connection was stable. *closed* is for good: by the user, or because the server refuses us (4403, or 4401 with nothing
 * new from `token`).
 *
 * Invariants: of at most one attempt events are heard, whatever sockets of earlier ones still say; `opened` and `down`
 * alternate.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Clock } from "../ports/clock.ts";
import { type Encoding, encodeClientFrame, type FrameData } from "../wire/codec.ts";
import { parseServerFrame } from "../wire/messages.ts";
import { closeCode, type ServerMessage, subprotocol } from "../wire/protocol.ts";
import { type Attempt, newAttempt, type Welcome } from "./attempt.ts";
import type { Doors } from "./doors.ts";
import { Heartbeat, Patience } from "./heartbeat.ts";
import { Inbox } from "./inbox.ts";
import { clientLimits } from "./limits.ts";
import type { Transport } from "./platform.ts";
import type { ServerClock } from "./server-clock.ts";
import type { ConnectionState, ConnectOptions, StateChange } from "./types.ts";

/** What concerns calls and subscriptions. */
export type Answer = Exclude<ServerMessage, { t: "welcome" | "pong" | "doors" | "leaving" }> & {
  readonly id: string | number;
};

export interface ConnectionOwner {
  opened(welcome: Welcome): void;
  received(answer: Answer): void;
  /** The server stops: it answers what it has and takes nothing more. `leave` when all is answered. */
  leaving(): void;
  /** Something is waited for that only an open connection brings. */
  busy(): boolean;
  /** It was open and is not any more. */
  down(): void;
  changed(change: StateChange): void;
}

export interface ConnectionParts {
  readonly doors: Doors;
  /** Doors that servers tell of are learned. */
  readonly learnDoors: boolean;
  readonly silenceMs: number;
  readonly token: ConnectOptions["token"];
  readonly encoding: Encoding;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly serverClock: ServerClock;
}

export class Connection {
  readonly #parts: ConnectionParts;
  readonly #owner: ConnectionOwner;
  /** Of the present attempt, and only while it is open. */
  readonly #inbox: Inbox<Answer>;
  #state: ConnectionState = "connecting";
  #attempt: Attempt | undefined;
  #cancelWait: () => void = () => {};
  readonly #patience: Patience;
  /** 4001 leads to a new attempt at once; but not again before a connection was open. */
  #mayHurry = true;
  /** The token that was refused; only another one is tried. */
  #refusedToken: { readonly token: string | undefined } | undefined;
  #refusals = 0;
  #ended: Promise<void> = Promise.resolve();

  constructor(parts: ConnectionParts, owner: ConnectionOwner) {
    this.#parts = parts;
    this.#owner = owner;
    this.#patience = new Patience(parts.silenceMs);
    this.#inbox = new Inbox(parts.clock, (answer) => owner.received(answer));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Where it is open. */
  get door(): string | undefined {
    return this.#state === "open" ? this.#attempt?.url : undefined;
  }

  get bufferedBytes(): number {
    return this.#attempt?.socket?.bufferedBytes ?? 0;
  }

  /** Resolves when the socket that `close` closed is gone, or after `closeMs`. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  start(): void {
    this.#connect(this.#parts.doors.next(this.#parts.clock.monotonic(), true).url);
  }

  /** For an open connection. */
  send(frame: FrameData): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    attempt.sentBytes += frame.length;
    attempt.socket?.send(frame);
  }

  /** After `leaving`: everything is answered. */
  leave(): void {
    if (this.#state === "open") this.#left(this.#attempt as Attempt);
  }

  /** The machine woke up or the network is back: finds out at once what became of the connection. */
  wake(): void {
    if (this.#state === "waiting") this.start();
    else this.ping();
  }

  /** Asks for the server's time. */
  ping(): void {
    if (this.#state === "open") this.#attempt?.heartbeat?.beat();
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

  #connect(url: string): void {
    this.#cancelWait();
    const attempt = newAttempt(url, this.#parts.clock.monotonic());
    this.#attempt = attempt;
    attempt.cancelTimer = this.#parts.clock.after(clientLimits.connectMs, () => this.#notGreeted(attempt));
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
    const { encoding, transport, clock, doors } = this.#parts;
    if (doors.several) {
      attempt.cancelTimer();
      attempt.dialledMs = clock.monotonic();
      attempt.cancelTimer = clock.after(this.#patience.greetMs, () => this.#notGreeted(attempt));
    }
    try {
      attempt.socket = transport.open(attempt.url, subprotocol[encoding], {
        opened: () => this.#greet(attempt),
        frame: (data) => this.#take(attempt, data),
        closed: (code, reason) => this.#closed(attempt, code, reason),
      });
    } catch (error) {
      this.#fail(attempt, new HoldfastError("disconnected", "No socket could be opened.", { cause: error }));
    }
  }

  #notGreeted(attempt: Attempt): void {
    attempt.lostMs = this.#parts.clock.monotonic() - attempt.dialledMs;
    if (attempt.socket !== undefined) this.#patience.notGreeted();
    this.#fail(attempt, new HoldfastError("disconnected", "The server did not greet in time."));
  }

  #greet(attempt: Attempt): void {
    if (this.#attempt !== attempt) return;
    attempt.askedMs = this.#parts.clock.monotonic();
    this.#say(attempt, [{ t: "hello", ...(attempt.token === undefined ? undefined : { token: attempt.token }) }]);
  }

  #say(attempt: Attempt, messages: Parameters<typeof encodeClientFrame>[0]): void {
    const frame = encodeClientFrame(messages, this.#parts.encoding);
    attempt.sentBytes += frame.length;
    attempt.socket?.send(frame);
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
    else if (message.t === "doors") this.#learn(attempt, message.doors);
    else if (message.t === "leaving") this.#serverLeaves(attempt);
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
    attempt.heartbeat = new Heartbeat(this.#parts.clock, this.#patience, {
      several: () => this.#parts.doors.several,
      busy: () => this.#owner.busy(),
      heardMs: () => attempt.heardMs,
      sentBytes: () => attempt.sentBytes,
      bufferedBytes: () => attempt.socket?.bufferedBytes ?? 0,
      ping: () => this.#ping(attempt),
      silent: () => this.#silent(attempt),
    });
    this.#change({ state: "open" });
    if (this.#attempt === attempt) this.#owner.opened(welcome);
  }

  #silent(attempt: Attempt): void {
    attempt.lostMs = this.#parts.clock.monotonic() - attempt.heardMs;
    this.#fail(attempt, new HoldfastError("disconnected", "The server is silent."));
  }

  #sampleTime(attempt: Attempt, serverMs: number): void {
    if (attempt.askedMs < 0) return;
    this.#parts.serverClock.sample(serverMs, attempt.heardMs - attempt.askedMs);
    this.#patience.took(attempt.heardMs - attempt.askedMs);
    attempt.askedMs = -1;
  }

  #learn(attempt: Attempt, urls: readonly string[]): void {
    if (!this.#parts.learnDoors) return;
    this.#parts.doors.learn(urls);
    attempt.heartbeat?.listen();
  }

  /** What it has is answered in a moment, mostly; if there is nowhere else to go there is no hurry. */
  #serverLeaves(attempt: Attempt): void {
    if (attempt.welcome === undefined) return;
    if (this.#parts.doors.several) {
      attempt.cancelTimer();
      attempt.cancelTimer = this.#parts.clock.after(clientLimits.leavingMs, () => this.#left(attempt));
    }
    this.#owner.leaving();
  }

  #left(attempt: Attempt): void {
    this.#fail(attempt, new HoldfastError("disconnected", "The server stops."), undefined, "hurry");
  }

  #ping(attempt: Attempt): void {
    // Of two pings under way the answer to the first would be taken for the second's, and the trip for too short.
    if (attempt.askedMs < 0) attempt.askedMs = this.#parts.clock.monotonic();
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
    this.#fail(attempt, error, undefined, hurry ? "hurry" : "rest");
  }

  /** A token that a function gave may have ended meanwhile: the function is asked once more. */
  #unauthenticated(attempt: Attempt, error: HoldfastError): void {
    const told = error.code === "unauthenticated" ? error : new HoldfastError("unauthenticated", error.message);
    const lastedMs = attempt.welcome === undefined ? 0 : this.#parts.clock.monotonic() - attempt.openedMs;
    this.#refusals++;
    if (typeof this.#parts.token !== "function" || this.#refusals > 1) return this.#end(told);
    this.#refusedToken = { token: attempt.token };
    // Tokens that the server takes and drops again would otherwise go round as fast as they are made.
    const mayReturn = attempt.welcome === undefined || lastedMs >= clientLimits.stableMs;
    this.#fail(attempt, told, undefined, mayReturn ? "return" : "rest");
  }

  /**
   * The attempt is over, and another comes.
   * @param then `rest`: after a moment, or a while if there is no other door; `hurry`: at once; `return`: at once, to the same door
   */
  #fail(attempt: Attempt, error: HoldfastError, code?: number, then: "rest" | "hurry" | "return" = "rest"): void {
    if (this.#attempt !== attempt) return;
    const { clock, doors } = this.#parts;
    const nowMs = clock.monotonic();
    const wasOpen = attempt.welcome !== undefined;
    const stable = wasOpen && nowMs - attempt.openedMs >= clientLimits.stableMs;
    this.#drop(code ?? closeCode.consent);
    if (stable) doors.worked(attempt.url);
    if (then === "return") doors.stay();
    else doors.failed(attempt.url, nowMs, attempt.lostMs);
    this.#state = "connecting";
    if (wasOpen) this.#owner.down();
    const { url, waitMs } = doors.next(nowMs, then !== "rest");
    if (waitMs === 0) return this.#connect(url);
    this.#cancelWait = clock.after(waitMs, () => this.#connect(url));
    this.#change({ state: "waiting", error, retryInMs: waitMs });
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
    attempt?.heartbeat?.stop();
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
