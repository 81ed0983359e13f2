/**
 * The messages of `holdfast.v1`: what a client and the gateway say to each other over a WebSocket.
 *
 * A frame is an array of 1 .. `frameMessagesMax` messages, in msgpack (`holdfast.v1`, binary frames) or JSON
 * (`holdfast.v1.json`, text frames); both have the same shape. The first message of a connection is `hello`. Every
 * command, query, subscription and feed carries an id chosen by the client and is answered by messages with that id.
 *
 * A feed is followed by credit: the server sends at most as many items as the client has said it will take.
 *
 * Versions of the wire, a line each:
 * - v1: first. Feeds (`follow`, `credit`, `unfollow`, `items`) came later; a server without them answers `invalid-frame`.
 *   So did `consistency` and `lagMs` of a query; a server without them answers `invalid-frame`.
 *   Then `doors` and `leaving`, which clients from before do not know and leave out.
 */
import type { ErrorCode } from "../model/errors.ts";
import type { FeedFilter, FeedForm, FeedItem, FeedLag } from "../model/feeds.ts";
import type { Offset } from "../model/ids.ts";
import type { LocalAnswer } from "../model/records.ts";
import type { PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";

export const subprotocol = { msgpack: "holdfast.v1", json: "holdfast.v1.json" } as const;

/** Close codes, beside those of RFC 6455. */
export const closeCode = {
  consent: 4000,
  /** Reconnect now, here or elsewhere. */
  shuttingDown: 4001,
  badFrame: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  handshakeTimeout: 4408,
  tooSlow: 4429,
} as const;

export type FollowStart = "beginning" | "now" | { readonly cursor: string } | { readonly timeMs: number };

export type ClientMessage =
  | { readonly t: "hello"; readonly token?: string }
  | {
      readonly t: "command";
      /** Request id, UUIDv7; the same on every retry. */
      readonly id: string;
      readonly type: string;
      readonly key: string;
      readonly name: string;
      readonly input?: Plain;
      readonly ifVersion?: Offset;
    }
  | {
      readonly t: "query";
      /** 1 .. 2^53 - 1, not in use on this connection. */
      readonly id: number;
      readonly type: string;
      readonly key: string;
      readonly name: string;
      readonly input?: Plain;
      /** The node that is asked may answer from its copy, if that is at most `lagMs` behind. */
      readonly consistency?: "local";
      readonly lagMs?: number;
    }
  | {
      readonly t: "subscribe";
      readonly id: number;
      readonly type: string;
      readonly key: string;
      readonly view: string;
      /** The version the client holds: it gets the deltas since, or an absolute if they are gone. */
      readonly from?: Offset;
      /** Which running of the server that version came from (`welcome.run`); versions of views are compared only within it. */
      readonly run?: string;
    }
  | { readonly t: "unsubscribe"; readonly id: number }
  | {
      readonly t: "follow";
      /** As a query's. */
      readonly id: number;
      readonly form: FeedForm;
      readonly filter?: FeedFilter;
      /** Absolutes and deltas: of this view instead of the whole state. */
      readonly view?: string;
      readonly start: FollowStart;
      /** Items that the client takes before it says more: 1 .. `feedCreditMax`. */
      readonly credit: number;
      /** Items in one batch, at most: 1 .. `feedStreamItemsMax`, which is the default. */
      readonly limit?: number;
      /** After a first item: how long to wait for more, ms. Default 0. */
      readonly lingerMs?: number;
    }
  /** So many items more. What is allowed ahead stays within `feedCreditMax`. */
  | { readonly t: "credit"; readonly id: number; readonly items: number }
  | { readonly t: "unfollow"; readonly id: number }
  /** A new token for the same principal; replaces the one of `hello`. */
  | { readonly t: "refresh"; readonly token: string }
  | { readonly t: "ping" };

export type ServerMessage =
  | {
      readonly t: "welcome";
      /** The server's clock, ms since 1970: clients correct request ids and deadlines with it. */
      readonly now: number;
      readonly run: string;
      readonly principal: { readonly kind: string; readonly id: string };
      readonly limits: {
        readonly frameBytesMax: number;
        readonly frameMessagesMax: number;
        readonly frameValuesMax: number;
        readonly inflightPerConnectionMax: number;
      };
    }
  | {
      readonly t: "reply";
      readonly id: string | number;
      readonly version: Offset;
      readonly value: Plain;
      /** Of a relaxed command: it is not on disk yet. */
      readonly durable?: false;
      /** Of a query that a copy answered: up to where it goes, and how old it may be. */
      readonly local?: LocalAnswer;
    }
  | {
      readonly t: "error";
      /** Absent when the fault is the frame's, not one message's. */
      readonly id?: string | number;
      readonly code: ErrorCode;
      readonly detail: string;
      readonly reason?: string;
      readonly details?: Plain;
      readonly version?: Offset;
      /** Of a relaxed command that was rejected: the record of that is not on disk yet. */
      readonly durable?: false;
      readonly retryAfterMs?: number;
    }
  | { readonly t: "absolute"; readonly id: number; readonly version: Offset; readonly value: Plain }
  /** Changes the view at version `from` into that at `version`; RFC 6902 operations, in msgpack as rows (`patch-rows.ts`). */
  | {
      readonly t: "delta";
      readonly id: number;
      readonly from: Offset;
      readonly version: Offset;
      readonly patch: readonly PatchOperation[];
    }
  /**
   * Items of a feed, in order. The one with `cursor` ends a batch: who resumes there misses nothing and gets nothing twice. A batch
   * without items says how far the feed is; the first one comes at once.
   */
  | {
      readonly t: "items";
      readonly id: number;
      readonly items: readonly FeedItem[];
      readonly cursor?: string;
      /** With the cursor of a batch. */
      readonly lag?: FeedLag;
    }
  /** The subscription or feed is over; asking for it again is up to the client (and to `code`). */
  | { readonly t: "ended"; readonly id: number; readonly code: ErrorCode; readonly detail: string }
  /**
   * Where else this service can be reached: addresses (`http:`, `https:`) of all doors, this one's among them; 0 ..
   * `doorsToldMax`. After the welcome, and again when they change. What was told before is forgotten.
   */
  | { readonly t: "doors"; readonly doors: readonly string[] }
  /**
   * This door stops: what is in flight is answered, nothing more is taken (`unavailable`), and the connection is closed with 4001
   * as soon as nothing is in flight on it. Better not wait: what is unanswered may be asked again elsewhere, with the same id.
   */
  | { readonly t: "leaving" }
  | { readonly t: "pong"; readonly now: number };
