/**
 * The types of the testing kit, inferred from definitions as the client infers them.
 *
 * Invariant: nothing here exists at run time.
 */
import type { CommandsOf } from "../client/types.ts";
import type { ErrorCode } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { CallFailurePlan, Principal } from "../model/records.ts";
import type { Plain } from "../std/plain.ts";

type Shapes<Entity> = Entity extends { readonly types?: infer Types } ? NonNullable<Types> : never;
type EventsOf<Entity> = Shapes<Entity> extends { readonly events: infer Events } ? Events : never;

export type StateOf<Entity> = Shapes<Entity> extends { readonly state: infer State } ? State : never;

/** `{ name: "debited", payload: { amount: 5 } }`; older shapes with their `version`. */
export type GivenEvent<Entity> =
  | {
      readonly [Name in keyof EventsOf<Entity> & string]: {
        readonly name: Name;
        readonly payload: EventsOf<Entity>[Name];
      };
    }[keyof EventsOf<Entity> & string]
  | { readonly name: keyof EventsOf<Entity> & string; readonly version: number; readonly payload: unknown };

export type InputIn<Members, Name extends keyof Members> = Members[Name] extends { readonly input: infer Input }
  ? Input
  : never;
export type ReplyIn<Members, Name extends keyof Members> = Members[Name] extends { readonly reply: infer Reply }
  ? Reply
  : never;

/** The parameters after the name: input only where there is one. */
export type InputAnd<Input, Options> = undefined extends Input
  ? [input?: Input | null | undefined, options?: Options]
  : [input: Input, options?: Options];

export interface WhenOptions {
  /** Who asks. Default: user `tester`. The entity itself (timers, replies to sends): `{ kind: "system", id: "holdfast" }`. */
  readonly principal?: Principal;
  /** ms since 1970. Default: 2026-01-01, and one second more for every command before. */
  readonly now?: number;
  /** Seed of `ctx.random`. Default 1. */
  readonly random?: number;
  /** Subjects that were erased: their sealed values open as undefined, and as null in the reply. */
  readonly erased?: readonly EntityRef[];
}

export interface SentCommand {
  readonly to: EntityRef;
  readonly command: string;
  readonly input: Plain;
  readonly reply?: string;
  readonly context?: Plain;
}

export type SetTimer =
  | { readonly name: string; readonly dueMs: number; readonly command: string; readonly input: Plain }
  | { readonly name: string; readonly dueMs: null };

/** A call that a command made. What is left out of the last three is not looked at. */
export interface MadeCall {
  readonly name: string;
  readonly input: Plain;
  readonly result?: string;
  readonly context?: Plain;
  readonly timeoutMs?: number;
  readonly attempts?: number;
  readonly failure?: CallFailurePlan;
}

/** What must have come of a command. What is left out is not looked at. */
export interface Expected<Entity, Reply> {
  readonly events?: readonly GivenEvent<Entity>[];
  readonly reply?: Reply;
  /** The reason of `ctx.reject`, with or without its details. */
  readonly rejected?: string | { readonly reason: string; readonly details: Plain };
  /** It did not get as far as a decision, or the code threw: `forbidden`, `invalid-input`, `decide-failed`, … */
  readonly failed?: ErrorCode;
  readonly sends?: readonly SentCommand[];
  readonly timers?: readonly SetTimer[];
  readonly calls?: readonly MadeCall[];
  readonly state?: StateOf<Entity>;
}

export type ReplyOf<Entity, Name> = Name extends keyof CommandsOf<Entity> ? ReplyIn<CommandsOf<Entity>, Name> : never;
