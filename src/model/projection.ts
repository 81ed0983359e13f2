/**
 * What an application author writes of a projection: documents that are folded from the changes of entities, and
 * `defineProjection`. A leaderboard of players from the hands that tables played is one.
 *
 * Invariant: a projection is a function of the changes and of nothing else, so it may be thrown away and built again. Changes
 * of one entity come in their order, those of several in any: a document that is made of several entities must not depend
 * on who came first (sums, counts, the highest, the newest by `timeMs`).
 */
import type { Plain } from "../std/plain.ts";
import type { AnyEntity, EntityDefinition } from "./entity.ts";
import type { markEvents } from "./feeds.ts";
import type { Offset, ShardId } from "./ids.ts";
import { checkProjection } from "./projection-check.ts";
import type { Principal } from "./records.ts";

/** What a change says beside its payload. */
export interface ChangeFacts {
  /** Entity type and key of the entity that changed. */
  readonly type: string;
  readonly key: string;
  readonly event: string;
  /** With `index`, names the change for ever. */
  readonly shard: ShardId;
  readonly offset: Offset;
  readonly index: number;
  /** Recorded time, ms since 1970. */
  readonly timeMs: number;
}

/** What a function of `on` is told: the change, and the key of the document that it was given. */
export interface ProjectionChange extends ChangeFacts {
  readonly documentKey: string;
}

/** The types that a definition carries. */
type TypesOf<Entity> = Entity extends { readonly types?: infer Types } ? NonNullable<Types> : never;
type EventsOf<Entity> = TypesOf<Entity> extends { readonly events: infer Events } ? Events : never;
type StateOf<Entity> = TypesOf<Entity> extends { readonly state: infer State } ? State : never;

/** A change with its payload, told apart by `type` and `event`. */
export type ChangeOf<From extends readonly AnyEntity[]> = {
  [Index in keyof From]: From[Index] extends { readonly name: infer Type }
    ? {
        [Event in keyof EventsOf<From[Index]> & string]: Omit<ChangeFacts, "type" | "event"> & {
          readonly type: Type;
          readonly event: Event;
          readonly payload: EventsOf<From[Index]>[Event];
        };
      }[keyof EventsOf<From[Index]> & string]
    : never;
}[number];

/**
 * Changes the document in place; null takes it away. Synchronous and pure. Runs again whenever the projection is built again.
 */
export type Fold<Document, Payload> = (
  document: Document,
  payload: Payload,
  change: ProjectionChange,
  // biome-ignore lint: `void` lets a fold end without a return statement
) => void | null;

type PayloadOf<Entity, Event> = Event extends "@state-set"
  ? StateOf<Entity>
  : Event extends keyof EventsOf<Entity>
    ? EventsOf<Entity>[Event]
    : Plain;

type FoldsOf<Entity, Document> = {
  readonly [Event in (keyof EventsOf<Entity> & string) | (typeof markEvents)[number]]?: Fold<
    Document,
    PayloadOf<Entity, Event>
  >;
};

export type Folds<From extends readonly AnyEntity[], Document> = {
  readonly [Type in From[number]["name"]]?: FoldsOf<Extract<From[number], { readonly name: Type }>, Document>;
};

/** What somebody wants to read: one document, or the first ones of an order. */
export interface ProjectionVerb {
  readonly kind: "document" | "list";
  /** Of the document. */
  readonly key: string | undefined;
  /** Of the list. */
  readonly order: string | undefined;
}

export interface ProjectionOptions<From extends readonly AnyEntity[], Document> {
  /** Definitions of the entities whose changes it takes. Write it first: the payloads infer from them. */
  readonly from: From;
  /**
   * Raise it when the same changes make other documents by what the text of the functions does not show (a helper, a
   * constant, a library). Another version, or another text, is built anew beside the old one. Default 1.
   */
  readonly version?: number;
  /** The document before its first change. */
  readonly document: (key: string) => Document;
  /** Which documents a change goes to; undefined: none. Default: the one with the entity's key. Keys are those of entities. */
  readonly key?: (change: ChangeOf<From>) => string | readonly string[] | undefined;
  readonly on: Folds<From, Document>;
  /** Orders that lists may have, by name; the highest first. The first one is the default. Without any, lists are by key. */
  readonly orderBy?: { readonly [name: string]: (document: Document) => number };
  /** Who may read. Without it nobody may. */
  readonly access?: (principal: Principal, verb: ProjectionVerb) => boolean;
}

/** A projection as the rest of the code uses it, without the author's types. */
export interface ProjectionDefinition {
  readonly name: string;
  readonly version: number;
  /** Some of its documents may hold sealed values. */
  readonly personal: boolean;
  readonly from: ReadonlyMap<string, EntityDefinition>;
  readonly document: (key: string) => unknown;
  readonly key: (change: ChangeFacts & { readonly payload: unknown }) => string | readonly string[] | undefined;
  /** By entity type, by event. */
  readonly on: ReadonlyMap<string, ReadonlyMap<string, Fold<unknown, unknown>>>;
  readonly orderBy: ReadonlyMap<string, (document: unknown) => number>;
  readonly access: (principal: Principal, verb: ProjectionVerb) => boolean;
}

/** With the author's types, which exist only for the compiler. */
export interface TypedProjection<Name extends string, Document> extends ProjectionDefinition {
  readonly name: Name;
  /** Never set; carries the type. */
  readonly types?: { readonly document: Document };
}

/**
 * Defines a projection.
 * @param name lower case letters, digits and dashes; stands in URLs and in the store, so it may never change
 * @throws `invalid-definition` it cannot work; the message says why and what to do
 */
export function defineProjection<
  const Name extends string,
  const From extends readonly AnyEntity[],
  Document extends object,
>(name: Name, options: ProjectionOptions<From, Document>): TypedProjection<Name, Document> {
  return checkProjection(
    name,
    options as unknown as ProjectionOptions<readonly AnyEntity[], unknown>,
  ) as TypedProjection<Name, Document>;
}
