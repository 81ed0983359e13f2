/**
 * Runs a command on a copy of an entity as it was, in memory only: what would have happened.
 *
 * Invariants: the core decides, evolves and answers as it does on a node; nothing of it leaves this function. The copy
 * knows no other entity, so sends are shown and go nowhere.
 */
import type { Effect } from "../core/effects.ts";
import { apart, imageOf, slotFrom } from "../core/image.ts";
import { stepOwner } from "../core/owner.ts";
import { keepSlot, makeOwner, type Owner, slotOf } from "../core/owner-state.ts";
import type { Vault } from "../core/personal.ts";
import type { Chance, EntityDefinition } from "../model/entity.ts";
import type { EntityImage } from "../model/images.ts";
import { limitsWith } from "../model/limits.ts";
import type { CallResult, LogRecord, Principal, StepRecord } from "../model/records.ts";
import { partsOf, sealedOf } from "../model/sealed.ts";
import { diff, type PatchOperation } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import type { EntityPast } from "./history.ts";

export interface ForkCommand {
  readonly command: string;
  readonly input: unknown;
  /** Who asks. Left out, an operator asks and the access rule is not consulted. */
  readonly principal?: Principal;
  /** The time of the command. Default: the recorded time of the moment; never before it. */
  readonly nowMs?: number;
  /** What the decide gets as `random`. */
  readonly chance: Chance;
}

export interface Fork {
  readonly reply: CallResult;
  /** What would stand in the log; undefined if the command was refused before it was decided. */
  readonly record: StepRecord | undefined;
  readonly before: EntityImage;
  readonly after: EntityImage;
  readonly patch: readonly PatchOperation[];
  /** What user code threw. */
  readonly faults: readonly string[];
}

const forker: Principal = { kind: "operator", id: "fork" };

export function forkEntity(past: EntityPast, definition: EntityDefinition, facts: ForkCommand): Fork {
  const { entity } = past.image;
  const used = facts.principal === undefined ? { ...definition, access: () => true } : definition;
  const owner = makeServingOwner(past, used);
  const effects: Effect[] = [];
  const nowMs = Math.max(past.timeMs, facts.nowMs ?? past.timeMs);
  const call = {
    entity,
    command: facts.command,
    input: facts.input,
    requestId: makeUuidV7(nowMs, facts.chance.bytes(16)),
    principal: facts.principal ?? forker,
  };
  stepOwner(owner, { kind: "command", call, caller: {}, nowMs, chance: facts.chance, appendMs: 0 }, effects);
  stepOwner(owner, { kind: "cut", bytesMax: Number.MAX_SAFE_INTEGER }, effects);
  if (effects.some(({ kind }) => kind === "append")) stepOwner(owner, { kind: "appended", tail: owner.cut }, effects);
  const slot = owner.phase === "serving" ? slotOf(owner, entity) : undefined;
  // what a throwing evolve left is no state
  const after = slot === undefined || slot.parked?.good === false ? past.image : apart(imageOf(slot));
  return {
    reply: replyOf(effects),
    record: recordsOf(effects).find((record): record is StepRecord => record.kind === "step"),
    before: past.image,
    after,
    patch: diff(past.image.state, after.state),
    faults: effects.flatMap((effect) => (effect.kind === "fault" ? [told(effect)] : [])),
  };
}

function makeServingOwner({ shard, offset, timeMs, exists, image }: EntityPast, definition: EntityDefinition): Owner {
  const definitions = new Map([[definition.name, definition]]);
  const owner = makeOwner({ shard, definitions, limits: limitsWith(), seed: 0, vault: forkVault() });
  owner.phase = "serving";
  owner.epoch = 1;
  owner.durable = owner.cut = owner.tail = offset + 1;
  owner.timeMs = timeMs;
  if (exists) keepSlot(owner, slotFrom(apart(image), definition));
  return owner;
}

/** Has no keys: opens what the forked command itself sealed, and takes everything else for erased. */
function forkVault(): Vault {
  const sealed: unknown[] = [];
  return {
    seal: (subject, value) => sealedOf({ subject, generation: 1, data: `fork-${sealed.push(value)}` }),
    open: (text) => {
      const place = /^fork-(\d+)$/.exec(partsOf(text)?.data ?? "")?.[1];
      return place === undefined ? undefined : (sealed[Number(place) - 1] as Plain);
    },
  };
}

function replyOf(effects: readonly Effect[]): CallResult {
  for (const effect of effects) if (effect.kind === "reply") return effect.result;
  return { ok: false, code: "internal", detail: "Broken invariant: a caller is answered exactly once" };
}

function recordsOf(effects: readonly Effect[]): readonly LogRecord[] {
  return effects.flatMap((effect) => (effect.kind === "append" ? effect.records : []));
}

function told({ where, error }: Extract<Effect, { kind: "fault" }>): string {
  return `${where}: ${error instanceof Error ? error.message : String(error)}`;
}
