/**
 * Slots as images and back, for looking at the past.
 *
 * Invariant: an image shares nothing with the slot it was made of, so what is done to either leaves the other alone.
 */
import { makeSlot, outboxTo, type Slot } from "../core/slot.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { EntityImage } from "../model/images.ts";
import { copyPlain, type Plain } from "../std/plain.ts";

/** States have no limit of depth in the log; this one only ends cycles. */
const stateLimits = { depthMax: 1_000, bytesMax: Number.MAX_SAFE_INTEGER };

/** @throws PlainError the state is not plain data */
export function copyState(state: unknown): Plain {
  return copyPlain((state ?? null) as Plain, stateLimits).value;
}

/** @throws PlainError the state is not plain data */
export function imageOf(slot: Slot): EntityImage {
  return {
    entity: slot.ref,
    version: slot.version,
    touched: slot.touched,
    state: copyState(slot.state),
    timers: [...slot.timers.values()].map(({ name, dueMs, setAt, command, input }) => ({
      name,
      dueMs,
      setAt,
      command,
      input,
    })),
    outbox: [...slot.outbox.values()].map(({ to, sequence, queue }) => ({ to, sequence, sends: [...queue] })),
    inbox: [...slot.inbox].map(([from, { sequence, outcome, at }]) => ({ from, sequence, outcome, at })),
  };
}

export function slotOfImage(image: EntityImage, definition: EntityDefinition): Slot {
  const slot = makeSlot(image.entity, definition);
  slot.state = copyState(image.state);
  slot.version = image.version;
  slot.touched = image.touched;
  for (const timer of image.timers) slot.timers.set(timer.name, timer);
  for (const { to, sequence, sends } of image.outbox) {
    const outbox = outboxTo(slot, to);
    outbox.sequence = sequence;
    for (const send of sends) outbox.queue.push(send);
    slot.outboxSize += sends.length;
  }
  for (const { from, ...received } of image.inbox) slot.inbox.set(from, received);
  return slot;
}
