/**
 * `holdfast/client`: the typed client, for browsers and Node.
 *
 *     import { connect } from "holdfast/client";
 *     import type { wallet } from "../server/wallet.ts";      // the type only: no server code in the page
 *
 *     const client = connect<{ wallet: typeof wallet }>({ url: "wss://example.org", token: () => fetchToken() });
 *     const { value, version } = await client.entity("wallet", "7").execute("debit", { amount: 5 });
 *
 * Invariant: every error that leaves it is a `HoldfastError` of the catalogue.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Plain } from "../std/plain.ts";
import { openClient } from "./client.ts";
import type { Client, ConnectOptions, EntityMap, RejectionInfo, Untyped } from "./types.ts";

export type { ErrorCode, Recovery } from "../model/errors.ts";
export type { FeedForm, FeedItem, FeedLag } from "../model/feeds.ts";
/** For who reads server-sent events: the value that a delta makes of the one before. */
export { applyPatch, type PatchOperation } from "../std/patch.ts";
export type { Plain } from "../std/plain.ts";
export type { AbsoluteOf, BatchOf, ChangeOf, DeltaOf, FollowAsk, FollowOptions } from "./feed-types.ts";
export type {
  Client,
  ConnectionState,
  ConnectOptions,
  EntityClient,
  ExecuteOptions,
  QueryOptions,
  ReadOptions,
  RejectionInfo,
  Reply,
  StateChange,
  ViewOf,
  ViewUpdate,
  Watch,
  WatchOptions,
  WebSocketConstructor,
  WebSocketLike,
} from "./types.ts";
export { HoldfastError, isHoldfastError };

/**
 * Starts a client. Returns at once; it connects, and connects again, by itself. Calls made meanwhile wait.
 * @throws `invalid-configuration` the URL or an option cannot work
 */
export function connect<Entities extends EntityMap<Entities> = Untyped>(options: ConnectOptions): Client<Entities> {
  return openClient(options) as unknown as Client<Entities>;
}

/** The entity's reason, if that is what the error is: `rejectionOf(error)?.reason === "insufficient-funds"`. */
export function rejectionOf(error: unknown): RejectionInfo | undefined {
  if (!isHoldfastError(error) || error.code !== "rejected") return undefined;
  const { reason, details, version } = error.details ?? {};
  return {
    reason: typeof reason === "string" ? reason : "",
    details: (details ?? null) as Plain,
    version: typeof version === "number" ? version : undefined,
  };
}
