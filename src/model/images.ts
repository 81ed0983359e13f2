/**
 * Images: what is kept of entities and shards outside the log, in a state store or a snapshot.
 *
 * Invariant: an image is a function of the records below its offset, and says which offset that is. So a copy taken while
 * commands go on is exact: a replay leaves out, entity by entity, the records that an image contains already.
 */

import type { Plain } from "../std/plain.ts";
import type { EntityRef, Epoch, Offset } from "./ids.ts";
import type { Park } from "./marks.ts";
import type { CallBody, CallId, Outcome, SendBody } from "./records.ts";

export interface TimerImage {
  readonly name: string;
  readonly dueMs: number;
  readonly setAt: Offset;
  readonly command: string;
  readonly input: Plain;
}

/** Sends to one other entity that are not settled, the first of them first. */
export interface OutboxImage {
  readonly to: EntityRef;
  /** Of the last send that was made. */
  readonly sequence: number;
  readonly sends: readonly { readonly send: SendBody; readonly at: Offset }[];
}

/** The last send that was received from one other entity. */
export interface InboxImage {
  readonly from: string;
  readonly sequence: number;
  readonly outcome: Outcome;
  readonly at: Offset;
}

/** A call that is not settled. */
export interface CallImage {
  readonly id: CallId;
  readonly body: CallBody;
  /** Recorded time of the record it was made in. */
  readonly madeMs: number;
  /** Offset of the last record about it. */
  readonly touched: Offset;
  /** Attempts that failed, and how many may before it is parked. */
  readonly failed: number;
  readonly allowed: number;
  /** When the next attempt is due, while it waits for one. */
  readonly dueMs: number;
  readonly lastError: string | null;
  readonly parked: boolean;
}

/** One entity: its state and everything else that its records imply. */
export interface EntityImage {
  readonly entity: EntityRef;
  /** Offset of its last record with events. */
  readonly version: Offset;
  /** Offset of its last record: what the image contains. */
  readonly touched: Offset;
  readonly state: Plain;
  readonly timers: readonly TimerImage[];
  readonly outbox: readonly OutboxImage[];
  readonly inbox: readonly InboxImage[];
  readonly calls: readonly CallImage[];
  /** Present if it is parked. */
  readonly parked?: ParkedImage;
}

/**
 * An entity is parked. There is no image of one whose state is not good, nor of one with a poison record that nobody has
 * dealt with: the state before that record is a function of the code as well. Its records must not be trimmed.
 */
export interface ParkedImage {
  /** Offset of its `park` mark. */
  readonly at: Offset;
  readonly sinceMs: number;
  readonly park: Park;
}

/** Request ids of one generation of the dedup window, in the order of their records. */
export interface RequestsImage {
  readonly startMs: number;
  /** 16 bytes each. */
  readonly ids: Uint8Array;
  /** Offsets of their records. */
  readonly offsets: Float64Array;
}

/** What a shard is beside its entities. */
export interface ShardImage {
  /** Every record below it is contained in the images that go with this; a frame begins here. */
  readonly at: Offset;
  /** Chain of the frame that ends there. */
  readonly chain: number | undefined;
  readonly epoch: Epoch;
  /** Recorded time of the last record. */
  readonly timeMs: number;
  readonly requests: readonly RequestsImage[];
}

/** An encoded image, as stores and snapshots carry it. */
export interface StoredImage {
  /** `type/key`. */
  readonly name: string;
  readonly touched: Offset;
  /** The entity has timers, sends or calls, or is parked: it is to be in memory when its shard is served. */
  readonly busy: boolean;
  readonly bytes: Uint8Array;
}
