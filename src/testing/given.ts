/**
 * Tests one entity without a node: given events, when a command, then events, reply, sends, timers and calls.
 *
 *   given(wallet, [{ name: "credited", payload: { amount: 10 } }])
 *     .when("debit", { amount: 3 })
 *     .then({ events: [{ name: "debited", payload: { amount: 3 } }], reply: { balance: 7 } })
 *     .when("debit", { amount: 8 })
 *     .then({ rejected: "insufficient-funds" });
 *
 * Invariants: the core decides and evolves, so what passes here passes on a node. On top of that it fails where a node
 * would go wrong later: a decide that changes the state or an event, an evolve that is not a function of its events, and
 * a state that is not plain data.
 */
import assert from "node:assert/strict";
import type { CommandsOf } from "../client/types.ts";
import { type Decision, decide, emptyDecision } from "../core/decide.ts";
import { type Sealing, sealInput } from "../core/personal.ts";
import { evolveSlot, makeSlot, type Slot, upcastEvent } from "../core/slot.ts";
import { mayDo, type Validated, validateInput } from "../core/user-code.ts";
import type { AnyEntity, EntityDefinition } from "../model/entity.ts";
import { type ErrorCode, isHoldfastError } from "../model/errors.ts";
import { limitsWith } from "../model/limits.ts";
import type { EventBody, Principal } from "../model/records.ts";
import { openAll } from "../model/sealed.ts";
import { makeChance } from "../runtime/chance.ts";
import { copyPlain, freezePlain, type Plain } from "../std/plain.ts";
import { Prng } from "../std/prng.ts";
import { testVault } from "./sealing.ts";
import type { Expected, GivenEvent, InputAnd, InputIn, ReplyOf, StateOf, WhenOptions } from "./types.ts";

const limits = limitsWith();
const startMs = 1_767_225_600_000;
const tester: Principal = { kind: "user", id: "tester" };

/** An entity that has lived through these events. `key` is its key, default `test`. */
export function given<Entity extends AnyEntity>(
  entity: Entity,
  events: readonly GivenEvent<Entity>[] = [],
  options: {
    readonly key?: string;
    /** The state before these events, such as one that an operator's `inspect` gave. Default: the initial state. */
    readonly state?: StateOf<Entity>;
  } = {},
): Scenario<Entity> {
  const bodies = events.map((event): EventBody => {
    const version = "version" in event ? event.version : (entity.events.get(event.name)?.version ?? 1);
    return { name: event.name, version, payload: plain(event.payload, `event "${event.name}"`) };
  });
  return new Scenario(entity, options.key ?? "test", {
    events: bodies,
    commands: 0,
    ...(options.state === undefined ? {} : { state: plain(options.state, "the state") }),
  });
}

interface Past {
  readonly state?: Plain;
  readonly events: readonly EventBody[];
  readonly commands: number;
}

export class Scenario<Entity extends AnyEntity> {
  readonly #entity: Entity;
  readonly #key: string;
  readonly #past: Past;

  constructor(entity: Entity, key: string, past: Past) {
    this.#entity = entity;
    this.#key = key;
    this.#past = past;
  }

  /** The state after the events so far. */
  get state(): StateOf<Entity> {
    return replay(this.#entity, this.#key, this.#past).state as StateOf<Entity>;
  }

  /** Runs a command. Access is asked and the input is checked, as on a node. */
  when<Name extends keyof CommandsOf<Entity> & string>(
    command: Name,
    ...rest: InputAnd<InputIn<CommandsOf<Entity>, Name>, WhenOptions>
  ): Outcome<Entity, ReplyOf<Entity, Name>> {
    const [input, options = {}] = rest as [unknown, WhenOptions | undefined];
    const facts = { entity: this.#entity, key: this.#key, past: this.#past, command, input, options };
    return new Outcome(this.#entity, this.#key, this.#past, run(facts));
  }
}

/** What came of a command. Not a promise: `then` takes what is expected. */
export class Outcome<Entity extends AnyEntity, Reply> {
  readonly #entity: Entity;
  readonly #key: string;
  readonly #past: Past;
  readonly #result: Result;

  constructor(entity: Entity, key: string, past: Past, result: Result) {
    this.#entity = entity;
    this.#key = key;
    this.#past = past;
    this.#result = result;
  }

  get result(): Result {
    return this.#result;
  }

  /**
   * Fails unless everything that is given here came of the command.
   * @returns the entity after it, for the next `when`
   */
  // oxlint-disable-next-line unicorn/no-thenable
  then(expected: Expected<Entity, Reply>): Scenario<Entity> {
    if (typeof expected === "function") throw new TypeError("A scenario is not a promise; do not await it.");
    const { failure, decision, reply, state } = this.#result;
    if (expected.failed !== undefined || failure !== undefined) {
      assert.equal(failure?.code, expected.failed, failure === undefined ? "the command did not fail" : failure.detail);
    }
    const { rejection } = decision;
    if (typeof expected.rejected === "string" || (expected.rejected === undefined && rejection !== undefined)) {
      assert.equal(rejection?.reason, expected.rejected, "rejected");
    } else if (expected.rejected !== undefined) {
      assert.deepEqual(rejection, expected.rejected, "rejected");
    }
    if (expected.events !== undefined)
      assert.deepEqual(shortEvents(decision, expected.events), expected.events, "events");
    if (expected.reply !== undefined) assert.deepEqual(reply, expected.reply, "reply");
    if (expected.sends !== undefined) {
      const sends = decision.sends.map(({ sequence: _sequence, ...send }) => send);
      assert.deepEqual(sends, expected.sends, "sends");
    }
    if (expected.timers !== undefined) assert.deepEqual(decision.timers, expected.timers, "timers");
    if (expected.calls !== undefined) assert.deepEqual(shortCalls(decision, expected.calls), expected.calls, "calls");
    if (expected.state !== undefined) assert.deepEqual(state, expected.state, "state");
    const events = [...this.#past.events, ...decision.events];
    return new Scenario(this.#entity, this.#key, { ...this.#past, events, commands: this.#past.commands + 1 });
  }
}

/** Versions are told only where the test tells them. */
function shortEvents(decision: Decision, expected: readonly object[]): object[] {
  return decision.events.map(({ name, version, payload }, index) =>
    "version" in (expected[index] ?? {}) ? { name, version, payload } : { name, payload },
  );
}

/** Attempts, timeout and failure plan are told only where the test tells them. */
function shortCalls(decision: Decision, expected: readonly object[]): object[] {
  return decision.calls.map((call, index) => {
    const { name, input, result, context, ...rest } = call;
    const wanted = Object.entries(rest).filter(([field]) => field in (expected[index] ?? {}));
    return {
      name,
      input,
      ...(result === undefined ? {} : { result }),
      ...(context === undefined ? {} : { context }),
      ...Object.fromEntries(wanted),
    };
  });
}

export interface Result {
  readonly failure: { readonly code: ErrorCode; readonly detail: string } | undefined;
  readonly decision: Decision;
  readonly reply: Plain | undefined;
  readonly state: unknown;
}

interface RunFacts {
  readonly entity: EntityDefinition;
  readonly key: string;
  readonly past: Past;
  readonly command: string;
  readonly input: unknown;
  readonly options: WhenOptions;
}

function run({ entity, key, past, command, input, options }: RunFacts): Result {
  const { principal = tester, now = startMs + past.commands * 1_000, random = 1, erased = [] } = options;
  const sealing: Sealing = { vault: testVault(erased), limits };
  const slot = replay(entity, key, past);
  const failed = (code: ErrorCode, detail: string): Result => ({
    failure: { code, detail },
    decision: emptyDecision(),
    reply: undefined,
    state: slot.state,
  });
  const definition = entity.commands.get(command);
  if (definition === undefined) return failed("unknown-command", `${entity.name} has no command "${command}".`);
  if (principal.kind !== "system" && !mayDo(entity, principal, { kind: "command", name: command }, key))
    return failed("forbidden", "access does not allow it");
  const valid = readInput(entity, command, input);
  if (!valid.ok) return failed(valid.failure.code, valid.failure.detail);
  const prng = new Prng(random);
  const chance = makeChance({ bytes: (count) => prng.bytes(count) });
  const frozen = { ...slot, state: freezePlain(slot.state) };
  let decision: Decision;
  try {
    const value = entity.personal ? sealInput(sealing, slot, valid.value) : valid.value;
    decision = decide({ slot: frozen, command, input: freezePlain(value), principal, now, chance, ...sealing });
  } catch (error) {
    if (error instanceof TypeError && /read only|not extensible|Cannot delete|Cannot assign/.test(error.message))
      assert.fail(
        `The decide of "${command}" changes the state or its input: ${error.message}. Emit an event instead.`,
      );
    if (isHoldfastError(error) && error.recovery !== "crash") return failed(error.code, error.message);
    return failed("decide-failed", error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const after = replay(entity, key, { ...past, events: [...past.events, ...decision.events] });
  const creates = past.events.length === 0 && past.state === undefined && decision.events.length > 0;
  if (creates && principal.kind !== "system" && !mayDo(entity, principal, { kind: "create", name: command }, key))
    return failed("forbidden", "access does not allow to bring the entity into being");
  const sealed = decision.rejection === undefined ? replyOf(decision, after, command) : undefined;
  const reply = openAll(sealed, (text) => sealing.vault?.open(text) ?? null);
  return { failure: undefined, decision, reply, state: after.state };
}

/** An input with sealed values in it is one that was validated before: captured by a quarantine, say. */
function readInput(entity: EntityDefinition, command: string, input: unknown): Validated {
  const { personal } = entity;
  const checked = validateInput(entity.commands.get(command)?.input, input, limits, personal);
  const holdsSealed = personal && openAll(input, () => null) !== input;
  return checked.ok || !holdsSealed ? checked : { ok: true, value: input };
}

function replyOf(decision: Decision, after: Slot, command: string): Plain {
  if (decision.reply === undefined) return null;
  return plain(decision.reply(freezePlain(after.state)) ?? null, `the reply of "${command}"`);
}

/** Evolves twice, to see that the state is a function of the events. */
function replay(entity: EntityDefinition, key: string, past: Past): Slot {
  const slot = evolved(entity, key, past);
  const again = evolved(entity, key, past);
  const message = `The same events gave two states of ${entity.name}: an evolve, or the initial state, uses time, chance or a variable outside.`;
  assert.deepEqual(slot.state, again.state, message);
  slot.version = slot.touched = past.events.length + (past.state === undefined ? 0 : 1);
  return slot;
}

function evolved(entity: EntityDefinition, key: string, { state, events }: Past): Slot {
  const slot = makeSlot({ type: entity.name, key }, entity);
  if (state !== undefined) slot.state = plain(state, "the state");
  for (const event of events) {
    const current = upcastEvent(entity, { ...event, payload: plain(event.payload, `event "${event.name}"`) });
    try {
      evolveSlot(slot, [{ ...current, payload: freezePlain(current.payload) }]);
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      assert.fail(`The evolve of "${event.name}" threw: ${cause}. It may change the state only, not the event.`);
    }
    plain(slot.state, `the state after "${event.name}"`);
  }
  return slot;
}

/** @throws AssertionError naming what is not plain data, and where */
function plain(value: unknown, what: string): Plain {
  try {
    return copyPlain((value ?? null) as Plain, {
      depthMax: limits.depthMax,
      bytesMax: Number.MAX_SAFE_INTEGER,
      sealed: true,
    }).value;
  } catch (error) {
    return assert.fail(
      `In ${what}: ${error instanceof Error ? error.message : String(error)}. Only plain data survives a restart.`,
    );
  }
}
