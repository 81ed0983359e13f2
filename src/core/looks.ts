/**
 * Looks: a read of an entity's whole state, or of a view, for a feed. Answered like a query, when everything it rests on is
 * durable.
 *
 * Invariant: a look changes nothing, and its answer's version is not below `least`, which whoever asks has read in the log: an owner
 * that has not heard of its successor yet has nothing to show. Sealed values stay sealed.
 */
import { formatRef } from "../model/ids.ts";
import type { CallResult, LookCall } from "../model/records.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { failure, type Owner, slotOrFresh } from "./owner-state.ts";
import { quarantined, unreadable } from "./quarantine.ts";
import type { Slot } from "./slot.ts";

const behind = failure("unavailable", "Another owner has taken the shard over; ask again.");

export function takeLook(owner: Owner, { call, caller }: Extract<Input, { kind: "look" }>, effects: Effect[]): void {
  const reply = (at: number, result: CallResult) =>
    holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
  if (owner.phase !== "serving" && owner.phase !== "draining")
    return reply(0, failure("unavailable", "The shard is not being served at the moment; ask again."));
  const definition = owner.definitions.get(call.entity.type);
  if (definition === undefined) return reply(0, failure("unknown-type", `No entity type "${call.entity.type}".`));
  const slot = slotOrFresh(owner, call.entity, definition);
  const hidden = unreadable(slot);
  // Not before it is durable that the entity is parked: then it comes again, when somebody has dealt with it.
  if (hidden !== undefined) return reply(slot.touched, hidden);
  if (slot.version < call.least)
    return slot.parked === undefined ? reply(0, behind) : reply(slot.touched, quarantined(slot));
  try {
    const value = valueOf(owner, slot, call);
    if (value === undefined) return reply(0, failure("unknown-view", `${definition.name} has no view "${call.view}".`));
    reply(slot.touched, { ok: true, value, version: slot.version });
  } catch (error) {
    effects.push({ kind: "fault", where: `view "${call.view}" on ${formatRef(slot.ref)}`, error });
    reply(0, failure("decide-failed", `The code of view "${call.view}" threw or returned what is not plain data.`));
  }
}

function valueOf(owner: Owner, slot: Slot, { view, entity, principal }: LookCall): Plain | undefined {
  const { depthMax, viewBytesMax, stateBytesMax } = owner.limits;
  const { views, personal } = slot.definition;
  const limits = { depthMax, sealed: personal };
  if (view === undefined) return copyPlain(slot.state as Plain, { ...limits, bytesMax: 2 * stateBytesMax }).value;
  const read = views.get(view)?.read;
  if (read === undefined) return undefined;
  const seen = read(slot.state, principal, entity.key);
  return copyPlain((seen ?? null) as Plain, { ...limits, bytesMax: viewBytesMax }).value;
}
