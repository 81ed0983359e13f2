/**
 * The calls that are not settled: what goes out next, what an answer means, when to ask again.
 *
 * Invariants:
 * 1. Every call is settled exactly once: by a final answer, its deadline, its signal or the client's end.
 * 2. A command keeps its request id from its first sending on; only one that was certainly never carried out may get
 *    another.
 * 3. Ids in flight on the connection are at most the window; calls and their bytes are bounded.
 */
import { HoldfastError } from "../model/errors.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { LiveTable } from "../std/live-table.ts";
import type { Plain } from "../std/plain.ts";
import { Queue } from "../std/queue.ts";
import type { ClientMessage } from "../wire/protocol.ts";
import {
  abortedError,
  type Call,
  closedError,
  type ErrorMessage,
  errorOf,
  finalError,
  judge,
  messageOf,
  type Request,
  unansweredError,
} from "./call.ts";
import type { Answer } from "./connection.ts";
import { clientLimits } from "./limits.ts";
import { backoffMs, RetryBudget } from "./retry.ts";
import type { ExecuteOptions, Reply } from "./types.ts";

export interface CallsPort {
  readonly clock: Clock;
  readonly random: Random;
  requestId(): string;
  /** A number not used on this connection. */
  nextId(): number;
  /** There is something to send. */
  ready(): void;
  connected(): boolean;
  /** Our idea of the server's time seems wrong. */
  askTime(): void;
}

const nothing = (): void => {};

/**
 * Nothing that each call passes through is a `Map`, a `Set` or a timer of its own: see `LiveTable` for what those cost.
 */
export class Calls {
  readonly #port: CallsPort;
  readonly #budget: RetryBudget;
  /** Unsettled; commands by their id once they have one. */
  readonly #byId = new LiveTable<Call>();
  /** Unsettled, each at its `place`. */
  readonly #all: Call[] = [];
  #bytes = 0;
  /** To be sent, in this order: unanswered when the connection broke, refused for now, new. */
  readonly #lost = new Set<Call>();
  readonly #refused = new Set<Call>();
  #fresh = new Queue<Call>();
  /** Ids the server has not answered on this connection; of some the call is settled already. */
  readonly #live = new LiveTable<true>();
  #window = 0;
  #windowMax = 0;
  #reconnected = false;
  /** When the timer of the deadlines fires, by the monotonic clock. */
  #watchedMs = Number.POSITIVE_INFINITY;
  #cancelWatch = nothing;
  #cancelBudgetWait: (() => void) | undefined;

  constructor(port: CallsPort) {
    this.#port = port;
    this.#budget = new RetryBudget(port.clock);
  }

  /** Calls that are not settled. */
  get size(): number {
    return this.#all.length;
  }

  /** Calls that the server has not answered on this connection. */
  get inflight(): number {
    return this.#live.size;
  }

  start(request: Request, options: ExecuteOptions & { readonly timeoutMs: number }): Promise<Reply<Plain>> {
    return new Promise((resolve, reject) => {
      const { requestId, signal, timeoutMs } = options;
      const call: Call = {
        request,
        place: this.#all.length,
        id: request.kind === "query" ? this.#port.nextId() : requestId,
        idGiven: requestId !== undefined,
        state: "queued",
        refusals: 0,
        mayHaveRun: false,
        paid: false,
        problem: undefined,
        deadlineMs: this.#port.clock.monotonic() + timeoutMs,
        timeoutMs,
        signal,
        abort: nothing,
        cancelWait: nothing,
        resolve,
        reject,
      };
      const refusal = this.#refusal(call, signal);
      if (refusal !== undefined) return reject(refusal);
      this.#watch(call.deadlineMs);
      if (signal !== undefined) {
        call.abort = () => this.#fail(call, abortedError(call, signal));
        signal.addEventListener("abort", call.abort);
      }
      this.#all.push(call);
      this.#bytes += request.inputBytes;
      if (call.id !== undefined) this.#byId.set(call.id, call);
      this.#enqueue(call);
      this.#port.ready();
    });
  }

  #refusal(call: Call, signal: AbortSignal | undefined): HoldfastError | undefined {
    if (signal?.aborted) return abortedError(call, signal);
    if (this.#all.length >= clientLimits.callsMax)
      return new HoldfastError("overloaded", `${clientLimits.callsMax} calls of this client wait for answers.`);
    if (this.#bytes + call.request.inputBytes > clientLimits.callsBytesMax)
      return new HoldfastError("overloaded", "The calls of this client that wait for answers are too large together.");
    if (call.id !== undefined && this.#byId.has(call.id))
      return new HoldfastError("invalid-request-id", "A call with this request id waits for its answer already.");
    return undefined;
  }

  #enqueue(call: Call): void {
    // Calls that were given up before they were sent stay in the queue until it is their turn, or there are too many.
    if (this.#fresh.size >= 2 * clientLimits.callsMax) {
      const all = this.#fresh;
      this.#fresh = new Queue();
      for (let next = all.shift(); next !== undefined; next = all.shift())
        if (next.state === "queued") this.#fresh.push(next);
    }
    this.#fresh.push(call);
  }

  /** The messages to send now, each marked as sent when it is taken. */
  *take(): Generator<ClientMessage, void, undefined> {
    for (const queue of [this.#lost, this.#refused]) {
      for (const call of queue) {
        if (this.#live.size >= this.#window) return;
        if (queue === this.#refused && !this.#pay(call)) break;
        queue.delete(call);
        const message = this.#send(call);
        if (message !== undefined) yield message;
      }
    }
    while (this.#live.size < this.#window) {
      const call = this.#fresh.shift();
      if (call === undefined) return;
      if (call.state !== "queued") continue;
      this.#budget.earn();
      const message = this.#send(call);
      if (message !== undefined) yield message;
    }
  }

  #pay(call: Call): boolean {
    if (this.#budget.spend()) {
      call.paid = true;
      return true;
    }
    this.#cancelBudgetWait ??= this.#port.clock.after(this.#budget.waitMs, () => {
      this.#cancelBudgetWait = undefined;
      this.#port.ready();
    });
    return false;
  }

  #send(call: Call): ClientMessage | undefined {
    if (call.id === undefined) {
      call.id = this.#port.requestId();
      this.#byId.set(call.id, call);
    }
    call.state = "in-flight";
    // A call of this id was given up, but the server still works on it: its answer will be this call's.
    if (this.#live.has(call.id)) return undefined;
    this.#live.set(call.id, true);
    return messageOf(call);
  }

  opened(inflightMax: number): void {
    this.#windowMax = inflightMax;
    this.#window = this.#reconnected ? Math.min(clientLimits.windowStart, inflightMax) : inflightMax;
    this.#reconnected = true;
    this.#port.ready();
  }

  /** What is unanswered may have been carried out; it is asked again on the next connection, first of all. */
  down(): void {
    this.#window = 0;
    for (const id of this.#live.keys()) {
      const call = this.#byId.get(id);
      if (call === undefined || call.state !== "in-flight") continue;
      call.mayHaveRun ||= call.request.kind === "command";
      call.problem = new HoldfastError("disconnected", "The connection broke before the answer.");
      call.paid = false;
      this.#queue(call, this.#lost);
    }
    this.#live.clear();
  }

  /** @returns false if the answer is to no call of ours */
  answered(answer: Answer): boolean {
    if (!this.#live.delete(answer.id)) return false;
    if (this.#window < this.#windowMax) this.#window++;
    this.#port.ready();
    const call = this.#byId.get(answer.id);
    if (call === undefined || call.state !== "in-flight") return true;
    if (answer.t === "reply") {
      this.#giveBack(call);
      this.#settle(call);
      const { value, version, durable, local } = answer;
      const copied = local === undefined ? undefined : { local };
      call.resolve(durable === false ? { value, version, durable } : { value, version, ...copied });
    } else if (answer.t === "error") this.#refusedBy(call, answer);
    return true;
  }

  #refusedBy(call: Call, message: ErrorMessage): void {
    const error = errorOf(call, message);
    const verdict = judge(call, error);
    if (verdict === "final") {
      this.#giveBack(call);
      return this.#fail(call, finalError(call, error));
    }
    call.problem = error;
    call.paid = false;
    if (verdict === "new-id") {
      this.#byId.delete(call.id as string);
      call.id = undefined;
      this.#port.askTime();
    }
    const { retryBaseMs: baseMs, retryMaxMs: maxMs } = clientLimits;
    const waitMs = (message.retryAfterMs ?? 0) + backoffMs(call.refusals++, { baseMs, maxMs }, this.#port.random);
    call.state = "waiting";
    call.cancelWait = this.#port.clock.after(waitMs, () => this.#queue(call, this.#refused));
  }

  #queue(call: Call, queue: Set<Call>): void {
    call.state = "queued";
    queue.add(call);
    this.#port.ready();
  }

  /** A message that fits in no frame. */
  tooLarge(id: string | number): void {
    this.#live.delete(id);
    const call = this.#byId.get(id);
    if (call !== undefined)
      this.#fail(call, new HoldfastError("too-large", "The call does not fit in a frame of this server."));
  }

  /** One timer for all calls, set for the earliest deadline; that its call is settled meanwhile costs one look. */
  #watch(deadlineMs: number): void {
    if (deadlineMs >= this.#watchedMs) return;
    this.#cancelWatch();
    this.#watchedMs = deadlineMs;
    const { clock } = this.#port;
    this.#cancelWatch = clock.after(deadlineMs - clock.monotonic(), () => {
      this.#watchedMs = Number.POSITIVE_INFINITY;
      this.#expire(deadlineMs);
    });
  }

  /** Ends the calls whose deadline is `deadlineMs` or earlier. */
  #expire(deadlineMs: number): void {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const call of [...this.#all]) {
      if (call.deadlineMs > deadlineMs) {
        earliestMs = Math.min(earliestMs, call.deadlineMs);
        continue;
      }
      // Sent and unanswered counts: a command in flight may be carried out at this moment.
      if (call.state === "in-flight") call.mayHaveRun ||= call.request.kind === "command";
      const why = `There was no answer within ${call.timeoutMs} ms.`;
      this.#fail(call, unansweredError(call, why, this.#port.connected()));
    }
    this.#watch(earliestMs);
  }

  /** Settles all: what may have been carried out is unknown, the rest ends with what closed the client. */
  close(error: HoldfastError): void {
    this.#cancelBudgetWait?.();
    this.#cancelWatch();
    for (const call of [...this.#all]) {
      if (call.state === "in-flight") call.mayHaveRun ||= call.request.kind === "command";
      this.#fail(call, closedError(call, error));
    }
  }

  #giveBack(call: Call): void {
    if (call.paid) this.#budget.giveBack();
    call.paid = false;
  }

  #fail(call: Call, error: HoldfastError): void {
    if (call.state === "settled") return;
    this.#settle(call);
    call.reject(error);
  }

  #settle(call: Call): void {
    call.state = "settled";
    call.cancelWait();
    call.signal?.removeEventListener("abort", call.abort);
    this.#forget(call);
    this.#bytes -= call.request.inputBytes;
    if (call.id !== undefined) this.#byId.delete(call.id);
    this.#lost.delete(call);
    this.#refused.delete(call);
  }

  /** Takes it out of `#all`: the last one moves to its place. */
  #forget(call: Call): void {
    const last = this.#all.pop() as Call;
    if (last === call) return;
    this.#all[call.place] = last;
    last.place = call.place;
  }
}
