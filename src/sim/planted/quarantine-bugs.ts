/**
 * Planted bugs of quarantine: what would let a broken entity harm its neighbours, or itself once more.
 *
 * Invariant: as in `bugs.ts`, which lists these with the others.
 */
import { bug, edit, type PlantedBug } from "./planted-bug.ts";

export const quarantineBugs: readonly PlantedBug[] = [
  bug(
    "half-state-shown",
    "takes the state that a throwing evolve left for the last good one",
    edit(
      "core/step.ts",
      "captured: captureOf(facts, now, events) }, false,",
      "captured: captureOf(facts, now, events) }, true,",
    ),
  ),
  bug(
    "broken-entity-restarts-shard",
    "ends the incarnation when an evolve throws (ours, until there was quarantine)",
    edit(
      "core/step.ts",
      'import { capture, park } from "./quarantine.ts";',
      'import { capture, park } from "./quarantine.ts";\nimport { release } from "./owner-state.ts";',
    ),
    edit(
      "core/step.ts",
      'park(owner, slot, { why: "evolve", thrown: error, captured: captureOf(facts, now, events) }, false, effects);',
      'release(owner, "unknown", effects);',
    ),
  ),
  bug(
    "park-lost-at-restart",
    "forgets at a replay that an entity is parked",
    edit("core/replay.ts", "  applyMark(owner,", '  if (record.verb !== "park") applyMark(owner,'),
  ),
  bug(
    "parked-entity-decides",
    "runs commands of a parked entity whose state is good",
    edit("core/commands.ts", "if (slot.parked !== undefined) {", "if (slot.parked?.good === false) {"),
  ),
  bug(
    "parked-timer-fires",
    "fires the timers of a parked entity",
    edit("core/timers.ts", "  if (slot.parked !== undefined) return;\n", ""),
  ),
  bug(
    "timer-lost-at-resume",
    "does not arm the timers that were held",
    edit(
      "core/quarantine.ts",
      "  for (const timer of slot.timers.values()) armTimers(",
      "  for (const timer of [] as never[]) armTimers(",
    ),
  ),
  bug(
    "send-lost-at-resume",
    "does not deliver the sends that were held",
    edit("core/quarantine.ts", "    deliverNext(owner, slot, outbox, effects);\n", ""),
  ),
  bug(
    "skip-keeps-half",
    "rebuilds a state for a skip with what a throwing evolve left",
    edit(
      "core/rebuild.ts",
      "if (evolveStored(slot, record.events) !== undefined) this.#broken = at;",
      "evolveStored(slot, record.events);",
    ),
  ),
  bug(
    "skip-lost-at-restart",
    "replays a skip without the state that came of it",
    edit(
      "core/replay.ts",
      "applyMark(owner, slot, record, at);",
      'applyMark(owner, slot, record.verb === "skip" ? { ...record, state: null } : record, at);',
    ),
  ),
];
