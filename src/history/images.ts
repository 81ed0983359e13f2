/**
 * Slots as images and back, for looking at the past.
 *
 * Invariant: an image shares nothing with the slot it was made of, so what is done to either leaves the other alone.
 */
import { imageOf as liveImageOf, slotFrom } from "../core/image.ts";
import type { Slot } from "../core/slot.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { EntityImage } from "../model/images.ts";
import { copyPlain, type Plain } from "../std/plain.ts";

/** States have no limit of depth in the log; this one only ends cycles. */
const stateLimits = { depthMax: 1_000, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true };

/** @throws PlainError the state is not plain data */
export function copyState(state: unknown): Plain {
  return copyPlain((state ?? null) as Plain, stateLimits).value;
}

/** @throws PlainError the state is not plain data */
export function imageOf(slot: Slot): EntityImage {
  return { ...liveImageOf(slot), state: copyState(slot.state) };
}

export function slotOfImage(image: EntityImage, definition: EntityDefinition): Slot {
  return slotFrom({ ...image, state: copyState(image.state) }, definition);
}
