/**
 * Takes queries in: a read of the state as it is, answered when everything it rests on is durable.
 *
 * Invariant: a query changes nothing, brings no entity into being, and shows nothing that a crash could take back.
 */
import { formatRef, isKey, type Offset } from "../model/ids.ts";
import type { CallResult } from "../model/records.ts";
import type { Sealed } from "../model/sealed.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Effect, Input } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { failure, forbidden, type Owner, recordedNow, slotOrFresh } from "./owner-state.ts";
import { open as openSealed } from "./personal.ts";
import { unreadable } from "./quarantine.ts";
import { mayDo, validateInput } from "./user-code.ts";

type QueryInput = Extract<Input, { kind: "query" }>;

export function takeQuery(owner: Owner, input: QueryInput, effects: Effect[]): void {
  const { call, caller } = input;
  const reply = (at: Offset, result: CallResult) =>
    holdUntilDurable(owner.gate, at, owner.durable, { kind: "reply", caller, result }, effects);
  const isCopy = input.copy === true && owner.phase === "recovering" && owner.tail === owner.replay.tail;
  if (owner.phase !== "serving" && owner.phase !== "draining" && !isCopy) {
    reply(0, failure("unavailable", "The shard is not being served at the moment; ask again."));
    return;
  }
  const definition = owner.definitions.get(call.entity.type);
  const query = definition?.queries.get(call.query);
  if (definition === undefined) return reply(0, failure("unknown-type", `No entity type "${call.entity.type}".`));
  if (!isKey(call.entity.key))
    return reply(0, failure("invalid-key", "A key is 1 to 128 of letters, digits, _ and -."));
  if (query === undefined)
    return reply(0, failure("unknown-query", `${definition.name} has no query "${call.query}".`));
  if (!mayDo(definition, call.principal, { kind: "query", name: call.query }, call.entity.key))
    return reply(0, forbidden());
  const valid = validateInput(query.input, call.input, owner.limits);
  if (!valid.ok) return reply(0, valid.failure);
  const slot = slotOrFresh(owner, call.entity, definition);
  const hidden = unreadable(slot);
  if (hidden !== undefined) return reply(0, hidden);
  try {
    const now = recordedNow(owner, input.nowMs);
    const open = <T>(sealed: Sealed<T>) => openSealed(owner, sealed) as T | undefined;
    const answer = query.read(slot.state, valid.value, { key: call.entity.key, principal: call.principal, now, open });
    const { depthMax, viewBytesMax } = owner.limits;
    const value = copyPlain((answer ?? null) as Plain, {
      depthMax,
      bytesMax: viewBytesMax,
      sealed: definition.personal,
    }).value;
    reply(slot.touched, { ok: true, value, version: slot.version });
  } catch (error) {
    effects.push({ kind: "fault", where: `query "${call.query}" on ${formatRef(slot.ref)}`, error });
    reply(0, failure("decide-failed", `The code of query "${call.query}" threw or returned what is not plain data.`));
  }
}
