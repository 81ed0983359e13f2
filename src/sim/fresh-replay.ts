/**
 * Replays the log that the witness holds into fresh owners of the real core, and compares them with the model.
 *
 * Invariant: nothing of a running node is used.
 */
import { ownTypes } from "../core/changefeed/own-types.ts";
import { stepOwner } from "../core/owner.ts";
import { makeOwner } from "../core/owner-state.ts";
import type { EntityDefinition } from "../model/entity.ts";
import { isOwnType } from "../model/ids.ts";
import { limitsWith } from "../model/limits.ts";
import { decodeFrame } from "../wire/frame.ts";
import { makeCourier } from "./courier.ts";
import { entities } from "./entities.ts";
import { newestGeneration, saplingOf, saplingStates } from "./sapling.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** The service's definitions with that generation of the saplings' code. */
export function simulatedDefinitions(generation: number): ReadonlyMap<string, EntityDefinition> {
  const all = [...ownTypes, ...entities, saplingOf(generation), makeCourier(nobody)];
  return new Map(all.map((entity) => [entity.name, entity]));
}

function nobody(): never {
  throw new Error("a replay calls nobody");
}

/** At rest: no timer stands, no send or call is under way. */
export function replayAfresh(world: World, witness: Witness): void {
  const definitions = simulatedDefinitions(newestGeneration);
  witness.shards.forEach(({ frames }, shard) => {
    const owner = makeOwner({ shard, definitions, limits: limitsWith(world.swarm.limits), seed: 1 });
    try {
      for (const { at, bytes } of frames.values()) {
        decodeFrame(bytes, shard, at, undefined).records.forEach((record, index) => {
          stepOwner(owner, { kind: "replay", at: at + index, record }, []);
        });
      }
    } catch (error) {
      return world.violated("replay reaches the same state", `shard ${shard}: ${String(error)}`);
    }
    for (const [name, slot] of owner.slots) {
      if (isOwnType(slot.ref.type)) continue;
      const model = witness.entity(name);
      const state = JSON.stringify(slot.state);
      const known = model.states.get(model.version) ?? "";
      const expected =
        slot.ref.type === "sapling" ? saplingStates(newestGeneration, JSON.parse(known), false)[0] : known;
      if (state !== expected || slot.version !== model.version)
        world.violated("replay reaches the same state", `${name} at ${slot.version}: ${state}`);
      if (slot.timers.size > 0 || slot.outboxSize > 0 || slot.calls.size > 0)
        world.violated("replay reaches the same state", `${name} has timers, sends or calls left at rest`);
    }
  });
}
