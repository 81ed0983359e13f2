/**
 * What a node has for personal data: a vault over its key store, a log that waits for keys, a door that opens, erasures.
 *
 * Invariant: an entity type with personal data has a key store, or the node does not start.
 */
import type { Vault } from "../core/personal.ts";
import type { EntityDefinition } from "../model/entity.ts";
import type { EraseCall } from "../model/erasure.ts";
import { HoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult } from "../model/records.ts";
import type { ShardLog } from "../ports/log.ts";
import { Door, type DoorOptions, noVault } from "./door.ts";
import { Eraser } from "./eraser.ts";
import { keysFirst } from "./keyed-log.ts";
import type { NodeOptions } from "./node-options.ts";
import { KeyVault } from "./vault.ts";

export interface Personal {
  readonly vault: Vault | undefined;
  readonly log: ShardLog;
  readonly door: Door;
  readonly eraser: Eraser;
  /** Another door, for values that do not come from entities: it is told of every erasure too. */
  readonly openDoor: (definitions: DoorOptions["definitions"]) => Door;
}

export interface PersonalFacts {
  readonly definitions: ReadonlyMap<string, EntityDefinition>;
  readonly limits: Limits;
  readonly now: () => number;
  readonly mark: (call: EraseCall, done: (result: CallResult) => void) => void;
  /** Something was erased: who comes back with a view of before is to get a whole one. */
  readonly renew: () => void;
}

/** @throws `invalid-configuration` there is no key store and an entity type needs one */
export function makePersonal({ keys, log, random, onFault }: NodeOptions, facts: PersonalFacts): Personal {
  const { definitions, limits, now, mark, renew } = facts;
  if (keys === undefined) {
    for (const { name, personal } of definitions.values()) {
      if (!personal) continue;
      const remedy = "Give the node `keys`; `embedded` opens a key store itself.";
      throw new HoldfastError("invalid-configuration", `Entity type "${name}" has personal data. ${remedy}`);
    }
  }
  const fault = (where: string, error: unknown) => onFault?.(where, error);
  const vault = keys && new KeyVault(keys, random);
  const doors: Door[] = [];
  const openDoor = (of: DoorOptions["definitions"]) => {
    const door = new Door({ definitions: of, vault: vault ?? noVault, limits, fault });
    doors.push(door);
    return door;
  };
  const gone = (subject: string) => {
    renew();
    for (const door of doors) door.erased(subject);
  };
  return {
    vault,
    log: keys === undefined ? log : keysFirst(log, keys),
    door: openDoor(definitions),
    openDoor,
    eraser: new Eraser({ keys, definitions, now, mark, gone, fault }),
  };
}
