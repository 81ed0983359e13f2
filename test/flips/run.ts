/**
 * All samples with every `stride`th bit turned.
 *
 * Invariant: every flip is counted once.
 */
import type { Counts } from "./counts.ts";
import { flipFrames, flipSegments } from "./log.ts";
import { flipSnapshots } from "./snapshots.ts";
import { flipClosedState, flipKilledState } from "./state-store.ts";

export async function runFlips(
  strides: { readonly small: number; readonly large: number },
  tell: (name: string, counts: Counts) => void,
): Promise<void> {
  const { small, large } = strides;
  tell("log: frames", flipFrames(small));
  tell("log: segment files of a closed log", await flipSegments(true, large));
  tell("log: segment files of a killed log", await flipSegments(false, large));
  tell("snapshots: head, manifests, objects", await flipSnapshots(small));
  tell("state store: a closed file", await flipClosedState(large));
  tell("state store: a killed process's file", await flipKilledState(large));
}
