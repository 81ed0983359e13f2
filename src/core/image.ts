/**
 * Slots as images and back, and which slots an image is wanted of.
 *
 * Invariants:
 * 1. `slotFrom(imageOf(slot))` is the slot. An image shares the slot's state: it is encoded before the next input.
 * 2. A slot is forgotten only if a store has its image with every record of it, and nothing of the owner points at it.
 */
import type { EntityDefinition } from "../model/entity.ts";
import { type EntityRef, formatRef, type Offset } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { Plain } from "../std/plain.ts";
import { armTimers } from "./alarms.ts";
import type { Effect } from "./effects.ts";
import type { Owner } from "./owner-state.ts";
import { makeSlot, outboxTo, type Slot } from "./slot.ts";

export function imageOf(slot: Slot): EntityImage {
  return {
    entity: slot.ref,
    version: slot.version,
    touched: slot.touched,
    state: slot.state as Plain,
    timers: [...slot.timers.values()],
    outbox: [...slot.outbox.values()].map(({ to, sequence, queue }) => ({ to, sequence, sends: [...queue] })),
    inbox: [...slot.inbox].map(([from, last]) => ({ from, ...last })),
  };
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
  for (let count = 0; count < imagesMax; count++) {
    const slot = owner.dirty.shift();
    if (slot === undefined) return;
    slot.dirty = false;
    effects.push({ kind: "image", image: imageOf(slot) });
  }
}

/** A store has the image of the entity that contains its records up to `touched`. */
export function noteStored(owner: Owner, entity: EntityRef, touched: Offset): void {
  const slot = owner.slots.peek(entity);
  if (slot !== undefined) slot.stored = Math.max(slot.stored, touched);
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
    !owner.views.dirty.has(slot) &&
    !owner.views.byEntity.has(formatRef(slot.ref))
  );
}

/** Brings an entity with timers or sends into memory, before the replay of what its image does not contain. */
export function activateBusy(owner: Owner, entity: EntityRef): void {
  const slot = owner.slots.get(entity);
  if (slot === undefined) return;
  for (const timer of slot.timers.values()) armTimers(owner, slot, [timer], timer.setAt);
}
