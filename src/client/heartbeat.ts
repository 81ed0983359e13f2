/**
 * Whether the other side still lives: pings where nothing is heard, and how long an answer may take.
 *
 *   listening -> asked -> listening | silent
 *
 * Where there is another door to go to and something is waited for, a connection on which nothing was heard for half of `silenceMs` is
 * asked, and given up after the other half: a node that hangs is found within `silenceMs`. Otherwise a ping each `pingMs`
 * keeps the connection and the server's clock, and `pongMs` is given for the answer.
 *
 * Invariants: slow is not silent: who took long before is given three times as long; nothing is judged before what the platform has
 * received was taken, nor by a timer that came late because we ourselves stood still; nor while our ping still waits behind
 * bytes that go on leaving.
 */
import type { Clock } from "../ports/clock.ts";
import { clientLimits } from "./limits.ts";

/** How long answers take, as far as we know. One for all connections of a client: mostly it is our own line that is slow. */
export class Patience {
  readonly #silenceMs: number;
  /** The longest trip of late; it fades. */
  #tripMs = 0;
  /** Grows while nobody greets: perhaps it is not the doors that are slow. */
  #doubt = 1;

  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs;
  }

  /** How long nothing may be heard before we ask. */
  get listenMs(): number {
    return this.#silenceMs / 2;
  }

  /** From a ping to the next frame. */
  get pongMs(): number {
    return Math.min(clientLimits.pongMs, Math.max(this.#silenceMs / 2, 3 * this.#tripMs));
  }

  /** From dialling to the welcome: four trips and a look at the token. */
  get greetMs(): number {
    return Math.min(clientLimits.connectMs, Math.max(this.#silenceMs, 6 * this.#tripMs) * this.#doubt);
  }

  took(tripMs: number): void {
    this.#tripMs = Math.max(tripMs, this.#tripMs * 0.9);
    this.#doubt = 1;
  }

  /** Nobody greeted within `greetMs`. */
  notGreeted(): void {
    this.#doubt *= 1.5;
  }

  /** Nothing came within `pongMs`. If it was only slow, it gets half as much more the next time. */
  notAnswered(): void {
    this.#tripMs = Math.max(this.#tripMs, this.pongMs / 2);
  }
}

export interface HeartbeatPort {
  /** There is somewhere else to go. */
  several(): boolean;
  /** Something is waited for on this connection. */
  busy(): boolean;
  heardMs(): number;
  /** Bytes given to the socket so far, and those of them that have not left. */
  sentBytes(): number;
  bufferedBytes(): number;
  ping(): void;
  silent(): void;
}

export class Heartbeat {
  readonly #clock: Clock;
  readonly #patience: Patience;
  readonly #port: HeartbeatPort;
  #cancel = (): void => {};
  #pingedMs: number;
  #stopped = false;
  #turn = 0;

  constructor(clock: Clock, patience: Patience, port: HeartbeatPort) {
    this.#clock = clock;
    this.#patience = patience;
    this.#port = port;
    this.#pingedMs = clock.monotonic();
    this.listen();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** Begins to listen anew: there may be somewhere else to go now. */
  listen(): void {
    this.#after(this.#eager() ? this.#patience.listenMs : clientLimits.pingMs, () => this.#look());
  }

  /** Asks now. */
  beat(again = false): void {
    this.#pingedMs = this.#clock.monotonic();
    this.#port.ping();
    const waitMs = this.#eager() ? this.#patience.pongMs : clientLimits.pongMs;
    const ping = this.#port.sentBytes();
    this.#await(waitMs, { again, ping, left: ping - this.#port.bufferedBytes() });
  }

  #eager(): boolean {
    return this.#port.several() && this.#patience.listenMs < clientLimits.pingMs;
  }

  #look(): void {
    const nowMs = this.#clock.monotonic();
    const quietMs = nowMs - this.#port.heardMs();
    const { listenMs } = this.#patience;
    if (nowMs - this.#pingedMs >= clientLimits.pingMs) return this.beat();
    if (!this.#eager() || !this.#port.busy()) return this.listen();
    if (quietMs >= listenMs) return this.beat();
    this.#after(listenMs - quietMs, () => this.#look());
  }

  /** @param ask `ping`: the bytes sent when it was sent; `left`: those that had left when we looked last */
  #await(waitMs: number, ask: { readonly again: boolean; readonly ping: number; readonly left: number }): void {
    const dueMs = this.#clock.monotonic() + waitMs;
    const turn = this.#after(waitMs, () => {
      const late = this.#clock.monotonic() - dueMs > waitMs;
      // Timers come before what the sockets have received meanwhile.
      this.#clock.defer(() => {
        if (this.#stopped || this.#turn !== turn) return;
        if (this.#port.heardMs() >= this.#pingedMs) return this.#look();
        if (late && !ask.again) return this.beat(true);
        const left = this.#port.sentBytes() - this.#port.bufferedBytes();
        if (left < ask.ping && left > ask.left) return this.#await(waitMs, { ...ask, left });
        this.#patience.notAnswered();
        this.#port.silent();
      });
    });
  }

  /** @returns tells this waiting from any that replaces it */
  #after(ms: number, callback: () => void): number {
    this.#cancel();
    if (!this.#stopped) this.#cancel = this.#clock.after(ms, callback);
    return ++this.#turn;
  }
}
