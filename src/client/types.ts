/**
 * The public types of the client: what a page or a service sees of Holdfast.
 *
 * Invariant: names, inputs, replies and views are inferred from entity definitions of which only the *types* are used
 * (`import type`), so no server code gets into a page.
 */
import type { AnyEntity } from "../model/entity.ts";
import type { HoldfastError } from "../model/errors.ts";
import type { FeedForm } from "../model/feeds.ts";
import type { Offset } from "../model/ids.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import type { BatchOf, FollowOptions, ItemOf, TypedAsk } from "./feed-types.ts";

/** Entity types by name: `{ wallet: typeof wallet; table: typeof table }`. Each stands under its own name. */
export type EntityMap<Entities> = { readonly [Name in keyof Entities]: AnyEntity & { readonly name: Name } };

/** Stands in where the definitions are not known to the compiler: every name goes, values are `unknown`. */
export interface Untyped {
  readonly [type: string]: AnyEntity & {
    readonly types?: {
      readonly commands: { readonly [name: string]: { readonly input: unknown; readonly reply: unknown } };
      readonly queries: { readonly [name: string]: { readonly input: unknown; readonly reply: unknown } };
      readonly views: { readonly [name: string]: unknown };
      readonly state: unknown;
      readonly events: { readonly [name: string]: unknown };
    };
  };
}

type Types<Entity> = Entity extends { readonly types?: infer Shapes } ? NonNullable<Shapes> : never;
type Member<Shapes, Part extends string> = Shapes extends { readonly [Name in Part]: infer Members } ? Members : never;
type InputIn<Members, Name extends keyof Members> = Members[Name] extends { readonly input: infer Input }
  ? Input
  : never;
type ReplyIn<Members, Name extends keyof Members> = Members[Name] extends { readonly reply: infer Reply }
  ? Reply
  : never;

export type CommandsOf<Entity> = Member<Types<Entity>, "commands">;
export type QueriesOf<Entity> = Member<Types<Entity>, "queries">;
export type ViewsOf<Entity> = Member<Types<Entity>, "views">;
/** What the view `Name` of an entity shows: `ViewOf<typeof table, "seat">`. */
export type ViewOf<Entity, Name extends keyof ViewsOf<Entity>> = ViewsOf<Entity>[Name];

/** The parameters after the name: input only where there is one. */
type Parameters<Input, Options> = undefined extends Input
  ? [input?: Input | undefined, options?: Options]
  : [input: Input, options?: Options];

/** What came back, and the entity's version (its last offset) that it rests on. */
export interface Reply<Value> {
  readonly value: Value;
  readonly version: Offset;
  /** Absent, or false: a relaxed command was answered before it was on disk. A crash within its window takes it back. */
  readonly durable?: false;
  /** Of a query that a copy answered: it has the shard's records before `offset`, which were all there were `lagMs` ago or later. */
  readonly local?: { readonly offset: Offset; readonly lagMs: number };
}

export interface QueryOptions {
  /** Cancels: the promise is rejected with `aborted`. */
  readonly signal?: AbortSignal;
  /** From now to the answer, all attempts together. Default: `timeoutMs` of `connect`. */
  readonly timeoutMs?: number;
}

export interface ReadOptions extends QueryOptions {
  /**
   * `local`: in a cluster the node that is asked may answer from its copy, if that is at most `lagMs` behind (default 1,000). Else it says
   * `unavailable`, and is asked again for as long as there is time. Default `consistent`: the owner answers.
   */
  readonly consistency?: "consistent" | "local";
  readonly lagMs?: number;
}

export interface ExecuteOptions extends QueryOptions {
  /**
   * UUIDv7 of about now (`client.requestId()` makes one). Give it to repeat a command of which you do not know whether it
   * was carried out: it is carried out once. Default: a new one, kept on every retry.
   */
  readonly requestId?: string;
  /** Refused with `version-mismatch` unless the entity is at this version. */
  readonly ifVersion?: Offset;
}

/** A view as it is now. `value` shares with the one before what did not change; do not change it. */
export interface ViewUpdate<View> {
  readonly value: View;
  readonly version: Offset;
  /** What changed since the update before. Absent on the first, and where an iterator skipped some. */
  readonly patch?: readonly PatchOperation[];
}

export interface WatchOptions {
  /** Stops the watch. */
  readonly signal?: AbortSignal;
  /** The watch is over and will not come back: forbidden, no such view, client closed. */
  readonly onEnded?: (error: HoldfastError) => void;
}

/** A running watch. */
export interface Watch<View> extends Disposable {
  /** The newest update; undefined until the first has come. Stays while the connection is down. */
  readonly current: ViewUpdate<View> | undefined;
  /** Why no updates come at the moment, if the server said so; it is tried again. */
  readonly problem: HoldfastError | undefined;
  stop(): void;
}

/** One entity, as a client reaches it. Cheap: making one sends nothing. */
export interface EntityClient<Entity> {
  readonly type: string;
  readonly key: string;
  /**
   * Runs a command. Resolved means it is on disk, unless the reply says `durable: false`. Retried by itself, with one request id, so it is carried out at most
   * once. Commands that are not awaited one by one may be carried out in another order when a retry comes between.
   * @throws `rejected` the entity said no (see `rejectionOf`); nothing was changed
   * @throws `outcome-unknown` no answer in time; it may have been carried out. `details.requestId` repeats it safely
   * @throws `disconnected`, `overloaded`, `unavailable`, … not in time, and it was not carried out
   * @throws `aborted` the signal; `details.sent` tells whether it may have been carried out
   */
  execute<Name extends keyof CommandsOf<Entity> & string>(
    name: Name,
    ...rest: Parameters<InputIn<CommandsOf<Entity>, Name>, ExecuteOptions>
  ): Promise<Reply<ReplyIn<CommandsOf<Entity>, Name>>>;
  /** Asks the owner; never older than any reply that was given before, unless `consistency` is `local`. */
  query<Name extends keyof QueriesOf<Entity> & string>(
    name: Name,
    ...rest: Parameters<InputIn<QueriesOf<Entity>, Name>, ReadOptions>
  ): Promise<Reply<ReplyIn<QueriesOf<Entity>, Name>>>;
  /**
   * Follows a view: `listener` gets it at once and after every change, across reconnections. Watches of one view share
   * one subscription.
   */
  watch<Name extends keyof ViewsOf<Entity> & string>(
    view: Name,
    listener: (update: ViewUpdate<ViewsOf<Entity>[Name]>) => void,
    options?: WatchOptions,
  ): Watch<ViewsOf<Entity>[Name]>;
  /** `watch` as an iterator. Newest wins: who reads slowly skips updates, nothing piles up. Throws where `onEnded` would be called. */
  updates<Name extends keyof ViewsOf<Entity> & string>(
    view: Name,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterableIterator<ViewUpdate<ViewsOf<Entity>[Name]>>;
}

/**
 * - `connecting` a socket is being opened, or its greeting is awaited
 * - `open`       commands go out
 * - `waiting`    the connection is down; the next attempt comes in `retryInMs`. Commands wait
 * - `closed`     for good: `close()`, the signal, or the server refused us (`error` says why)
 */
export type ConnectionState = "connecting" | "open" | "waiting" | "closed";

export interface StateChange {
  readonly state: ConnectionState;
  /** What brought it down, when it is down. */
  readonly error?: HoldfastError;
  /** In state `waiting`. */
  readonly retryInMs?: number;
}

export interface Client<Entities> extends AsyncDisposable {
  readonly state: ConnectionState;
  /** The door that the connection is open to; undefined while there is none. */
  readonly door: string | undefined;
  /** Who the server takes us for; undefined before the first greeting. */
  readonly principal: { readonly kind: string; readonly id: string } | undefined;
  entity<Type extends keyof Entities & string>(type: Type, key: string): EntityClient<Entities[Type]>;
  /**
   * Follows what happens in the service, batch by batch, in the order of each shard, across reconnections: nothing is missed and
   * nothing comes twice. Who reads slowly slows down nobody: the server sends as much as is read.
   * @throws (in the iteration) `forbidden`, `cursor-lost`, `invalid-cursor`, `unknown-type`, …, or what closed the client
   */
  feed<Type extends keyof Entities & string, const Form extends FeedForm, const View = undefined>(
    ask: TypedAsk<Type, Form, View>,
    options?: FollowOptions,
  ): AsyncIterableIterator<BatchOf<ItemOf<Entities, Type, Form, View>>>;
  /** Calls back on every change of `state`. Returns a function that stops it. */
  onState(listener: (change: StateChange) => void): () => void;
  /** Resolves when the connection is open. @throws the error that closed it for good, or `aborted` */
  opened(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** The server's clock, ms since 1970, as well as we know it. For deadlines that the server sets. */
  now(): number;
  /** A new request id of now, by the server's clock. */
  requestId(): string;
  /** Asks `token` again and hands it to the server on the open connection (before the old one expires). */
  refresh(): Promise<void>;
  /** Ends at once: what was sent and is unanswered is rejected with `outcome-unknown`, the rest with `disconnected`. */
  close(): Promise<void>;
}

/** The part of the standard WebSocket that the client uses. */
export interface WebSocketLike {
  binaryType: string;
  readonly bufferedAmount: number;
  readonly protocol: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

export interface ConnectOptions {
  /**
   * `wss://host/v1/socket` or wherever a door of the service is; `https:` and `http:` are taken for `wss:` and `ws:`. Of
   * several any one that lives is enough: the client goes from one to another by itself.
   */
  readonly url: string | readonly string[];
  /** Doors that a server tells of are taken into account. Never unsecured ones by who was given secured ones. Default true. */
  readonly learnDoors?: boolean;
  /**
   * Where there is another door: how long the present one may say nothing while something is waited for, before the client
   * goes on to the next. Slow lines get more by themselves. At least 20; default 1,000.
   */
  readonly silenceMs?: number;
  /** Shown to the server in the greeting. A function is asked for every connection, and once more when it was refused. */
  readonly token?: string | (() => string | Promise<string>);
  /** Of the frames. JSON is for people who look at them. Default `msgpack`. */
  readonly encoding?: "msgpack" | "json";
  /** For calls that give none. Default 30,000. */
  readonly timeoutMs?: number;
  /** Closes the client. */
  readonly signal?: AbortSignal;
  /** Default: the platform's. */
  readonly WebSocket?: WebSocketConstructor;
  /** Time and chance; for tests. */
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Why an entity said no. */
export interface RejectionInfo {
  readonly reason: string;
  readonly details: Plain;
  readonly version: Offset | undefined;
}
