/**
 * Looks: a read of an entity's whole state, or of a view, for a feed. Answered like a query, when everything it rests on is
 * durable.
 *
 * Invariant: a look changes nothing, and its answer's version is not below any record of the entity that is durable by then.
 * Sealed values stay sealed.
 */
import { formatRef } from "../model/ids.ts";
import type { CallResult, LookCall } from "../model/records.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { failure, type Owner, slotOrFresh } from "./owner-state.ts";
import { unreadable } from "./quarantine.ts";
import type { Slot } from "./slot.ts";

export function takeLook(owner: Owner, { call, caller }: Extract<Input, { kind: "look" }>, effects: Effect[]): void {
  const reply = (at: number, result: CallResult) =>
    holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
  if (owner.phase !== "serving" && owner.phase !== "draining")
    return reply(0, failure("unavailable", "The shard is not being served at the moment; ask again."));
  const definition = owner.definitions.get(call.entity.type);
  if (definition === undefined) return reply(0, failure("unknown-type", `No entity type "${call.entity.type}".`));
  const slot = slotOrFresh(owner, call.entity, definition);
  const hidden = unreadable(slot);
  if (hidden !== undefined) return reply(0, hidden);
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
