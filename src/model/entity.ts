/**
 * What an application author writes: the public types of an entity definition, and `defineEntity`.
 *
 * Invariant: a definition that `defineEntity` returned can run. What can be seen to be wrong at that moment is refused
 * there, with a message that says how to mend it (`definition-check.ts`).
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Plain } from "../std/plain.ts";
import { checkDefinition, checkNotOwn } from "./definition-check.ts";
import type { FeedVerb } from "./feeds.ts";
import type { EntityRef, Offset } from "./ids.ts";
import type { CallFailurePlan, Principal } from "./records.ts";
import type { Opened, Sealable, Sealed, Unsealed } from "./sealed.ts";

/** What somebody wants to do: run a command or query, see a view, or bring an entity into being with a command. */
export interface Verb {
  readonly kind: "command" | "query" | "view" | "create";
  readonly name: string;
}

/** True allows it. Called for every command, query, subscription and each of its updates. Nothing else allows anything. */
export type Access = (principal: Principal, verb: Verb, key: string) => boolean;

/**
 * When a command is answered: `durable`, after its record is in the log for good (the default); or `relaxed`, at once,
 * with its record in the log within `windowMs` of the answer. What was answered within that window is lost by a crash.
 */
export type Durability = "durable" | { readonly relaxed: { readonly windowMs: number } };

/** Says no: nothing is emitted or sent, the caller gets `rejected` with this reason. */
export class Rejection {
  readonly reason: string;
  readonly details: Plain;
  constructor(reason: string, details: Plain) {
    this.reason = reason;
    this.details = details;
  }
}

/** Chance for a decision: cryptographically strong in production, seeded in tests. */
export interface Chance {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** A uniform integer, 0 <= n < `below`; `below` is 1 .. 2^32. */
  integer(below: number): number;
}

/** What a query is told. */
export interface ReadContext {
  readonly key: string;
  readonly principal: Principal;
  readonly now: number;
  /** What a sealed value holds; undefined if it was erased. To search by, say: what a query returns is opened anyway. */
  open<T>(sealed: Sealed<T>): T | undefined;
}

/** What `decide` may do. Nothing of it happens unless the command is recorded. */
export interface DecideContext<Events, Calls = Record<never, never>> {
  readonly type: string;
  readonly key: string;
  /** The recorded time of this command, ms since 1970. Never goes back within a shard. */
  readonly now: number;
  readonly principal: Principal;
  /** Version of the entity before this command; 0 if it does not exist yet. */
  readonly version: Offset;
  readonly random: Chance;
  /** Adds an event. State changes when `decide` has returned. */
  emit<Name extends keyof Events & string>(name: Name, payload: Events[Name]): void;
  /** Refuses: `return ctx.reject("insufficient-funds", { balance })`. */
  reject(reason: string, details?: Plain): Rejection;
  /**
   * Sends a command to another entity: exactly once, in order per pair of sender and receiver.
   * With `reply`, its outcome comes back to that command of this entity as a `SendOutcome`, with `context` in it.
   */
  send(to: SendTarget, command: string, input: Plain, options?: { reply?: string; context?: Plain }): void;
  /**
   * Sets the timer `name` of this entity (replacing one of the same name): at `at`, or after `afterMs`, the command runs
   * with `input` as principal `system`. Fires once in the log, never early, after a restart too.
   */
  schedule(name: string, when: { at: number } | { afterMs: number }, command: string, input?: Plain): void;
  /** Takes the timer back; nothing happens if there is none. */
  cancel(name: string): void;
  /**
   * Has the handler `name` of the definition's `calls` run outside: at least once, when this command is durable, again after
   * a failure or a restart, always with the same idempotency key. The command `result` gets a `CallOutcome`, once.
   */
  call<Name extends keyof Calls & string>(
    name: Name,
    input: Sealable<CallInput<Calls[Name]>>,
    options?: CallOptions,
  ): void;
  /** Seals personal data under the key of its subject; default: this entity. */
  seal<T>(value: T, subject?: SendTarget): Sealed<T>;
  /**
   * What a sealed value holds; undefined if it was erased. Do not put it into an event, a send or a reply: that would record
   * it. Carry the sealed value; callers get it opened.
   */
  open<T>(sealed: Sealed<T>): T | undefined;
}

/** What an attempt at a call is told. */
export interface CallAttempt {
  /** The same for every attempt at this call, after restarts too. Hand it to whoever must not do the work twice. */
  readonly key: string;
  /** 1 for the first; attempts that a crash cut short are not counted. */
  readonly attempt: number;
  /** The entity that made the call. */
  readonly entity: EntityRef;
  /** Aborted when the attempt's time is up, or nobody waits for its result any more. */
  readonly signal: AbortSignal;
}

/** Runs outside, asynchronously; sealed values of its input come opened, erased ones null. Return what the entity is to decide on; throw what another attempt may mend. */
export type CallHandler = (input: Inferred, attempt: CallAttempt) => PromiseLike<unknown>;

export type CallDefinitions = Record<string, CallHandler>;

export type CallInput<Handler> = Handler extends (input: infer Input, ...rest: never) => unknown ? Input : never;

export interface CallOptions {
  /** Command of this entity that gets the `CallOutcome`. Without it the result is dropped. */
  readonly result?: string;
  /** Comes back with the outcome. */
  readonly context?: Plain;
  /** Of each attempt. Default 30 s. */
  readonly timeoutMs?: number;
  /** How many may fail. Default 8, with waits of 0 to 500 ms after the first and 0 to twice as much after each further. */
  readonly attempts?: number;
  /**
   * After the last attempt: `park` (default) keeps the call for an operator, who has it tried again or drops it; `tell`
   * parks it and tells the `result` command; `settle` ends it with the failure. Without a `result` it is `park`.
   */
  readonly failure?: CallFailurePlan;
}

/** What comes back from a `call` with `result`. */
export type CallOutcome<Value = unknown, Context = unknown> =
  | { readonly ok: true; readonly value: Value; readonly call: string; readonly context: Context }
  | {
      readonly ok: false;
      /** `failed`: it is over. `parked`: an operator will settle it. `dropped`: one has given it up. */
      readonly code: "failed" | "parked" | "dropped";
      /** The last error, as far as it is known. */
      readonly reason: string;
      readonly call: string;
      readonly context: Context;
    };

export interface SendTarget {
  /** The other entity's definition, or its type name where a definition would make the files import each other. */
  readonly type: string | { readonly name: string };
  readonly key: string;
}

/** What comes back from a `send` with `reply`. */
export type SendOutcome<Value = unknown, Context = unknown> =
  | { readonly ok: true; readonly value: Value; readonly to: EntityRef; readonly context: Context }
  | {
      readonly ok: false;
      readonly code: string;
      readonly reason: string;
      readonly details: Plain;
      readonly to: EntityRef;
      readonly context: Context;
    };

/** Computes the reply from the state after the events. */
export type ReplyFrom<State, Reply> = (next: State) => Reply;

export type Decide<State, Input, Events, Reply, Calls = Record<never, never>> = (
  state: State,
  input: Input,
  context: DecideContext<Events, Calls>,
  // biome-ignore lint: `void` lets a decide end without a return statement
) => ReplyFrom<State, Reply> | Rejection | void;

export interface CommandDefinition<State, Input, Events, Reply> {
  readonly input: StandardSchemaV1<unknown, Input> | undefined;
  readonly decide: Decide<State, Input, Events, Reply>;
  /** Overrules that of the entity type. */
  readonly durability?: Durability;
}

export interface CommandOptions {
  readonly durability?: Durability;
}

/** `command(schema, decide)`, or `command(decide)` for a command without input; options come last. */
export interface CommandBuilder<State, Events, Calls = Record<never, never>> {
  <Input, Reply = null>(
    schema: StandardSchemaV1<unknown, Input>,
    decide: Decide<State, Input, Events, Reply, Calls>,
    options?: CommandOptions,
  ): CommandDefinition<State, Input, Events, NoInfer<Reply>>;
  <Reply = null>(
    decide: Decide<State, undefined, Events, Reply, Calls>,
    options?: CommandOptions,
  ): CommandDefinition<State, undefined, Events, NoInfer<Reply>>;
}

/** Evolve: changes the state in place. Synchronous, pure, and run again on every replay. */
export type Evolve<State, Payload> = (state: State, event: Payload) => void;

/** An event whose shape has changed since: `upcast[n]` turns a payload of version n into one of version n + 1. */
export interface VersionedEvent<State, Payload> {
  readonly version: number;
  readonly upcast: { readonly [version: number]: (old: Inferred) => unknown };
  readonly evolve: Evolve<State, Payload>;
}

/** Stands where inference finds a type per member: `unknown` and `never` would each refuse some of them. */
// oxlint-disable-next-line typescript/no-explicit-any
type Inferred = any;

export type EventDefinitions<State> = Record<string, Evolve<State, Inferred> | VersionedEvent<State, Inferred>>;

export type Payloads<Events> = {
  [Name in keyof Events]: Events[Name] extends (state: never, event: infer Payload) => void
    ? Payload
    : Events[Name] extends { evolve: (state: never, event: infer Payload) => void }
      ? Payload
      : never;
};

export type QueryFunction<State> = (state: State, context: ReadContext) => unknown;

/** A query with input. Bad input never reaches `read`. */
export interface QueryWithInput<State> {
  readonly input: StandardSchemaV1;
  read(state: State, input: unknown, context: ReadContext): unknown;
}

export type QueryDefinitions<State> = Record<string, QueryFunction<State> | QueryWithInput<State>>;

/**
 * What one viewer may see of the state; client subscriptions are made of these. A function of nothing else: no clock.
 * Declared with one parameter it is the same for every viewer and is computed once for all of them.
 */
export type ViewDefinitions<State> = Record<string, (state: State, viewer: Principal, key: string) => unknown>;

export type AnyCommand = CommandDefinition<Inferred, Inferred, Inferred, unknown>;

export interface EntityOptions<State, Events, Commands, Queries, Views, Calls = Record<never, never>> {
  /**
   * Version of the state. Raise it when `evolve` builds another state from the same events by what its own text does not
   * show (a helper, a constant, a library), or to give `migrate`. Default 1.
   */
  readonly version?: number;
  /**
   * Its states and events may hold sealed values, its schemas may mark with `personal`, and what its callers get is
   * opened. Types that do not say so pay nothing for it, and are refused what is sealed.
   */
  readonly personal?: boolean;
  /**
   * A state that was kept under an older `version` as this one's, so that it need not be evolved again from the log. It
   * must be the state that this code evolves from the same events. May change `state` in place; undefined declines.
   */
  readonly migrate?: (state: Inferred, fromVersion: number) => NoInfer<State> | undefined;
  /** The state before the first event. */
  readonly state: (key: string) => State;
  readonly events: Events;
  /** Work outside that commands may ask for with `ctx.call`. Write them before `commands`, which infers from them. */
  readonly calls?: Calls & CallDefinitions;
  readonly commands: (command: CommandBuilder<State, Payloads<Events>, Calls>) => Commands;
  /** Of every command that does not say otherwise. Default `durable`. */
  readonly durability?: Durability;
  readonly queries?: Queries & QueryDefinitions<State>;
  readonly views?: Views & ViewDefinitions<State>;
  /** Without it nobody may do anything, except entities' own timers, replies to their sends and results of their calls. */
  readonly access?: Access;
  /** Who may follow entities of this type. Without it only operators and the service's own subscribers may. */
  readonly feed?: (principal: Principal, verb: FeedVerb) => boolean;
  /** What its feeds carry, for the published AsyncAPI document. Nothing is checked by it. */
  readonly published?: {
    readonly events?: { readonly [Name in keyof NoInfer<Events>]?: StandardSchemaV1 };
    readonly state?: StandardSchemaV1;
    readonly views?: { readonly [Name in keyof NoInfer<Views>]?: StandardSchemaV1 };
  };
}

type Shapes<Commands, Queries, Views> = {
  readonly commands: {
    readonly [Name in keyof Commands]: Commands[Name] extends CommandDefinition<
      Inferred,
      infer Input,
      Inferred,
      infer Reply
    >
      ? { readonly input: Unsealed<Input>; readonly reply: Opened<Reply> }
      : never;
  };
  readonly queries: {
    readonly [Name in keyof Queries]: Queries[Name] extends (...parameters: never) => infer Answer
      ? { readonly input: undefined; readonly reply: Opened<Answer> }
      : Queries[Name] extends { input: StandardSchemaV1<infer Input>; read: (...parameters: never) => infer Answer }
        ? { readonly input: Input; readonly reply: Opened<Answer> }
        : never;
  };
  readonly views: {
    readonly [Name in keyof Views]: Views[Name] extends (...parameters: never) => infer View ? Opened<View> : never;
  };
};

/** A definition as the core uses it, without the author's types. */
export interface EntityDefinition {
  readonly name: string;
  readonly version: number;
  readonly personal: boolean;
  readonly state: (key: string) => unknown;
  readonly migrate?: ((state: unknown, fromVersion: number) => unknown) | undefined;
  readonly events: ReadonlyMap<string, EventDefinition>;
  readonly commands: ReadonlyMap<string, CommandDefinition<unknown, unknown, Record<string, unknown>, unknown>>;
  readonly queries: ReadonlyMap<
    string,
    { readonly input?: StandardSchemaV1; readonly read: QueryWithInput<unknown>["read"] }
  >;
  readonly views: ReadonlyMap<string, ViewDefinition>;
  readonly calls: ReadonlyMap<string, CallHandler>;
  readonly access: Access;
  readonly feed: (principal: Principal, verb: FeedVerb) => boolean;
  readonly published?: PublishedSchemas;
}

export interface PublishedSchemas {
  readonly events: ReadonlyMap<string, StandardSchemaV1>;
  readonly state: StandardSchemaV1 | undefined;
  readonly views: ReadonlyMap<string, StandardSchemaV1>;
}

export interface EventDefinition {
  readonly version: number;
  readonly upcast: { readonly [version: number]: (old: unknown) => unknown };
  readonly evolve: Evolve<unknown, unknown>;
}

export interface ViewDefinition {
  readonly read: (state: unknown, viewer: Principal, key: string) => unknown;
  /** The view is the same for everybody. */
  readonly shared: boolean;
}

/** A definition with the author's types, which exist only for the compiler. */
export interface TypedEntity<Name extends string, State, Events, Commands, Queries, Views> extends EntityDefinition {
  readonly name: Name;
  /** Never set; carries the types to the client and the testing kit. */
  readonly types?: Shapes<Commands, Queries, Views> & { readonly state: State; readonly events: Payloads<Events> };
}

export type AnyEntity = EntityDefinition & {
  readonly types?: {
    readonly commands: object;
    readonly queries: object;
    readonly views: object;
    readonly state: unknown;
    readonly events: object;
  };
};

/**
 * Defines an entity type.
 * @param name lower case letters, digits and dashes; stands in URLs and in the log, so it may never change. Names that begin
 * with `holdfast-` are Holdfast's own.
 * @throws `invalid-definition` it cannot work; the message says why and what to do
 */
export function defineEntity<
  const Name extends string,
  State,
  Events extends EventDefinitions<State>,
  Commands extends Record<string, AnyCommand>,
  Queries extends QueryDefinitions<State> = Record<never, never>,
  Views extends ViewDefinitions<State> = Record<never, never>,
  Calls extends CallDefinitions = Record<never, never>,
>(
  name: Name,
  options: EntityOptions<State, Events, Commands, Queries, Views, Calls>,
): TypedEntity<Name, State, Events, Commands, Queries, Views> {
  checkNotOwn(name);
  return defineOwnEntity(name, options);
}

/** As `defineEntity`, for the types that Holdfast keeps its own things in. */
export function defineOwnEntity<
  const Name extends string,
  State,
  Events extends EventDefinitions<State>,
  Commands extends Record<string, AnyCommand>,
  Queries extends QueryDefinitions<State> = Record<never, never>,
  Views extends ViewDefinitions<State> = Record<never, never>,
  Calls extends CallDefinitions = Record<never, never>,
>(
  name: Name,
  options: EntityOptions<State, Events, Commands, Queries, Views, Calls>,
): TypedEntity<Name, State, Events, Commands, Queries, Views> {
  return checkDefinition(
    name,
    options as unknown as EntityOptions<unknown, object, Record<string, AnyCommand>, object, object, object>,
  ) as TypedEntity<Name, State, Events, Commands, Queries, Views>;
}
