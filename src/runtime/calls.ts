/**
 * Runs the handlers of calls: the only asynchronous code of an author on a node.
 *
 * Invariants:
 * 1. What an attempt comes to is handed back once: its result, its error, or that its time is up. Of an incarnation that
 *    ended nothing is handed back: its attempts are aborted, and its successor makes them again.
 * 2. At most `callsRunningMax` run. The others wait in the order in which they came, which is that of the log per shard.
 *    What waits is bounded by what the entities hold. An attempt whose call was dropped meanwhile is not made.
 * 3. A handler gets a copy of its input; what it returns is copied and checked before the core sees it.
 */
import { createHash } from "node:crypto";
import { isWanted } from "../core/call-start.ts";
import type { CallAnswer } from "../core/call-state.ts";
import type { Effect, Input } from "../core/effects.ts";
import type { CallAttempt, EntityDefinition } from "../model/entity.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { CallId } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import { Queue } from "../std/queue.ts";
import type { Door } from "./door.ts";
import type { ShardHost } from "./shard-host.ts";

export type CallEffect = Extract<Effect, { kind: "call" }>;

export interface CallsOptions {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly step: (host: ShardHost, input: Input) => void;
  /** Opens personal data for the handlers. */
  readonly door: Pick<Door, "handed">;
  readonly moment: () => Pick<Extract<Input, { kind: "called" }>, "nowMs" | "chance">;
}

interface Attempt {
  readonly host: ShardHost;
  readonly effect: CallEffect;
}

interface Running extends Attempt {
  readonly abort: AbortController;
  readonly cancelTimeout: () => void;
}

/**
 * The idempotency key of a call: the same for all attempts, after restarts too, and of no other call. The recorded time
 * tells it from a call at the same offset of a log that was begun anew.
 */
export function callKey(entity: EntityRef, { at, index }: CallId, madeMs: number): string {
  const hash = createHash("sha256")
    .update(`${formatRef(entity)} ${at} ${index} ${madeMs}`)
    .digest("base64url");
  return `call_${hash.slice(0, 32)}`;
}

export class CallRunner {
  readonly #options: CallsOptions;
  readonly #waiting = new Queue<Attempt>();
  readonly #running = new Set<Running>();
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  start(host: ShardHost, effect: CallEffect): void {
    if (this.#closed) return;
    const attempt: Attempt = { host, effect };
    if (this.#running.size < this.#options.limits.callsRunningMax) this.#run(attempt);
    else this.#waiting.push(attempt);
  }

  /** The host's incarnation ended: nothing of its calls is handed back. */
  drop(host: ShardHost): void {
    this.#dropWaiting((attempt) => attempt.host === host);
    for (const running of [...this.#running]) if (running.host === host) this.#end(running);
    this.#next();
  }

  /** Starts nothing more; what waits is tried again after the next start. Resolves when nothing runs. */
  async drain(): Promise<void> {
    this.#closed = true;
    this.#dropWaiting(() => true);
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Aborts what runs; nothing is handed back any more. */
  close(): void {
    this.#closed = true;
    this.#dropWaiting(() => true);
    for (const running of [...this.#running]) this.#end(running);
  }

  #dropWaiting(which: (attempt: Attempt) => boolean): void {
    for (let count = this.#waiting.size; count > 0; count--) {
      const attempt = this.#waiting.shift();
      if (attempt !== undefined && !which(attempt)) this.#waiting.push(attempt);
    }
  }

  #run(attempt: Attempt): void {
    const { effect } = attempt;
    const abort = new AbortController();
    const timeUp = () => {
      const error = `No result within ${effect.body.timeoutMs} ms.`;
      this.#answer(running, { ok: false, error, final: false });
    };
    const cancelTimeout = this.#options.clock.after(effect.body.timeoutMs, timeUp);
    const running: Running = { ...attempt, abort, cancelTimeout };
    this.#running.add(running);
    void this.#attempt(effect, abort.signal).then((answer) => this.#answer(running, answer));
  }

  /** Never rejects. */
  async #attempt({ entity, id, body, madeMs, attempt }: CallEffect, signal: AbortSignal): Promise<CallAnswer> {
    const { definitions, limits } = this.#options;
    const handler = definitions.get(entity.type)?.calls.get(body.name);
    if (handler === undefined)
      return { ok: false, error: `This code has no call "${body.name}" of ${entity.type}.`, final: true };
    const facts: CallAttempt = { key: callKey(entity, id, madeMs), attempt, entity: { ...entity }, signal };
    const { depthMax } = limits;
    try {
      const input = this.#options.door.handed(entity.type, body.input);
      const result = await handler(copyOf(input, depthMax, Number.MAX_SAFE_INTEGER), facts);
      return { ok: true, value: copyOf((result ?? null) as Plain, depthMax, limits.callResultBytesMax) };
    } catch (error) {
      return { ok: false, error: tellError(error).slice(0, limits.callErrorCharsMax), final: false };
    }
  }

  #answer(running: Running, answer: CallAnswer): void {
    if (!this.#end(running)) return;
    const { entity, id, attempt } = running.effect;
    const { step, moment } = this.#options;
    step(running.host, { kind: "called", entity, id, attempt, answer, ...moment() });
    this.#next();
  }

  /** @returns false if it had ended before */
  #end(running: Running): boolean {
    if (!this.#running.delete(running)) return false;
    running.cancelTimeout();
    running.abort.abort();
    if (this.#running.size === 0) for (const tell of this.#idle.splice(0)) tell();
    return true;
  }

  #next(): void {
    while (!this.#closed && this.#running.size < this.#options.limits.callsRunningMax) {
      const attempt = this.#waiting.shift();
      if (attempt === undefined) return;
      if (isWanted(attempt.host.owner, attempt.effect)) this.#run(attempt);
    }
  }
}

function copyOf(value: Plain, depthMax: number, bytesMax: number): Plain {
  return copyPlain(value, { depthMax, bytesMax }).value;
}

/** Of what an author's code threw, whatever that is. */
function tellError(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "An error that cannot be told.";
  }
}
