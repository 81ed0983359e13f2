/**
 * The sending side of a pair of entities: what is under way.
 *
 * Invariant: of one pair at most one send is under way, and it leaves only when every record it rests on is durable.
 */
import { formatRef, type Offset } from "../model/ids.ts";
import type { SendBody } from "../model/records.ts";
import type { Effect } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import type { Owner } from "./owner-state.ts";
import type { Outbox, Slot } from "./slot.ts";

/** After a record with sends: each pair that was idle starts when the record is durable. */
export function noteSends(owner: Owner, slot: Slot, sends: readonly SendBody[], at: Offset, effects: Effect[]): void {
  for (const send of sends) {
    const outbox = slot.outbox.get(formatRef(send.to));
    if (outbox?.queue.peek()?.send === send) startSend(owner, slot, outbox, at, effects);
  }
}

/** After a recovery: everything that is not settled is under way again. */
export function deliverAll(owner: Owner, effects: Effect[]): void {
  for (const slot of owner.slots.values()) {
    for (const outbox of slot.outbox.values()) deliverNext(owner, slot, outbox, effects);
  }
}

/** Delivers the first of a pair, unless it is under way. */
export function deliverNext(owner: Owner, slot: Slot, outbox: Outbox, effects: Effect[]): void {
  const first = outbox.queue.peek();
  if (first !== undefined && !outbox.underway) startSend(owner, slot, outbox, first.at, effects);
}

export function startSend(owner: Owner, slot: Slot, outbox: Outbox, restsOn: Offset, effects: Effect[]): void {
  const first = outbox.queue.peek();
  if (first === undefined || outbox.underway || slot.parked !== undefined) return;
  outbox.underway = true;
  holdUntilDurable(owner.gate, restsOn, owner.durable, { kind: "send", from: slot.ref, send: first.send }, effects);
}
