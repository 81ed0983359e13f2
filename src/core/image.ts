/**
 * Slots as images and back, and which slots an image is wanted of.
 *
 * Invariants:
 * 1. `slotFrom(imageOf(slot))` is the slot. An image shares the slot's state: it is encoded before the next input.
 * 2. A slot is forgotten only if a store has its image with every record of it, and nothing of the owner points at it.
 */

import type { EntityDefinition } from "../model/entity.ts";
import { assert } from "../model/errors.ts";
import { type EntityRef, formatRef } from "../model/ids.ts";
import type { EntityImage, ParkedImage } from "../model/images.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import { armTimers } from "./alarms.ts";
import { trackCalls } from "./call-start.ts";
import { callFrom, callName, imageOfCall } from "./call-state.ts";
import type { Effect, Input } from "./effects.ts";
import type { Owner } from "./owner-state.ts";
import { makeSlot, outboxTo, type Parked, type Slot } from "./slot.ts";

export function imageOf(slot: Slot): EntityImage {
  return {
    entity: slot.ref,
    version: slot.version,
    touched: slot.touched,
    state: slot.state as Plain,
    timers: [...slot.timers.values()],
    outbox: [...slot.outbox.values()].map(({ to, sequence, queue }) => ({ to, sequence, sends: [...queue] })),
    inbox: [...slot.inbox].map(([from, last]) => ({ from, ...last })),
    calls: [...slot.calls.values()].map(imageOfCall),
    ...(slot.parked === undefined ? {} : { parked: parkedImage(slot.parked) }),
  };
}

/** States have no limit of depth in the log; this one only ends cycles. */
const stateLimits = { depthMax: 1_000, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

/** @throws PlainError the state is not plain data */
export function copyState(state: unknown): Plain {
  return copyPlain((state ?? null) as Plain, stateLimits).value;
}

/** The image with a state of its own: what is done to it or to the slot leaves the other alone. @throws PlainError */
export function apart(image: EntityImage): EntityImage {
  return { ...image, state: copyState(image.state) };
}

function parkedImage({ at, sinceMs, park }: Parked): ParkedImage {
  return { at, sinceMs, park };
}

/**
 * An image may be made of the slot. What is half of something has none, nor what the code cannot evolve further: the state
 * of that is not a function of its records alone. Its shard is not stamped meanwhile, and its records are not trimmed.
 */
function isWhole({ parked }: Slot): boolean {
  return parked === undefined || (parked.good && !parked.stuck);
}

/** Every entity of the shard can have an image. */
export function allWhole(owner: Owner): boolean {
  for (const slot of owner.parked) if (!isWhole(slot)) return false;
  return true;
}

export function slotFrom(image: EntityImage, definition: EntityDefinition): Slot {
  const slot = makeSlot(image.entity, definition);
  slot.state = image.state;
  slot.version = image.version;
  slot.touched = slot.stored = image.touched;
  for (const timer of image.timers) slot.timers.set(timer.name, timer);
  for (const { to, sequence, sends } of image.outbox) {
    const outbox = outboxTo(slot, to);
    outbox.sequence = sequence;
    for (const send of sends) outbox.queue.push(send);
    slot.outboxSize += sends.length;
  }
  for (const { from, ...last } of image.inbox) slot.inbox.set(from, last);
  for (const call of image.calls) slot.calls.set(callName(call.id), callFrom(call));
  if (image.parked !== undefined) {
    const { version } = image;
    slot.parked = { ...image.parked, good: true, below: image.parked.at, stuck: false, version };
  }
  return slot;
}

/** The slot has a record that no image has. */
export function noteChange(owner: Owner, slot: Slot): void {
  if (slot.dirty || owner.cold === undefined) return;
  slot.dirty = true;
  owner.dirty.push(slot);
}

/** Gives images of the slots that changed first, `imagesMax` at most. They rest on records up to their `touched`. */
export function collectImages(owner: Owner, imagesMax: number, effects: Effect[]): void {
  for (let count = 0; count < imagesMax; ) {
    const slot = owner.dirty.shift();
    if (slot === undefined) return;
    slot.dirty = false;
    // It comes back when it is made whole.
    if (!isWhole(slot)) {
      owner.withheld++;
      continue;
    }
    effects.push({ kind: "image", image: imageOf(slot) });
    count++;
  }
}

/** A store has the image of the entity that contains its records up to `touched`. */
export function noteStored(owner: Owner, { entity, touched, bytes }: Extract<Input, { kind: "stored" }>): void {
  const slot = owner.slots.peek(entity);
  if (slot === undefined) return;
  slot.stored = Math.max(slot.stored, touched);
  owner.slots.resize(slot, bytes);
}

/** The image that was collected is lost. */
export function noteUnstored(owner: Owner, entity: EntityRef): void {
  const slot = owner.slots.peek(entity);
  if (slot !== undefined) noteChange(owner, slot);
}

/** Forgets up to `count` slots that were not used of late and that the store has. */
export function evictSlots(owner: Owner, count: number): void {
  owner.slots.evict(count, (slot) => isQuiet(owner, slot));
}

function isQuiet(owner: Owner, slot: Slot): boolean {
  return (
    !slot.dirty &&
    slot.waiting === 0 &&
    slot.stored === slot.touched &&
    slot.timers.size === 0 &&
    slot.outboxSize === 0 &&
    slot.parked === undefined &&
    slot.calls.size === 0 &&
    !owner.views.dirty.has(slot) &&
    !owner.views.byEntity.has(formatRef(slot.ref))
  );
}

/**
 * Brings an entity with timers, sends or calls, or one that is parked, into memory, before the replay of what its image
 * does not contain.
 */
export function activateBusy(owner: Owner, entity: EntityRef): void {
  assert(owner.phase === "recovering", "entities are activated before the replay");
  const slot = owner.slots.get(entity);
  if (slot === undefined) return;
  if (slot.parked !== undefined) owner.parked.add(slot);
  for (const timer of slot.timers.values()) armTimers(owner, slot, [timer], timer.setAt);
  trackCalls(owner, slot);
}
