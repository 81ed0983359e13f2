/**
 * The owner of one shard: the follower of its log that may also append. A synchronous state machine; `stepOwner` takes an
 * input, changes only this owner, and adds what the runtime must do to `effects`.
 *
 *   recovering --recovered--> claiming --claimed--> serving --drain--> draining --leave--> released (final)
 *        recovering <--unclaimed-- claiming          any of them --append-failed--> released
 *
 *   1 .. durable .. cut .. tail
 *        records below `durable` are in the log for good; those below `cut` are being appended; those below `tail` are
 *        decided. State is evolved up to `tail`; only what rests below `durable` is ever shown (the output gate).
 *
 * Invariants, asserted after every step: 1 <= durable <= cut <= tail; the pending records are exactly those from `cut`
 * to `tail`; a released owner does nothing more.
 */
import { assert } from "../model/errors.ts";
import type { Offset } from "../model/ids.ts";
import type { LogRecord } from "../model/records.ts";
import { isWanted, startCalls } from "./call-start.ts";
import { listCalls, operateCall } from "./call-verbs.ts";
import { takeCalled } from "./calls.ts";
import { takeCommand } from "./commands.ts";
import { forgetExpired } from "./dedup.ts";
import type { Effect, Input } from "./effects.ts";
import { takeErase } from "./erase.ts";
import { openGate } from "./gate.ts";
import { activateBusy, collectImages, evictSlots, noteStored, noteUnstored } from "./image.ts";
import { takeLook } from "./looks.ts";
import { takeOperate, takeRebuilt } from "./operate.ts";
import { deliverAll } from "./outbox.ts";
import { cutBy, type Owner, refuseWaiting, release } from "./owner-state.ts";
import { checkParkedAtReplay, markAllParked } from "./quarantine.ts";
import { takeQuery } from "./queries.ts";
import { noteCut, noteDurable } from "./relaxed.ts";
import { replayRecord } from "./replay.ts";
import { takeDelivery, takeSettlement, takeUndelivered } from "./sends.ts";
import { fireTimers } from "./timers.ts";
import { publishViews, takeWatch } from "./views.ts";
import { unwatch } from "./watchers.ts";

/** One input; what follows from it for the runtime is appended to `effects`. */
export function stepOwner(owner: Owner, input: Input, effects: Effect[]): void {
  if (owner.phase === "released") return answerUnserved(input, effects);
  switch (input.kind) {
    case "replay":
      return replayRecord(owner, input.at, input.record);
    case "recovered":
      return startClaim(owner, input, effects);
    case "extend":
      return extendReplay(owner, input);
    case "unclaimed":
      return goOnRecovering(owner);
    case "leave":
      return leave(owner, effects);
    case "claimed":
      return startServing(owner, input.nowMs, effects);
    case "appended":
      noteAppended(owner, input.tail, effects);
      break;
    case "append-failed":
      noteFailure(owner, input.reason, effects);
      break;
    case "cut":
      cutAppend(owner, input.bytesMax, effects);
      break;
    case "drain":
      if (owner.phase === "serving") owner.phase = "draining";
      // Whoever takes the shard over waits for what could wait until now.
      if (owner.pending.size > 0) cutBy(owner, 0, effects);
      break;
    case "query":
      takeQuery(owner, input, effects);
      break;
    case "look":
      takeLook(owner, input, effects);
      break;
    case "watch":
      takeWatch(owner, input.call, input.watcher, effects);
      break;
    case "unwatch":
      unwatch(owner.views, input.watcher);
      break;
    case "collect":
      collectImages(owner, input.imagesMax, effects);
      break;
    case "stored":
      noteStored(owner, input);
      break;
    case "unstored":
      noteUnstored(owner, input.entity);
      break;
    case "evict":
      evictSlots(owner, input.count);
      break;
    case "activate":
      assert(owner.phase === "recovering", "entities are activated before the replay");
      activateBusy(owner, input.entity);
      break;
    case "warm":
      if (owner.phase === "serving") owner.slots.warm(input.entity);
      break;
    default:
      if (owner.phase === "serving") stepServing(owner, input, effects);
      else if (owner.phase === "draining" && input.kind === "settle") takeSettlement(owner, input, effects);
      else if (owner.phase === "draining" && input.kind === "called") takeCalled(owner, input, effects);
      else answerUnserved(input, effects);
  }
  // Only what nobody waits for may wait itself.
  if (owner.gate.awaited >= owner.cut && owner.pending.size > 0) cutBy(owner, 0, effects);
  assertCursors(owner);
}

type ServingInput = Extract<
  Input,
  {
    kind:
      | "command"
      | "deliver"
      | "settle"
      | "undelivered"
      | "called"
      | "list-calls"
      | "operate-call"
      | "operate"
      | "erase"
      | "rebuilt"
      | "tick";
  }
>;

function stepServing(owner: Owner, input: ServingInput, effects: Effect[]): void {
  switch (input.kind) {
    case "command":
      return takeCommand(owner, input, effects);
    case "deliver":
      return takeDelivery(owner, input, effects);
    case "settle":
      return takeSettlement(owner, input, effects);
    case "undelivered":
      return takeUndelivered(owner, input, effects);
    case "called":
      return takeCalled(owner, input, effects);
    case "list-calls":
      return listCalls(owner, input, effects);
    case "operate-call":
      return operateCall(owner, input, effects);
    case "operate":
      return takeOperate(owner, input, effects);
    case "erase":
      return takeErase(owner, input, effects);
    case "rebuilt":
      return takeRebuilt(owner, input, effects);
    case "tick":
      forgetExpired(owner.dedup, input.nowMs);
      return fireTimers(owner, input.nowMs, input.chance, effects);
    default:
      input satisfies never;
  }
}

/** An owner that does not serve says so, to whoever waits for an answer. */
function answerUnserved(input: Input, effects: Effect[]): void {
  const caller = input.kind === "rebuilt" ? input.order.asked?.caller : "caller" in input ? input.caller : undefined;
  if (caller !== undefined) {
    const detail = "The shard is not being served at the moment; send the same request again.";
    effects.push({ kind: "reply", caller, result: { ok: false, code: "unavailable", detail } });
  } else if (input.kind === "deliver") {
    effects.push({ kind: "undelivered", from: input.from, to: input.send.to });
  } else if (input.kind === "watch") {
    const detail = "The shard is not being served at the moment; subscribe again.";
    effects.push({ kind: "publish", watcher: input.watcher, news: { ok: false, code: "unavailable", detail } });
  }
}

function startClaim(owner: Owner, input: Extract<Input, { kind: "recovered" }>, effects: Effect[]): void {
  assert(owner.phase === "recovering", "only a recovering owner is recovered");
  assert(owner.tail === input.tail, "every record up to the tail was replayed");
  checkParkedAtReplay(owner);
  owner.phase = "claiming";
  owner.epoch = input.epoch + 1;
  owner.timeMs = Math.max(owner.timeMs, input.nowMs);
  const record: LogRecord = { kind: "claim", time: owner.timeMs, epoch: owner.epoch, node: input.node };
  effects.push({ kind: "claim", at: owner.tail, epoch: owner.epoch, record });
}

function extendReplay(owner: Owner, { tail, nowMs }: Extract<Input, { kind: "extend" }>): void {
  assert(owner.phase === "recovering", "only a recovering owner goes on to replay");
  if (tail > owner.replay.tail) owner.replay = { ...owner.replay, tail, nowMs };
}

/** Back to the log's epoch: the claim that came first may be of the same one as this was, and is replayed now. */
function goOnRecovering(owner: Owner): void {
  assert(owner.phase === "claiming", "only a claiming owner is refused a claim");
  owner.phase = "recovering";
  owner.epoch -= 1;
}

function leave(owner: Owner, effects: Effect[]): void {
  assert(owner.phase === "draining" && owner.durable === owner.tail, "an owner leaves when nothing is under way");
  release(owner, "left", effects);
}

function startServing(owner: Owner, nowMs: number, effects: Effect[]): void {
  assert(owner.phase === "claiming", "only a claiming owner is claimed");
  owner.phase = "serving";
  owner.tail += 1;
  owner.cut = owner.durable = owner.tail;
  owner.timeMs = Math.max(owner.timeMs, nowMs);
  deliverAll(owner, effects);
  startCalls(owner, owner.timeMs, effects);
  markAllParked(owner, nowMs, effects);
  const next = owner.alarms.heap.peek();
  if (next !== undefined) effects.push({ kind: "wake", atMs: next.dueMs });
}

/** Hands over the decided records, as many as fit. Views are computed here: at this moment state is exactly `tail`. */
function cutAppend(owner: Owner, bytesMax: number, effects: Effect[]): void {
  assert(owner.cut === owner.durable, "one append is in flight at most");
  publishViews(owner, effects);
  const records: LogRecord[] = [];
  let bytes = 0;
  for (let item = owner.pending.peek(); item !== undefined; item = owner.pending.peek()) {
    if (records.length > 0 && (bytes + item.bytes > bytesMax || records.length >= owner.limits.appendRecordsMax)) break;
    records.push(item.record);
    bytes += item.bytes;
    owner.pending.shift();
  }
  if (records.length === 0) return;
  effects.push({ kind: "append", at: owner.cut, epoch: owner.epoch, records });
  owner.cut += records.length;
  owner.cutBytes = bytes;
  owner.cutByMs = owner.pending.size > 0 ? 0 : Number.POSITIVE_INFINITY;
  noteCut(owner.relaxed, owner.pending.size === 0);
}

function noteAppended(owner: Owner, tail: Offset, effects: Effect[]): void {
  assert(tail === owner.cut, "the log's tail after an append is the owner's");
  owner.full = false;
  for (; owner.durable < tail; owner.durable++) {
    const slot = owner.unsettled.shift();
    assert(slot !== undefined, "every undurable record has a slot");
    slot.waiting--;
  }
  owner.pendingBytes -= owner.cutBytes;
  owner.cutBytes = 0;
  noteDurable(owner.relaxed);
  openGate(owner.gate, owner.durable, effects, (effect) => isWanted(owner, effect));
  if (owner.pending.size > 0) effects.push({ kind: "pending", byMs: owner.cutByMs });
}

function noteFailure(owner: Owner, reason: "fenced" | "full" | "unknown", effects: Effect[]): void {
  if (reason === "full") {
    owner.full = true;
    refuseWaiting(
      owner,
      "disk-full",
      "The log has no space. Free some, then send the same request again: it may be carried out in the meantime.",
      effects,
    );
    return;
  }
  const code = reason === "fenced" ? "fenced" : "outcome-unknown";
  refuseWaiting(
    owner,
    code,
    "The shard was taken over or the log did not answer; send the same request again.",
    effects,
  );
  release(owner, reason, effects);
}

function assertCursors(owner: Owner): void {
  assert(owner.durable >= 1 && owner.durable <= owner.cut && owner.cut <= owner.tail, "1 <= durable <= cut <= tail");
  assert(
    owner.tail - owner.cut === owner.pending.size || owner.phase === "released",
    "pending records are those from cut to tail",
  );
}
