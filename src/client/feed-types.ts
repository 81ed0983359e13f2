/**
 * The types of feeds as a client reads them.
 *
 * Invariant: names of events and views, payloads and states are inferred from the definitions of which only the types are used.
 */
import type { AbsoluteItem, ChangeItem, DeltaItem, FeedBatch, FeedFilter, FeedForm } from "../model/feeds.ts";
import type { Plain } from "../std/plain.ts";
import type { FollowStart } from "../wire/protocol.ts";
import type { ViewsOf } from "./types.ts";

/** What a client asks of a feed. All parts of the filter must fit. */
export interface FollowAsk {
  readonly form: FeedForm;
  readonly filter?: FeedFilter;
  /** Absolutes and deltas: of this view instead of the whole state. */
  readonly view?: string;
  /** `beginning`, `now`, `{ cursor }` of a batch, or `{ timeMs }`. Default `beginning`. */
  readonly start?: FollowStart;
}

export interface FollowOptions {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /** Items that may wait to be read; the server sends no more. 1 .. 65,536. Default 4,096. */
  readonly itemsAhead?: number;
  /** Items in one batch, at most. Default and most: 256. */
  readonly limit?: number;
  /** After a first item: how long the server waits for more, ms. Default 0. */
  readonly lingerMs?: number;
}

type Part<Entity, Name extends string> = Entity extends { readonly types?: infer Shapes }
  ? NonNullable<Shapes> extends { readonly [Each in Name]: infer Found }
    ? Found
    : never
  : never;

type Head<Item, Type extends string> = Omit<Item, "entity" | "event" | "payload" | "value"> & {
  readonly entity: { readonly type: Type; readonly key: string };
};

type EventOf<Entity, Type extends string> = {
  [Name in keyof Part<Entity, "events"> & string]: Head<ChangeItem, Type> & {
    readonly event: Name;
    readonly payload: Part<Entity, "events">[Name];
  };
}[keyof Part<Entity, "events"> & string];

/** A change that no command made: an operator set the state, or personal data were erased. */
type MarkOf<Type extends string> = Head<ChangeItem, Type> & {
  readonly event: "@state-set" | "@erased";
  readonly payload: Plain;
};

/** One event of entities of the type `Type`. Of another version than the present code's it has the shape it was recorded with. */
export type ChangeOf<Entities, Type extends keyof Entities & string> = {
  [Each in Type]: EventOf<Entities[Each], Each> | MarkOf<Each>;
}[Type];

export type AbsoluteOf<Entities, Type extends keyof Entities & string, View = undefined> = {
  [Each in Type]: Head<AbsoluteItem, Each> & {
    readonly value: View extends keyof ViewsOf<Entities[Each]>
      ? ViewsOf<Entities[Each]>[View]
      : Part<Entities[Each], "state">;
  };
}[Type];

export type DeltaOf<Type extends string> = Head<DeltaItem, Type>;

export type ItemOf<Entities, Type extends keyof Entities & string, Form extends FeedForm, View> = Form extends "changes"
  ? ChangeOf<Entities, Type>
  : Form extends "absolutes"
    ? AbsoluteOf<Entities, Type, View>
    : AbsoluteOf<Entities, Type, View> | DeltaOf<Type>;

/** Whoever keeps `cursor` has acknowledged the batch as a whole. A batch without items says how far the feed is. */
export type BatchOf<Item> = Omit<FeedBatch, "items"> & { readonly items: readonly Item[] };

export type TypedAsk<Type extends string, Form extends FeedForm, View> = Omit<FollowAsk, "form" | "filter" | "view"> & {
  readonly form: Form;
  readonly filter?: Omit<FeedFilter, "types"> & { readonly types?: readonly Type[] };
  readonly view?: View & string;
};
