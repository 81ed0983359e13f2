/**
 * Planted bugs of feeds and of durable subscribers.
 *
 * Invariant: as in `bugs.ts`, which lists these with the others.
 */
import { bug, edit, type PlantedBug } from "./planted-bug.ts";

const feeds: readonly PlantedBug[] = [
  bug(
    "feed-cursor-too-early",
    "a feed's cursor passes a record more than was gathered",
    edit(
      "propagation/follower.ts",
      "{ offset: at + index - from, chain });",
      "{ offset: at + index - from + 1, chain });",
    ),
  ),
  bug(
    "feed-chain-unchecked",
    "follows a cursor that rests on another log",
    edit(
      "propagation/follower.ts",
      "if (chain !== undefined && chain !== found) {",
      "if (chain === -1 && chain !== found) {",
    ),
  ),
  bug(
    "feed-trim-passed-over",
    "goes on behind what was trimmed, as if it had been read",
    edit(
      "propagation/follower.ts",
      "      if (position === undefined || offset < position.trimmed) throw trimmed(shard, offset, position?.trimmed ?? 0);",
      "      if (position === undefined) throw trimmed(shard, offset, 0);\n      if (offset < position.trimmed) {\n        this.#places.set(shard, { offset: position.trimmed, chain: undefined });\n        (behind as Map<ShardId, Offset>).set(shard, position.trimmed);\n      }",
    ),
  ),
  bug(
    "recent-with-gap",
    "keeps recent frames over a gap",
    edit("runtime/recent-frames.ts", "    if (append.at > stretch.tail) this.#drop(stretch);\n", ""),
    edit(
      "runtime/recent-frames.ts",
      "    if (tail <= stretch.tail) return;\n    this.#drop(stretch);\n",
      "    if (tail <= stretch.tail) return;\n",
    ),
    edit(
      "runtime/recent-frames.ts",
      "return frame !== undefined && frame.at <= at ? frame : undefined;",
      "return frame;",
    ),
  ),
  bug(
    "feed-not-woken",
    "a feed that waits is not told of what became durable",
    edit(
      "runtime/recent-frames.ts",
      "    if (this.#waking || this.#waiting.size === 0) return;",
      "    if (this.#waiting.size >= 0) return;",
    ),
  ),
  bug(
    "feed-failed-batch-lost",
    "a batch that could not be made moves the feed",
    edit(
      "propagation/reader.ts",
      "      await this.#options.follower.seek(from);\n      throw error;",
      "      throw error;",
    ),
  ),
  bug(
    "feed-stale-state",
    "takes the state of an owner that has not heard of its successor (ours, until the simulator found it)",
    edit("core/looks.ts", "  if (slot.version < call.least)", "  if (slot.version < 0)"),
  ),
  bug(
    "feed-stale-list",
    "takes the list of entities of such an owner (ours, until the simulator found it)",
    edit("runtime/entity-list.ts", " && owner.durable >= below;", " && below >= 0;"),
  ),
  bug(
    "look-before-durable",
    "a feed shows a state that is not durable",
    edit("core/looks.ts", "    reply(slot.touched, { ok: true", "    reply(0, { ok: true"),
  ),
  bug(
    "deltas-by-wrong-version",
    "a feed of deltas forgets versions that are newer than what it holds",
    edit("propagation/held-values.ts", "before.version >= absolute.offset", "before.version + 2 >= absolute.offset"),
  ),
  bug(
    "delta-from-wrong-value",
    "a feed of deltas leads from a value that it gave before the last",
    edit(
      "propagation/held-values.ts",
      "    this.#hold(name, before, {",
      "    if (before === undefined) this.#hold(name, before, {",
    ),
  ),
  bug(
    "batch-over-limit",
    "a batch of states has more items than were asked for",
    edit(
      "propagation/reader.ts",
      "limits.itemsMax || due.size >= limits.itemsMax",
      "limits.itemsMax || due.size > limits.itemsMax",
    ),
  ),
  bug(
    "feed-cursor-runs-ahead",
    "the cursor of a feed passes what it has gathered and not handed out (ours, until the simulator found it)",
    edit(
      "propagation/reader.ts",
      "this.#gathering !== undefined && !isSome(this.#gathering) ? this.#cursorNow()",
      'this.#cursor !== "" ? this.#cursorNow()',
    ),
  ),
];

const subscribers: readonly PlantedBug[] = [
  bug(
    "stale-runner-commits",
    "takes a cursor of a running that is past",
    edit(
      "core/changefeed/subscriber-entity.ts",
      "run.epoch !== state.epoch || run.rewinds !== state.rewinds",
      "run.rewinds !== state.rewinds",
    ),
  ),
  bug(
    "commit-before-delivery",
    "a batch that was not taken is passed over",
    edit(
      "core/changefeed/subscriber.ts",
      "    run.batch = batch;\n    return;\n",
      "    run.batch = batch;\n    run.place = batch.cursor;\n    return;\n",
    ),
  ),
  bug(
    "failed-batch-passed-over",
    "a batch is not tried again",
    edit(
      "core/changefeed/subscriber-failures.ts",
      "  again(run);\n  if (run.failures >=",
      "  again(run);\n  run.batch = undefined;\n  if (run.failures >=",
    ),
  ),
  bug(
    "rewind-while-opening-lost",
    "a rewind that comes while the sink is opened is not heard (ours, until the simulator found it)",
    edit("core/changefeed/subscriber.ts", "rewinds: by.rewinds };", "rewinds: run.orders.rewinds };"),
  ),
  bug(
    "orders-overwritten",
    "orders that are heard before the answer of a record are overwritten by it (ours, until the simulator found it)",
    edit("core/changefeed/subscriber.ts", "if (version > run.heard) run.orders", "if (version > 0) run.orders"),
  ),
  bug(
    "aside-leads-deltas",
    "deltas lead from a value that was set aside (ours, until the simulator found it)",
    edit("propagation/subscriber-run.ts", 'if (outcome.kind === "done") for', 'if (outcome.kind === "opened") for'),
  ),
  bug(
    "hold-ignored-at-trim",
    "trims what a subscriber waits for",
    edit(
      "runtime/archive.ts",
      "return Math.min(order.below, this.#options.held?.() ?? order.below);",
      "return order.below;",
    ),
    edit("runtime/archive.ts", "if (range.to > (this.#options.held?.() ?? trimmed)) return;", ""),
  ),
  bug(
    "mark-not-recorded",
    "goes back to the cursor of a sink that had nothing to take since (ours, until the simulator found it)",
    edit(
      "propagation/subscriber-run.ts",
      "own !== undefined && own !== mark;",
      'own !== undefined && own !== "" + mark + ".";',
    ),
  ),
  bug(
    "own-cursor-ignored",
    "goes on from the log's cursor where the sink keeps a later one",
    edit(
      "propagation/subscriber-run.ts",
      "const at = counts ? cursorOf(own as string) : cursor;",
      "const at = cursor;\n      void counts;",
    ),
  ),
];

export const feedBugs: readonly PlantedBug[] = [...feeds, ...subscribers];
