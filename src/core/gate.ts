/**
 * The output gate: whatever rests on a record waits here until that record is durable.
 *
 * Invariant: an effect leaves only when every offset up to its own is durable. What must wait leaves in the order it
 * came, so one watcher never hears an older view after a newer one.
 */
import { assert } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import { Queue } from "../std/queue.ts";
import type { Effect } from "./effects.ts";

export interface Gate {
  readonly waiting: Queue<{ readonly at: Offset; effect: Effect | undefined }>;
  /** Last offset that anything ever waited for: the append that holds it is not put off. */
  awaited: Offset;
}

export function makeGate(): Gate {
  return { waiting: new Queue(), awaited: 0 };
}

/** Lets the effect through if `at` is durable already, else holds it. */
export function holdUntilDurable(gate: Gate, at: Offset, durable: Offset, effect: Effect, effects: Effect[]): void {
  if (at < durable) effects.push(effect);
  else {
    gate.waiting.push({ at, effect });
    if (at > gate.awaited) gate.awaited = at;
  }
}

/** Lets through what rests on offsets below `durable` and is `wanted` still. */
export function openGate(gate: Gate, durable: Offset, effects: Effect[], wanted: (effect: Effect) => boolean): void {
  for (let first = gate.waiting.peek(); first !== undefined && first.at < durable; first = gate.waiting.peek()) {
    if (first.effect !== undefined && wanted(first.effect)) effects.push(first.effect);
    gate.waiting.shift();
  }
}

/** Takes every held effect out, to be answered otherwise or dropped; `keep` leaves it in. */
export function turnAway(gate: Gate, keep: (effect: Effect) => boolean): Effect[] {
  const taken: Effect[] = [];
  const held = gate.waiting.size;
  for (let count = 0; count < held; count++) {
    const item = gate.waiting.shift();
    assert(item !== undefined, "the gate holds what it counts");
    if (item.effect !== undefined && !keep(item.effect)) {
      taken.push(item.effect);
      item.effect = undefined;
    }
    gate.waiting.push(item);
  }
  return taken;
}
