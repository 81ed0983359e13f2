/**
 * The zoo's bugs of calls: of work outside that is done at least once and recorded once.
 *
 * Invariant: as in `bugs.ts`.
 */
import { bug, edit, type PlantedBug } from "./planted-bug.ts";

export const calls: readonly PlantedBug[] = [
  bug(
    "call-before-durable",
    "runs a handler before the record of its call is durable",
    edit("core/call-start.ts", "holdUntilDurable(owner.gate, call.touched,", "holdUntilDurable(owner.gate, 0,"),
  ),
  bug(
    "call-lost-at-restart",
    "does not take up the calls that stand when it recovers",
    edit("core/owner.ts", "  startCalls(owner, owner.timeMs, effects);", ""),
  ),
  bug(
    "call-settles-twice",
    "keeps a call that is settled, so that a restart makes it again",
    edit(
      "core/call-state.ts",
      "      calls.delete(callName(cause.call));",
      "      if (cause.attempt > 3) calls.clear();",
    ),
  ),
  bug(
    "call-key-per-attempt",
    "gives each attempt at a call a key of its own",
    edit("runtime/calls.ts", "key: callKey(entity, id, madeMs),", "key: callKey(entity, id, madeMs + attempt),"),
  ),
  bug(
    "call-attempts-in-memory",
    "counts failed attempts in memory only, so that a restart begins from the first",
    edit(
      "core/call-state.ts",
      "    call.failed = change.attempt;",
      "    if (call.underway) call.failed = change.attempt;",
    ),
    edit("core/call-state.ts", "  call.underway = false;\n  call.answer = undefined;\n", ""),
    edit(
      "core/call-state.ts",
      "    call.dueMs = change.retryAtMs ?? 0;",
      "    call.dueMs = change.retryAtMs ?? 0;\n    call.underway = false;\n    call.answer = undefined;",
    ),
  ),
  bug(
    "call-dropped-at-gate",
    "makes an attempt whose call was dropped while it waited at the gate (ours, until the simulator found it)",
    edit("core/owner.ts", "(effect) => isWanted(owner, effect)", "() => true"),
  ),
  bug(
    "call-dropped-in-queue",
    "makes an attempt whose call was dropped while it waited for a handler to end",
    edit("runtime/calls.ts", "if (isWanted(attempt.host.owner, attempt.effect)) this", "this"),
  ),
];
