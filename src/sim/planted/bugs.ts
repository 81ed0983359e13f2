/**
 * The zoo: bugs that systems like this one had, each as a change of our own source, to prove that the simulator sees them.
 *
 * Invariant: `find` stands exactly once in its file (checked when it is planted), so a bug follows the code or says so.
 */

import { calls } from "./call-bugs.ts";
import { checkpointBugs } from "./checkpoint-bugs.ts";
import { clusterBugs } from "./cluster-bugs.ts";
import { feedBugs } from "./feed-bugs.ts";
import { bug, edit, onDisk, type PlantedBug } from "./planted-bug.ts";
import { quarantineBugs } from "./quarantine-bugs.ts";

const writers: readonly PlantedBug[] = [
  bug(
    "no-fence",
    "appends whatever epoch and tail are",
    edit("ports/log-fence.ts", "  if (append.at !== tail) return false;", ""),
    edit("ports/log-fence.ts", "append.epoch > epoch : append.epoch === epoch", "true : true"),
  ),
  bug(
    "claim-without-new-epoch",
    "claims with the epoch that was",
    edit("ports/log-fence.ts", "append.epoch > epoch :", "append.epoch >= epoch :"),
    edit("core/owner.ts", "owner.epoch = input.epoch + 1;", "owner.epoch = Math.max(1, input.epoch);"),
  ),
  bug(
    "claim-at-reread-tail",
    "claims at a tail that it read again, not at the one it replayed to",
    edit(
      "runtime/recovery.ts",
      "    const { epoch, tail } = positions[index] as LogPosition;",
      "    const { epoch, tail } = (await log.tail([host.shard]))[0] as LogPosition;\n" +
        "    host.owner.tail = host.owner.cut = host.owner.durable = tail;",
    ),
  ),
  bug(
    "retry-after-mismatch",
    "a fenced owner makes new bytes for the tail it reads again",
    edit(
      "runtime/committer.ts",
      'import type { ShardHost } from "./shard-host.ts";',
      'import type { ShardHost } from "./shard-host.ts";\nimport { decodeFrame, encodeFrame } from "../wire/frame.ts";',
    ),
    edit(
      "runtime/committer.ts",
      "result = await this.#resolve(appends[index] as Append);",
      "result = await this.#resolve(appends[index] as Append);\n" +
        '      if (!result.ok && result.reason === "fenced") result = await this.#again(appends[index] as Append);',
    ),
    edit(
      "runtime/committer.ts",
      "  #settle(): void {",
      `  async #again(append: Append): Promise<AppendResult> {
    const { log } = this.#options;
    const { shard } = append;
    const [position] = await log.tail([shard]);
    let chain = 0;
    for await (const frames of log.read(new Map([[shard, 1]])))
      for (const frame of frames) chain = decodeFrame(frame.bytes, shard, frame.at, undefined).chain;
    const { records } = decodeFrame(append.frame, shard, append.at, undefined);
    const { bytes } = encodeFrame({ shard, epoch: position.epoch, at: position.tail }, records, chain);
    const [result] = await log.append([{ ...append, epoch: position.epoch, at: position.tail, frame: bytes }]);
    return result.ok ? { ok: true, tail: append.at + append.count } : result;
  }

  #settle(): void {`,
    ),
  ),
  bug(
    "fenced-goes-on",
    "a fenced owner takes the tail and the epoch of its successor and goes on",
    edit(
      "runtime/recoveries.ts",
      "    this.#waiting.delete(host);\n    if (!this.#closed) await this.#track(this.#untilSpace(host));",
      `    const [position] = await this.#options.log.tail([host.shard]);
    const { owner } = host;
    while (owner.pending.size > 0) owner.pending.shift();
    while (owner.unsettled.size > 0) owner.unsettled.shift().waiting--;
    owner.phase = "serving";
    owner.epoch = position.epoch;
    owner.tail = owner.cut = owner.durable = position.tail;
    owner.pendingBytes = owner.cutBytes = 0;
    owner.cutByMs = Number.POSITIVE_INFINITY;
    this.#waiting.delete(host);`,
    ),
  ),
  bug(
    "fenced-owner-answers",
    "a fenced owner answers queries from its memory",
    edit(
      "core/owner.ts",
      '  if (owner.phase === "released") return',
      '  if (owner.phase === "released" && input.kind === "query") return takeQuery(owner, input, effects);\n  if (owner.phase === "released") return',
    ),
    edit(
      "core/queries.ts",
      'owner.phase !== "serving" &&',
      'owner.phase !== "released" && owner.phase !== "serving" &&',
    ),
    edit("core/queries.ts", "reply(slot.touched, {", 'reply(owner.phase === "released" ? 0 : slot.touched, {'),
    edit(
      "runtime/recoveries.ts",
      "    await landed;",
      "    await landed;\n    await new Promise((resolve) => this.#options.clock.after(50, resolve));",
    ),
  ),
];

const outcomes: readonly PlantedBug[] = [
  bug(
    "reply-before-durable",
    "answers when it has decided",
    edit("core/gate.ts", "  if (at < durable) effects", '  if (at < durable || effect.kind === "reply") effects'),
  ),
  bug("dirty-read", "queries do not wait for the gate", edit("core/queries.ts", "reply(slot.touched, {", "reply(0, {")),
  bug(
    "dirty-view",
    "watchers see what is not durable",
    edit(
      "core/views.ts",
      '      slot.touched,\n      owner.durable,\n      { kind: "publish", watcher: watcher.token, news },',
      '      0,\n      owner.durable,\n      { kind: "publish", watcher: watcher.token, news },',
    ),
  ),
  bug(
    "recovery-keeps-memory",
    "evolves before the append, and keeps that state when the append failed",
    edit(
      "runtime/shard-host.ts",
      "    this.owner = makeOwner(this.#options, from === undefined ? { tail, nowMs } : { tail, nowMs, from });",
      "    const before = this.owner;\n" +
        "    this.owner = makeOwner(this.#options, from === undefined ? { tail, nowMs } : { tail, nowMs, from });\n" +
        "    for (const slot of before.slots.values()) this.owner.slots.add(slot);",
    ),
  ),
  bug(
    "unknown-is-success",
    "takes an append without an answer for done",
    edit(
      "runtime/committer.ts",
      "result = await this.#resolve(appends[index] as Append);",
      "result = { ok: true, tail: (appends[index] as Append).at + (appends[index] as Append).count };",
    ),
  ),
  bug(
    "retry-is-success",
    "takes the second attempt at an append for done, whatever its answer",
    edit(
      "runtime/committer.ts",
      'return result ?? { ok: false, reason: "unknown" };',
      "return { ok: true, tail: append.at + append.count };",
    ),
  ),
  bug(
    "time-goes-back",
    "records the clock's time even if it is before the last record's",
    edit("core/owner-state.ts", "return Math.max(owner.timeMs, nowMs);", "return nowMs;"),
  ),
];

const dedup: readonly PlantedBug[] = [
  bug(
    "no-dedup",
    "runs a request id again",
    edit("core/commands.ts", "  if (at === 0) return false;", "  return false;"),
  ),
  bug(
    "dedup-lost-at-restart",
    "forgets the request ids when it recovers",
    edit(
      "core/replay.ts",
      "  rememberRequest(dedup, cause.column ?? cause.idBytes, at, record.time, cause.place);\n",
      "",
    ),
  ),
  bug(
    "dedup-forgets-early",
    "drops a generation of request ids before its window is over",
    edit(
      "core/dedup.ts",
      "forgetBefore(dedup, timeMs - spanMs * generationsKept);",
      "forgetBefore(dedup, timeMs - spanMs);",
    ),
  ),
  bug(
    "expired-runs",
    "runs a request id that is older than the window",
    edit("core/commands.ts", 'if (age === "too-old") {', "if (owner === undefined) {"),
  ),
];

const relaxed: readonly PlantedBug[] = [
  bug(
    "relaxed-late",
    "lets a relaxed record wait until its window is over",
    edit("core/step.ts", "facts.nowMs + windowMs * relaxedShare.wait;", "facts.nowMs + windowMs + 50;"),
  ),
  bug(
    "relaxed-while-behind",
    "answers relaxed commands early however long the log does not answer",
    edit(
      "core/relaxed.ts",
      "  if (appendMs > windowMs * relaxedShare.append || !answersEarly(owner, nowMs)) return 0;",
      "",
    ),
  ),
  bug(
    "relaxed-never-cut",
    "does not say that relaxed records wait, so that they go only with others",
    edit(
      "core/owner-state.ts",
      "  if (byMs >= owner.cutByMs) return;",
      "  if (byMs >= owner.cutByMs || byMs > 0) return;",
    ),
  ),
  bug(
    "relaxed-is-durable",
    "answers durable commands early too",
    edit(
      "core/relaxed.ts",
      'if (durability === undefined || durability === "durable") return 0;',
      'if (typeof durability !== "object") durability = { relaxed: { windowMs: 400 } };',
    ),
  ),
];

const timersAndSends: readonly PlantedBug[] = [
  bug(
    "timer-lost-at-restart",
    "does not arm the timers that it replays",
    edit("core/replay.ts", "    if (record.timers.length > 0) armTimers(owner, slot, record.timers, at);\n", ""),
  ),
  bug(
    "timer-fires-after-cancel",
    "fires an alarm whose timer was cancelled or replaced",
    edit("core/timers.ts", "  if (slot.timers.get(timer.name)?.setAt !== timer.setAt) return;", ""),
  ),
  bug(
    "timer-fires-twice",
    "keeps a timer that has fired, so that a replay arms it again",
    edit("core/slot.ts", "if (slot.timers.get(cause.name)?.setAt === cause.setAt) slot.timers.delete(cause.name);", ""),
  ),
  bug(
    "timer-early",
    "fires what is due within 100 ms",
    edit("core/timers.ts", "first.dueMs <= nowMs;", "first.dueMs <= nowMs + 100;"),
  ),
  bug(
    "send-delivered-twice",
    "takes in a send that it has seen",
    edit("core/sends.ts", "if (last !== undefined && send.sequence <= last.sequence) {", "if (owner === undefined) {"),
  ),
  bug(
    "inbox-lost-at-restart",
    "forgets which sends it has seen when it recovers",
    edit(
      "core/replay.ts",
      "    applyRecord(slot, record, at);",
      "    applyRecord(slot, record, at);\n    slot.inbox.clear();",
    ),
  ),
  bug(
    "send-lost-at-restart",
    "does not deliver what was under way when it recovers",
    edit("core/owner.ts", "  deliverAll(owner, effects);", ""),
  ),
  bug(
    "send-before-durable",
    "delivers a send before its record is durable",
    edit("core/outbox.ts", "holdUntilDurable(owner.gate, restsOn,", "holdUntilDurable(owner.gate, 0,"),
  ),
  bug(
    "settle-before-durable",
    "tells the sender before the receiver's record is durable",
    edit(
      "core/sends.ts",
      "holdUntilDurable(owner.gate, at, owner.durable, effect, effects);",
      "holdUntilDurable(owner.gate, 0, owner.durable, effect, effects);",
    ),
  ),
  bug(
    "settle-lost-at-release",
    "tells no sender that the receiver's incarnation ended (ours, until the simulator found it)",
    edit(
      "core/owner-state.ts",
      'if (effect.kind === "settle") effects.push({ kind: "undelivered", from: effect.from, to: effect.to });',
      "",
    ),
  ),
];

const formerly: readonly PlantedBug[] = [
  bug(
    "watcher-told-twice",
    "tells a watcher again what it saw when it began (ours, until the simulator found it)",
    edit("core/views.ts", "    if (watcher.told === slot.version) continue;", ""),
  ),
  bug(
    "timer-limit-counts-itself",
    "refuses to set a timer again at the limit (ours, until the simulator found it)",
    edit("core/decide.ts", "const more = this.#slot.timers.has(name) ? 0 : 1;", "const more = 1;"),
  ),
];

const disk: readonly PlantedBug[] = [
  onDisk(
    "torn-block-accepted",
    "does not check a block's checksum",
    edit(
      "adapters/segments/block.ts",
      "  if (crc32(bytes.subarray(at + 4, at + length), salt) !== crc) return undefined;",
      "",
    ),
  ),
  onDisk(
    "ack-before-sync",
    "answers an append before it is on stable storage",
    edit(
      "adapters/segments/log.ts",
      "      await active.file.write(block, active.position);",
      "      void active.file.write(block.slice(), active.position).catch(() => undefined);",
    ),
  ),
  onDisk(
    "cached-end-trusted",
    "does not write the last block again, which a killed process may have left in the cache",
    edit("adapters/segments/recover.ts", "  await rewrite(active.file, scan.lastBlock);\n", ""),
  ),
  onDisk(
    "names-not-synced",
    "trusts names that a killed process did not sync (ours, until the simulator found it)",
    edit(
      "adapters/segments/open.ts",
      "    await disk.syncDirectory();\n    format = await readFormat",
      "    format = await readFormat",
    ),
  ),
];

export const bugs: readonly PlantedBug[] = [
  ...writers,
  ...outcomes,
  ...dedup,
  ...relaxed,
  ...timersAndSends,
  ...calls,
  ...formerly,
  ...quarantineBugs,
  ...checkpointBugs,
  ...feedBugs,
  ...disk,
  ...clusterBugs,
];
