/**
 * What the owner of a shard holds, and the few operations on it that every part of the core shares.
 *
 * Invariant: `addRecord` is the only way a record gets into the future of the log, and `release` the only way an
 * incarnation ends.
 */
import type { EntityDefinition } from "../model/entity.ts";
import { type EntityRef, type Epoch, type Offset, type ShardId } from "../model/ids.ts";
import type { EntityImage, ShardImage } from "../model/images.ts";
import type { Limits } from "../model/limits.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { CallFailure, Principal, StepRecord } from "../model/records.ts";
import { Queue } from "../std/queue.ts";
import { type Alarms, makeAlarms } from "./alarms.ts";
import { type Dedup, hasRoom, makeDedup } from "./dedup.ts";
import type { Effect } from "./effects.ts";
import { type Gate, makeGate, turnAway } from "./gate.ts";
import { noteChange, slotFrom } from "./image.ts";
import type { Vault } from "./personal.ts";
import { makeRelaxed, type Relaxed } from "./relaxed.ts";
import { makeSlot, type Slot } from "./slot.ts";
import { Slots } from "./slots.ts";
import { makeViews, type Views } from "./watchers.ts";

export type OwnerPhase = "recovering" | "claiming" | "serving" | "draining" | "released";

export interface OwnerOptions {
  readonly shard: ShardId;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  /** Keys the dedup tables' hash; any number, hard to guess. */
  readonly seed: number;
  /** Images of entities that are not in memory. Left out, every entity is and none is ever forgotten. */
  readonly cold?: ColdImages;
  /** Seals and opens personal data. Left out, no entity type may have any. */
  readonly vault?: Vault | undefined;
}

/** Where images are kept. Answers at once; `undefined` means that there is no such entity. */
export type ColdImages = (ref: EntityRef) => ColdImage | undefined;

export interface ColdImage {
  readonly image: EntityImage;
  /** Size of the image as it is stored. */
  readonly bytes: number;
}

/** What a replay begins with, and how far it goes. */
export interface ReplayBounds {
  readonly tail: Offset;
  readonly nowMs: number;
  /** Everything below its offset is contained in the images; left out, the replay begins at the first record. */
  readonly from?: ShardImage;
}

/** The slots that are not as most are. */
export interface Apart {
  /** Slots that are parked. */
  readonly parked: Set<Slot>;
  /** Slots that have calls. */
  readonly calling: Set<Slot>;
}

export interface Owner extends Apart {
  readonly shard: ShardId;
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  phase: OwnerPhase;
  epoch: Epoch;
  durable: Offset;
  cut: Offset;
  tail: Offset;
  /** Recorded time of the last record: `now` never goes below it. */
  timeMs: number;
  /** The log has no space: the batch in flight waits for some, commands are refused. */
  full: boolean;
  /** What the replay runs up to: the log's tail, and the time by which request ids are past their window. */
  replay: ReplayBounds;
  readonly slots: Slots;
  readonly cold: ColdImages | undefined;
  readonly vault: Vault | undefined;
  /** Slots with records that no image contains, in the order they came to be so. */
  readonly dirty: Queue<Slot>;
  /** How often a slot was taken from there and not imaged. */
  withheld: number;
  readonly dedup: Dedup;
  readonly gate: Gate;
  readonly alarms: Alarms;
  readonly views: Views;
  readonly pending: Queue<{ readonly record: StepRecord | MarkRecord; readonly bytes: number }>;
  /** Bytes of the records from `durable` to `tail`, and of those of them that are being appended. */
  pendingBytes: number;
  cutBytes: number;
  /** When the pending records must be cut at the latest; 0 is at once. Infinite if there are none. */
  cutByMs: number;
  readonly relaxed: Relaxed;
  /** Slots of the records from `durable` to `tail`, in order. */
  readonly unsettled: Queue<Slot>;
}

export function makeOwner(options: OwnerOptions, replay: ReplayBounds = { tail: 1, nowMs: 0 }): Owner {
  const { definitions, limits, cold } = options;
  const at = replay.from?.at ?? 1;
  return {
    shard: options.shard,
    definitions,
    limits,
    phase: "recovering",
    epoch: replay.from?.epoch ?? 0,
    durable: at,
    cut: at,
    tail: at,
    timeMs: replay.from?.timeMs ?? 0,
    full: false,
    replay,
    slots: new Slots(cold && ((ref) => activate(definitions, cold, ref))),
    parked: new Set(),
    cold,
    vault: options.vault,
    dirty: new Queue(),
    withheld: 0,
    dedup: makeDedup(limits, options.seed, replay.from?.requests),
    gate: makeGate(),
    alarms: makeAlarms(),
    calling: new Set(),
    views: makeViews(),
    pending: new Queue(),
    pendingBytes: 0,
    cutBytes: 0,
    cutByMs: Number.POSITIVE_INFINITY,
    relaxed: makeRelaxed(),
    unsettled: new Queue(),
  };
}

/** The entity itself: timers and replies to its own sends need no permission. */
export const systemPrincipal: Principal = { kind: "system", id: "holdfast" };
function activate(definitions: Owner["definitions"], cold: ColdImages, ref: EntityRef): Slot | undefined {
  const definition = definitions.get(ref.type);
  const found = definition && cold(ref);
  if (definition === undefined || found === undefined) return undefined;
  const slot = slotFrom(found.image, definition);
  slot.imageBytes = found.bytes;
  return slot;
}

/** Answers everybody who waits at the gate; records, sends and views that wait stay. */
export function refuseWaiting(
  owner: Owner,
  code: "disk-full" | "fenced" | "outcome-unknown",
  detail: string,
  effects: Effect[],
): void {
  const held = turnAway(owner.gate, (effect) => effect.kind !== "reply" && effect.kind !== "recall");
  for (const effect of held) {
    if (effect.kind !== "reply" && effect.kind !== "recall") continue;
    effects.push({ kind: "reply", caller: effect.caller, result: { ok: false, code, detail } });
  }
}

/** Ends this incarnation. Callers are answered; undurable state is dropped with the owner. */
export function release(owner: Owner, reason: "fenced" | "unknown" | "left", effects: Effect[]): void {
  if (owner.phase === "released") return;
  owner.phase = "released";
  const detail = "The shard starts again from its log; send the same request again.";
  refuseWaiting(owner, "outcome-unknown", detail, effects);
  // senders wait for these: their sends were taken in by records that may be dropped with this incarnation
  for (const effect of turnAway(owner.gate, (held) => held.kind !== "settle")) {
    if (effect.kind === "settle") effects.push({ kind: "undelivered", from: effect.from, to: effect.to });
  }
  for (const watcher of owner.views.byToken.keys()) {
    effects.push({ kind: "publish", watcher, news: { ok: false, code: "unavailable", detail } });
  }
  effects.push({ kind: "release", reason, shard: owner.shard });
}

export interface Addition {
  readonly slot: Slot;
  readonly record: StepRecord | MarkRecord;
  readonly bytes: number;
  /** It may wait this long for others to go into the log with it; 0 is not at all. */
  readonly byMs: number;
}

/** Adds a decided record to the log's future. Its state is evolved already. */
export function addRecord(owner: Owner, { slot, record, bytes, byMs }: Addition, effects: Effect[]): void {
  owner.tail++;
  owner.timeMs = record.time;
  slot.waiting++;
  noteChange(owner, slot);
  owner.unsettled.push(slot);
  owner.pending.push({ record, bytes });
  owner.pendingBytes += bytes;
  const changes = record.kind === "step" ? record.events.length > 0 : record.state !== null;
  if (changes && owner.views.byEntity.size > 0) owner.views.dirty.add(slot);
  cutBy(owner, byMs, effects);
}

/** The pending records are wanted in the log by then. */
export function cutBy(owner: Owner, byMs: number, effects: Effect[]): void {
  if (byMs >= owner.cutByMs) return;
  owner.cutByMs = byMs;
  effects.push({ kind: "pending", byMs });
}

export function slotOf(owner: Owner, ref: EntityRef): Slot | undefined {
  return owner.slots.get(ref);
}

/** The slot of an entity, or a fresh one that is not in the owner yet: `keepSlot` puts it there. */
export function slotOrFresh(owner: Owner, ref: EntityRef, definition: EntityDefinition): Slot {
  return slotOf(owner, ref) ?? makeSlot(ref, definition);
}

export function keepSlot(owner: Owner, slot: Slot): void {
  owner.slots.add(slot);
}

/** `now` for a decision: the clock, but never before what was recorded. */
export function recordedNow(owner: Owner, nowMs: number): number {
  return Math.max(owner.timeMs, nowMs);
}

/** A limit that is reached, if one is. */
export function checkRoom(owner: Owner, slot: Slot): CallFailure | undefined {
  const { limits } = owner;
  if (owner.full) return diskFull();
  if (slot.waiting >= limits.mailboxMax)
    return failure("overloaded", `${limits.mailboxMax} commands of this entity wait for the log.`);
  if (owner.tail - owner.durable >= limits.inflightRecordsMax || owner.pendingBytes >= limits.inflightBytesMax) {
    return failure("overloaded", "The shard has as many records waiting for the log as it may.");
  }
  if (!hasRoom(owner.dedup)) return failure("overloaded", "The shard remembers as many request ids as it may.");
  return undefined;
}

export function failure(code: CallFailure["code"], detail: string): CallFailure {
  return { ok: false, code, detail };
}

export function forbidden(): CallFailure {
  return failure("forbidden", "This principal may not do this here.");
}

export function diskFull(): CallFailure {
  return failure("disk-full", "The log has no space. Free some, then send the same request again.");
}
