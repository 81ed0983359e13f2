/**
 * The erasure of a subject, as the log tells it: who asked, and when. The key is the runtime's to destroy.
 *
 * Invariant: the mark changes no entity, there need be no such one, and none comes into being: so a replay is the same with
 * it and without it.
 */
import { isKey } from "../model/ids.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { CallResult } from "../model/records.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { addRecord, diskFull, failure, forbidden, type Owner, recordedNow } from "./owner-state.ts";
import { makeSlot } from "./slot.ts";

const markBytes = 512;

export function takeErase(owner: Owner, input: Extract<Input, { kind: "erase" }>, effects: Effect[]): void {
  const { subject, principal, caller } = input;
  const answer = (result: CallResult) => effects.push({ kind: "reply", caller, result });
  const definition = owner.definitions.get(subject.type);
  if (principal.kind !== "operator") return void answer(forbidden());
  if (definition === undefined) return void answer(failure("unknown-type", `No entity type "${subject.type}".`));
  if (!isKey(subject.key)) return void answer(failure("invalid-key", "A key is 1 to 128 of letters, digits, _ and -."));
  if (owner.full) return void answer(diskFull());
  const time = recordedNow(owner, input.nowMs);
  const nothing = { park: null, state: null, left: [] };
  const record: MarkRecord = { kind: "mark", time, entity: subject, verb: "erase", principal, ...nothing };
  // stands for the record while it is not durable; never among the owner's slots, and no image is wanted of it
  const stand = { ...makeSlot(subject, definition), dirty: true };
  const at = owner.tail;
  addRecord(owner, { slot: stand, record, bytes: markBytes, byMs: 0 }, effects);
  const result: CallResult = { ok: true, value: { at }, version: at };
  holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
}
