/**
 * A feed: one reader's way through the log, in batches, at its own pace. Everything that consumes (pull, SSE, WebSocket, sinks,
 * projections, code in the process) drives one of these.
 *
 * Invariant: a feed holds a bounded number of bytes however far it is behind, and costs nothing while nobody asks.
 */
import type { BatchLimits, FeedAsk, FeedBatch } from "../model/feeds.ts";
import type { EntityRef } from "../model/ids.ts";

export interface Feed {
  /** After everything that was handed out. */
  readonly cursor: string;
  /**
   * The next items. Calls must not overlap.
   * @throws `cursor-lost` records that come next are not kept any more, or the log is not the one the cursor is of
   * @throws `forbidden` the principal may not follow this any more
   * @throws `unavailable` the log, the archive or a shard does not answer, or the feed was closed; ask again
   */
  next(limits: BatchLimits): Promise<FeedBatch>;
  /** What was given of this entity was not taken: the next item of it leads from nothing. Not while `next` is under way. */
  forget(entity: EntityRef): void;
  /** Lets go of what it holds; a `next` that waits ends with an empty batch. Idempotent. */
  close(): void;
}

export interface Feeds {
  /** Name of the service, `source` of its CloudEvents. */
  readonly service: string;
  /**
   * @throws `invalid-input` the ask is no ask; `invalid-cursor` the cursor is none of this service's
   * @throws `unknown-type`, `unknown-view`, `forbidden`
   * @throws `cursor-lost` as `next`
   */
  open(ask: FeedAsk): Promise<Feed>;
}
