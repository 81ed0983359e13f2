/**
 * Runs one `decide` and collects what it asks for.
 *
 * Invariants:
 * 1. Nothing a decide asks for has happened when it returns: it is data in a `Decision`, plain and within the limits.
 * 2. What will be evolved is a copy that equals what a replay will decode (`copyPlain`), not the author's object.
 * 3. A context is dead after its decide: using it later throws, so a forgotten asynchronous callback cannot emit.
 */

import {
  type CallDefinitions,
  type CallOptions,
  type Chance,
  type DecideContext,
  Rejection,
  type ReplyFrom,
  type SendTarget,
} from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, isKey, isMemberName, isTypeName } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { CallBody, EventBody, Principal, SendBody, TimerChange } from "../model/records.ts";
import type { Sealed } from "../model/sealed.ts";
import { copyPlain, type Plain, PlainError, type PlainLimits } from "../std/plain.ts";
import { open, type Sealing, seal, subjectOf, type Vault } from "./personal.ts";
import type { Slot } from "./slot.ts";

export interface Decision {
  readonly events: EventBody[];
  readonly sends: SendBody[];
  readonly timers: TimerChange[];
  readonly calls: CallBody[];
  /** Size of all of it, as `copyPlain` counts. */
  bytes: number;
  rejection: { readonly reason: string; readonly details: Plain } | undefined;
  reply: ReplyFrom<unknown, unknown> | undefined;
}

export function emptyDecision(): Decision {
  return { events: [], sends: [], timers: [], calls: [], bytes: 0, rejection: undefined, reply: undefined };
}

export interface DecideFacts {
  readonly slot: Slot;
  readonly command: string;
  readonly input: unknown;
  readonly principal: Principal;
  readonly now: number;
  readonly chance: Chance;
  readonly limits: Limits;
  readonly vault: Vault | undefined;
}

/** @throws whatever the author's code throws, and HoldfastError or PlainError for what it may not ask for */
export function decide(facts: DecideFacts): Decision {
  const { slot } = facts;
  const context = new Context(facts);
  try {
    const definition = slot.definition.commands.get(facts.command);
    if (definition === undefined) throw new HoldfastError("unknown-command", `No command "${facts.command}".`);
    const answer: unknown = definition.decide(slot.state, facts.input, context);
    const { decision } = context;
    if (answer instanceof Rejection) {
      decision.rejection = { reason: answer.reason, details: answer.details };
      decision.events.length = decision.sends.length = decision.timers.length = decision.calls.length = 0;
    } else if (typeof answer === "function") {
      decision.reply = answer as ReplyFrom<unknown, unknown>;
    } else if (answer !== undefined) {
      throw new HoldfastError(
        "decide-failed",
        "A decide returns a function, a rejection or nothing; a promise cannot be waited for.",
      );
    }
    return decision;
  } finally {
    context.end();
  }
}

class Context implements DecideContext<Record<string, unknown>, CallDefinitions> {
  readonly type: string;
  readonly key: string;
  readonly now: number;
  readonly principal: Principal;
  readonly version: number;
  readonly random: Chance;
  readonly decision: Decision = emptyDecision();
  readonly #slot: Slot;
  readonly #limits: Limits;
  readonly #sealing: Sealing;
  #ended = false;

  constructor(facts: DecideFacts) {
    this.#slot = facts.slot;
    this.#limits = facts.limits;
    this.#sealing = facts;
    this.type = facts.slot.ref.type;
    this.key = facts.slot.ref.key;
    this.now = facts.now;
    this.principal = facts.principal;
    this.version = facts.slot.version;
    this.random = facts.chance;
  }

  end(): void {
    this.#ended = true;
  }

  emit(name: string, payload: unknown): void {
    this.#check(this.decision.events.length, "events");
    const definition = this.#slot.definition.events.get(name);
    if (definition === undefined) {
      throw new HoldfastError("decide-failed", `Emitted "${name}", which is not an event of ${this.type}.`);
    }
    this.decision.events.push({ name, version: definition.version, payload: this.#copy(payload, `event "${name}"`) });
  }

  reject(reason: string, details: Plain = null): Rejection {
    if (!isMemberName(reason))
      throw new HoldfastError("decide-failed", "A rejection's reason is a name: letters, digits, _ and -.");
    return new Rejection(reason, this.#copy(details, "the details of a rejection"));
  }

  send(to: SendTarget, command: string, input: Plain, options?: { reply?: string; context?: Plain }): void {
    this.#check(this.decision.sends.length, "sends");
    const target = subjectOf(to);
    if (!isTypeName(target.type) || !isKey(target.key) || !isMemberName(command)) {
      throw new HoldfastError("decide-failed", "A send needs an entity type name, a key and a command name.");
    }
    if (options?.reply !== undefined && !this.#slot.definition.commands.has(options.reply)) {
      throw new HoldfastError(
        "decide-failed",
        `A send's reply names "${options.reply}", which is not a command of ${this.type}.`,
      );
    }
    if (this.#slot.outboxSize + this.decision.sends.length >= this.#limits.outboxPerEntityMax) {
      throw new HoldfastError(
        "overloaded",
        `${this.#limits.outboxPerEntityMax} sends of this entity are not acknowledged yet.`,
      );
    }
    this.decision.sends.push({
      to: target,
      sequence: this.#nextSequence(target),
      command,
      input: this.#copy(input, "the input of a send"),
      ...(options?.reply === undefined ? {} : { reply: options.reply }),
      ...(options?.context === undefined ? {} : { context: this.#copy(options.context, "the context of a send") }),
    });
  }

  schedule(name: string, when: { at: number } | { afterMs: number }, command: string, input: Plain = null): void {
    this.#check(this.decision.timers.length, "timer changes");
    const dueMs = Math.ceil("at" in when ? when.at : this.now + when.afterMs);
    if (!Number.isSafeInteger(dueMs) || dueMs < 0)
      throw new HoldfastError("decide-failed", `Timer "${name}" has no time that exists.`);
    if (typeof name !== "string" || name.length === 0 || name.length > 128) {
      throw new HoldfastError("decide-failed", "A timer's name is 1 to 128 characters.");
    }
    if (!this.#slot.definition.commands.has(command)) {
      throw new HoldfastError(
        "decide-failed",
        `Timer "${name}" names "${command}", which is not a command of ${this.type}.`,
      );
    }
    const more = this.#slot.timers.has(name) ? 0 : 1;
    if (this.#slot.timers.size + this.decision.timers.length + more > this.#limits.timersPerEntityMax) {
      throw new HoldfastError("overloaded", `The entity has ${this.#limits.timersPerEntityMax} timers.`);
    }
    this.decision.timers.push({ name, dueMs, command, input: this.#copy(input, `the input of timer "${name}"`) });
  }

  cancel(name: string): void {
    this.#check(this.decision.timers.length, "timer changes");
    this.decision.timers.push({ name, dueMs: null });
  }

  call(name: string, input: unknown, options: CallOptions = {}): void {
    this.#check(this.decision.calls.length, "calls");
    const { definition } = this.#slot;
    const limits = this.#limits;
    const { result, context, timeoutMs = limits.callTimeoutMs, attempts = limits.callAttempts } = options;
    const { failure = "park" } = options;
    if (!definition.calls.has(name))
      throw new HoldfastError("decide-failed", `"${name}" is not one of the calls of ${this.type}.`);
    if (result !== undefined && !definition.commands.has(result)) {
      throw new HoldfastError(
        "decide-failed",
        `The result of call "${name}" goes to "${result}", which is not a command of ${this.type}.`,
      );
    }
    if (!isCount(timeoutMs, limits.callTimeoutMaxMs) || !isCount(attempts, limits.callAttemptsMax)) {
      throw new HoldfastError(
        "decide-failed",
        `Call "${name}" needs a timeoutMs of 1 to ${limits.callTimeoutMaxMs} and 1 to ${limits.callAttemptsMax} attempts.`,
      );
    }
    if (failure !== "park" && failure !== "tell" && failure !== "settle")
      throw new HoldfastError("decide-failed", `The failure of call "${name}" is "park", "tell" or "settle".`);
    if (failure !== "park" && result === undefined) {
      throw new HoldfastError(
        "decide-failed",
        `The failure of call "${name}" is "${failure}", but no command gets its result: name one, or let it be parked.`,
      );
    }
    if (this.#slot.calls.size + this.decision.calls.length >= limits.callsPerEntityMax)
      throw new HoldfastError("overloaded", `${limits.callsPerEntityMax} calls of this entity are not settled yet.`);
    this.decision.calls.push({
      name,
      input: this.#copy(input, `the input of call "${name}"`),
      ...(result === undefined ? {} : { result }),
      ...(context === undefined ? {} : { context: this.#copy(context, `the context of call "${name}"`) }),
      timeoutMs,
      attempts,
      failure,
    });
  }

  seal<T>(value: T, subject?: SendTarget): Sealed<T> {
    this.#check(0, "seals");
    this.#checkPersonal();
    const of = subject === undefined ? this.#slot.ref : subjectOf(subject);
    return seal(this.#sealing, of, value) as Sealed<T>;
  }

  open<T>(sealed: Sealed<T>): T | undefined {
    this.#check(0, "opens");
    this.#checkPersonal();
    return open(this.#sealing, sealed) as T | undefined;
  }

  #checkPersonal(): void {
    if (!this.#slot.definition.personal)
      throw new HoldfastError("decide-failed", `${this.type} does not declare \`personal: true\`; add it.`);
  }

  #nextSequence(to: EntityRef): number {
    let last = this.#slot.outbox.get(`${to.type}/${to.key}`)?.sequence ?? 0;
    for (const send of this.decision.sends)
      if (send.to.type === to.type && send.to.key === to.key) last = send.sequence;
    return last + 1;
  }

  #check(count: number, what: string): void {
    if (this.#ended)
      throw new HoldfastError("decide-failed", "The context of a command was used after the command had been decided.");
    if (count >= this.#limits.perCommandMax) {
      throw new HoldfastError("too-large", `One command made more than ${this.#limits.perCommandMax} ${what}.`);
    }
  }

  #copy(value: unknown, what: string): Plain {
    const { decision } = this;
    const bytesMax = this.#limits.recordBytesMax - decision.bytes;
    const { depthMax } = this.#limits;
    const copy = copyChecked(value ?? null, { depthMax, bytesMax, sealed: this.#slot.definition.personal }, what);
    decision.bytes += copy.bytes;
    return copy.value;
  }
}

function isCount(value: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && value <= most;
}

/** @throws `too-large` or `decide-failed` that name `what` and the path to the fault */
export function copyChecked(value: unknown, limits: PlainLimits, what: string): { value: Plain; bytes: number } {
  try {
    return copyPlain(value as Plain, limits);
  } catch (fault) {
    if (!(fault instanceof PlainError)) throw fault;
    const code = fault.reason === "not-plain" ? "decide-failed" : "too-large";
    throw new HoldfastError(code, `In ${what}: ${fault.message}.`);
  }
}
