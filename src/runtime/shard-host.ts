/**
 * Hosts one shard: steps its owner and performs what the owner asks for. The only switch over effects.
 *
 * Invariants:
 * 1. The owner is stepped by one caller at a time, never from inside its own step: effects are performed after it.
 * 2. An owner that was released is never stepped into service again; a new one recovers from the log.
 */

import { answerFromRecord } from "../core/commands.ts";
import type { Effect, Input, RebuildOrder, WatcherToken } from "../core/effects.ts";
import { stepOwner } from "../core/owner.ts";
import { makeOwner, type Owner, type OwnerOptions } from "../core/owner-state.ts";
import { assert, HoldfastError, isHoldfastError } from "../model/errors.ts";
import { formatRef, type Offset, type ShardId } from "../model/ids.ts";
import type { ShardImage, StoredImage } from "../model/images.ts";
import type { CallResult, CommandCall, EntityRef, LogRecord, StepRecord, WatchNews } from "../model/records.ts";
import type { Append } from "../ports/log.ts";
import { type Chain, encodeFrame } from "../wire/frame.ts";
import { encodeImage } from "../wire/image.ts";

/** Inputs that run a decide. */
const decides: ReadonlySet<Input["kind"]> = new Set(["command", "deliver", "settle", "tick"]);

function describeStep(input: Input, shard: ShardId): string {
  switch (input.kind) {
    case "command":
      return `decide of "${input.call.command}" on ${formatRef(input.call.entity)}`;
    case "deliver":
      return `decide of "${input.send.command}" on ${formatRef(input.send.to)}`;
    case "settle":
      return `decide of a reply on ${formatRef(input.from)}`;
    default:
      return `timers of shard ${shard}`;
  }
}

/** Who asked; `answer` is called once, not from inside the call. */
export interface CallerToken {
  readonly answer: (result: CallResult) => void;
}

export interface Watching extends WatcherToken {
  readonly listener: (news: WatchNews) => void;
  over: boolean;
}

export type ReleaseReason = Extract<Effect, { kind: "release" }>["reason"];

/** What a host needs of the node around it. */
export interface HostSurroundings {
  /** Calls `answer(result)` after the present step, together with others. */
  answer(caller: CallerToken, result: CallResult): void;
  publish(watching: Watching, news: WatchNews): void;
  /** This host has records for the log, which are to be on their way by then. */
  pending(host: ShardHost, byMs: number): void;
  wake(host: ShardHost, atMs: number): void;
  /** The state of an entity is to be made anew from the log; `rebuilt` brings it. */
  rebuild(host: ShardHost, order: RebuildOrder): void;
  /** For how long the author's code ran. */
  monotonic(): number;
  /** A step took longer than a decide may. */
  overBudget(): void;
  /** Runs a handler for this host, until `released`. */
  call(host: ShardHost, effect: Extract<Effect, { kind: "call" }>): void;
  /** The owner of another entity takes this input. */
  route(entity: EntityRef, input: Input): void;
  readRecord(shard: ShardId, at: Offset): Promise<StepRecord | undefined>;
  fault(where: string, error: unknown): void;
  /** A frame of this host is durable. */
  durable(append: Append): void;
  /** The shard is served, by a new incarnation: what stands in the log below `owner.durable` is durable. */
  served(host: ShardHost): void;
  /** The incarnation ended; the node recovers the shard. */
  released(host: ShardHost, reason: ReleaseReason): void;
  now(): number;
  readonly chance: Extract<Input, { kind: "command" }>["chance"];
  /** Hands a promise to the supervisor, which ends the node if it fails. */
  supervise(work: Promise<void>): void;
}

export class ShardHost {
  readonly shard: ShardId;
  owner: Owner;
  /** Chain of the last frame that was appended or replayed; undefined before the first frame of a trimmed log. */
  chain: Chain | undefined = 0;
  /** The frame that is being appended, and the chain after it. */
  underway: { readonly append: Append; readonly chain: Chain } | undefined;
  /** Of incarnations that ended: what they looked up and forgot. */
  readonly past = { hits: 0, activations: 0, evictions: 0 };
  /** An image could not be read since the last restore. */
  damaged = false;
  readonly #options: OwnerOptions;
  readonly #around: HostSurroundings;
  #images: StoredImage[] = [];

  constructor(options: OwnerOptions, around: HostSurroundings) {
    this.shard = options.shard;
    this.#options = options;
    this.#around = around;
    this.owner = makeOwner(options);
  }

  /** Starts over: a new owner with nothing in memory, which will replay what `from` does not contain, up to `tail`. */
  reset(tail: Offset, from?: ShardImage): void {
    assert(this.underway === undefined, "a shard starts over only when its append has ended");
    const nowMs = this.#around.now();
    const { hits, activations, evictions } = this.owner.slots;
    this.past.hits += hits;
    this.past.activations += activations;
    this.past.evictions += evictions;
    this.owner = makeOwner(this.#options, from === undefined ? { tail, nowMs } : { tail, nowMs, from });
    this.chain = from === undefined ? 0 : from.chain;
  }

  /** Encoded images of entities that changed, `imagesMax` at most. Keep one only when its `touched` is durable. */
  collect(imagesMax: number): StoredImage[] {
    this.#images = [];
    this.step({ kind: "collect", imagesMax });
    return this.#images;
  }

  step(input: Input): void {
    const effects: Effect[] = [];
    const timed = decides.has(input.kind);
    const startMs = timed ? this.#around.monotonic() : 0;
    const { tail } = this.owner;
    try {
      stepOwner(this.owner, input, effects);
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "state-damaged") throw error;
      this.damaged = true;
      if (this.owner.phase === "recovering") throw error;
      // Nothing was decided yet: whoever asked is told by the step below that the shard is not served.
      for (const effect of effects) this.#perform(effect);
      this.abandon(error);
      return this.step(input);
    }
    if (timed) this.#checkBudget(input, this.#around.monotonic() - startMs, this.owner.tail - tail);
    for (const effect of effects) this.#perform(effect);
    if (input.kind === "claimed") this.#around.served(this);
  }

  /** An entity's image cannot be read: this incarnation ends, the next begins without the state store. */
  abandon(error: unknown): void {
    this.damaged = true;
    this.#around.fault(`the state store of shard ${this.shard}`, error);
    this.step({ kind: "append-failed", reason: "unknown" });
  }

  /** Code that runs too long holds up everybody; it cannot be interrupted, but it can be named. */
  #checkBudget(input: Input, tookMs: number, recorded: number): void {
    const { decideBudgetMs } = this.#options.limits;
    // a tick fires many timers
    if (tookMs <= decideBudgetMs * Math.max(1, recorded)) return;
    this.#around.overBudget();
    const detail = `took ${Math.round(tookMs)} ms; a decide may take ${decideBudgetMs} ms`;
    this.#around.fault(`${describeStep(input, this.shard)} ${detail}`, new HoldfastError("overloaded", detail));
  }

  /** Makes the frame of everything that is decided, for the next group commit. */
  cut(bytesMax: number): Append | undefined {
    assert(this.underway === undefined, "one append of a shard is in flight at most");
    this.step({ kind: "cut", bytesMax });
    return (this.underway as { append: Append } | undefined)?.append;
  }

  /** The append in flight is durable. */
  appended(tail: Offset): void {
    assert(this.underway !== undefined, "an append was in flight");
    const { append, chain } = this.underway;
    this.chain = chain;
    this.underway = undefined;
    this.#around.durable(append);
    this.step({ kind: "appended", tail });
  }

  #perform(effect: Effect): void {
    const around = this.#around;
    switch (effect.kind) {
      case "reply":
        return around.answer(effect.caller as CallerToken, effect.result);
      case "publish":
        return around.publish(effect.watcher as Watching, effect.news);
      case "pending":
        return around.pending(this, effect.byMs);
      case "wake":
        return around.wake(this, effect.atMs);
      case "rebuild":
        return around.rebuild(this, effect.order);
      case "claim":
        return this.#frame(effect.at, effect.epoch, [effect.record]);
      case "append":
        return this.#frame(effect.at, effect.epoch, effect.records);
      case "fault":
        return around.fault(effect.where, effect.error);
      case "release":
        return around.released(this, effect.reason);
      case "call":
        return around.call(this, effect);
      case "image":
        return void this.#images.push(encodeImage(effect.image));
      case "recall":
        return around.supervise(this.#recall(effect.caller as CallerToken, effect.at, effect.call));
      default:
        return this.#routeSend(effect);
    }
  }

  #routeSend(effect: Extract<Effect, { kind: "send" | "settle" | "undelivered" }>): void {
    const around = this.#around;
    const nowMs = around.now();
    const { chance } = around;
    switch (effect.kind) {
      case "send":
        return around.route(effect.send.to, { kind: "deliver", from: effect.from, send: effect.send, nowMs, chance });
      case "settle":
        return around.route(effect.from, { ...effect, nowMs, chance });
      case "undelivered":
        return around.route(effect.from, { ...effect, nowMs });
      default:
        effect satisfies never;
    }
  }

  #frame(at: Offset, epoch: number, records: readonly LogRecord[]): void {
    const { bytes, chain } = encodeFrame({ shard: this.shard, epoch, at }, records, this.chain ?? 0);
    this.underway = { append: { shard: this.shard, epoch, at, count: records.length, frame: bytes }, chain };
  }

  /** Answers a repeated request id whose outcome is no longer in memory from the log. */
  async #recall(caller: CallerToken, at: Offset, call: CommandCall): Promise<void> {
    const record = await this.#around.readRecord(this.shard, at);
    if (record === undefined) {
      const detail =
        "This request id was used, and its record is no longer kept. Read the entity to learn what it did.";
      this.#around.answer(caller, { ok: false, code: "request-expired", detail });
    } else {
      this.#around.answer(caller, answerFromRecord(record, call, at));
    }
  }
}
