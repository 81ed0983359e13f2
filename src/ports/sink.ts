/**
 * A sink: where a durable subscriber's batches go. One adapter per kind of system downstream.
 *
 * The runner calls `open` once, then `deliver` one batch at a time, each after the one before has settled, and `close`.
 * Invariant that a sink keeps: a batch whose `deliver` resolved is durable downstream, whole; one that threw may have
 * arrived whole, in part, or not at all, and comes again with the same items in the same order: `idOf` names each of them
 * for ever, so that a sink which can tell twice from once does.
 */
import type { FeedForm, FeedItem } from "../model/feeds.ts";

export { idOf } from "../model/feeds.ts";

export interface SinkBatch {
  readonly items: readonly FeedItem[];
  /** The cursor before the items, and after them; opaque, and another one for each batch. Batches without items need not be delivered, so `from` may be later than the last. */
  readonly from: string;
  readonly cursor: string;
}

export interface SinkIdentity {
  /** The subscriber's name: sinks keep what they know of it by this name. */
  readonly subscriber: string;
  /** Of this running of the subscriber; only grows. A sink that can, refuses a lower one than it has seen (`fenced`). */
  readonly epoch: number;
  /** Of the service: becomes `source` of CloudEvents. */
  readonly service: string;
}

export interface Sink {
  /** The forms that it can take; left out: all. A subscriber of another form is refused before it starts. */
  readonly forms?: readonly FeedForm[];
  /**
   * Connects. A sink that keeps the cursor together with what it was given (PostgreSQL) returns the cursor it stands at, which
   * then counts and not the subscriber's own, unless that was recorded while the sink stood just there; undefined if it has none.
   * @throws `unavailable` it cannot be reached now; asked again later
   * @throws `invalid-configuration` it can never work like this: the subscriber is parked
   * @throws `fenced` a later running of the subscriber was here: final
   */
  open(identity: SinkIdentity): Promise<string | undefined>;
  /**
   * @throws `unavailable` try again, with the same batch; not before `details.retryAfterMs`, if the receiver gave that
   * @throws `rejected` this batch will never be taken: the subscriber's policy decides (park it, or set it aside)
   * @throws `fenced` a later running of the subscriber was here: final
   * @throws `aborted` the signal ended it; as `unavailable`
   */
  deliver(batch: SinkBatch, signal: AbortSignal): Promise<void>;
  /**
   * Forgets where it stood, so that the next batch may begin anywhere: the subscriber was rewound to this cursor. What was
   * delivered before may come again. Only sinks that keep a cursor need it.
   * @throws `unavailable`, `fenced` as `deliver`
   */
  rewind?(cursor: string): Promise<void>;
  /** Releases connections. Idempotent. */
  close(): Promise<void>;
}
