/**
 * What `inspect` of a parked entity gave, run again on another machine against the code that is there.
 *
 * Invariant: it runs on a copy in memory. A command is decided and evolved by the core as on a node, with the principal and the
 * time it had; chance is another. Events of a replay are evolved one by one.
 */
import { apart, copyState, slotFrom } from "../core/image.ts";
import { evolveStored } from "../core/slot.ts";
import type { Chance, EntityDefinition } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import { type EntityRef, isKey, isTypeName, type Offset } from "../model/ids.ts";
import type { EntityImage } from "../model/images.ts";
import type { Captured } from "../model/marks.ts";
import { diff, type PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { type Fork, forkEntity } from "./fork.ts";

export interface Capture {
  readonly entity: EntityRef;
  readonly version: Offset;
  readonly why: string | null;
  readonly error: string | null;
  /** The last good state. */
  readonly state: Plain;
  readonly captured: Captured;
}

export interface EvolvedEvents {
  readonly before: Plain;
  readonly after: Plain;
  readonly patch: readonly PatchOperation[];
  /** What was thrown, and at which event. */
  readonly failed: { readonly event: string; readonly error: string } | undefined;
}

export type CaptureReplayed =
  | { readonly kind: "command"; readonly fork: Fork }
  | { readonly kind: "events"; readonly evolved: EvolvedEvents };

/** What `inspect` gave, with its form checked. @throws `invalid-input` it cannot be run */
export function readCapture(value: unknown): Capture {
  if (typeof value !== "object" || value === null) throw refused("is not what `holdfast quarantine show --out` writes");
  const { type, key, version, why, error, state, captured } = value as Record<string, unknown>;
  if (!isTypeName(type) || !isKey(key) || typeof version !== "number")
    throw refused("is not what `holdfast quarantine show --out` writes");
  if (state === null || state === undefined)
    throw refused("has no state: it was not rebuilt yet when the entity was inspected; inspect it again");
  if (typeof captured !== "object" || captured === null)
    throw refused("has no command: the entity was parked for its state alone");
  const text = (one: unknown) => (typeof one === "string" ? one : null);
  return {
    entity: { type, key },
    version,
    why: text(why),
    error: text(error),
    state: state as Plain,
    captured: captured as Captured,
  };
}

/** @throws `unknown-event` the code does not know the events */
export function replayCapture(definition: EntityDefinition, capture: Capture, chance: Chance): CaptureReplayed {
  const { captured, entity, version, state } = capture;
  const image: EntityImage = {
    ...{ entity, version, touched: Math.max(1, version), state },
    ...{ timers: [], outbox: [], inbox: [], calls: [] },
  };
  // At a replay the log holds what was decided and not what was asked.
  if (captured.principal === null) return { kind: "events", evolved: evolve(definition, image, captured) };
  const past = { shard: 0, offset: image.touched, timeMs: captured.now, exists: true, image };
  const { command, input, principal, now: nowMs, cause } = captured;
  // Only who asks from outside is asked for a permission.
  const used = cause.kind === "request" ? definition : { ...definition, access: () => true };
  return { kind: "command", fork: forkEntity(past, used, { command, input, principal, nowMs, chance }) };
}

function evolve(definition: EntityDefinition, image: EntityImage, { events }: Captured): EvolvedEvents {
  const slot = slotFrom(apart(image), definition);
  const failed = evolveStored(slot, events);
  const after = failed === undefined ? copyState(slot.state) : image.state;
  const thrown = failed?.thrown instanceof Error ? failed.thrown.message : String(failed?.thrown);
  return {
    before: image.state,
    after,
    patch: diff(image.state, after),
    failed: failed === undefined ? undefined : { event: failed.event.name, error: thrown },
  };
}

function refused(problem: string): HoldfastError {
  return new HoldfastError("invalid-input", `The capture ${problem}.`);
}
