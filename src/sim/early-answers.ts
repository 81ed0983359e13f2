/**
 * What relaxed commands were told before it was durable, and what became of it.
 *
 * Invariants, for each early answer of one life of the node and one incarnation of its shard:
 * 1. It is durable within its window, or a call of the log took more than its share of that, failed, or the life ended.
 * 2. No other of its shard is given while it is older than its window and not durable.
 * 3. What becomes durable is what was told. What does not may be lost, and its request id carried out again.
 */
import { formatRef, shardOf } from "../model/ids.ts";
import { relaxedShare } from "../model/limits.ts";
import type { CallResult, CommandCall } from "../model/records.ts";
import { entities } from "./entities.ts";
import type { Recorded } from "./witness.ts";
import type { World } from "./world.ts";

interface Early {
  readonly call: CommandCall;
  readonly result: CallResult;
  readonly shard: number;
  readonly atMs: number;
  readonly windowMs: number;
}

/** Turns of the event loop between a decision, its answer, and the append: at most four, and the clock's whole ms. */
const turnsMs = 22;

export class EarlyAnswers {
  readonly #world: World;
  /** Told, not durable yet, and not given up. */
  readonly #open = new Map<string, Early>();
  /** When the log was asked to append, and when it answered. */
  readonly #appends: { readonly fromMs: number; untilMs: number }[] = [];
  /** When a call of the log last failed, or a shard was claimed. */
  #troubleMs = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** The node begins an append. @returns to be called with its answer */
  began(): (well: boolean) => void {
    const { timeline } = this.#world;
    const append = { fromMs: timeline.nowMs, untilMs: Number.POSITIVE_INFINITY };
    this.#appends.push(append);
    return (well) => {
      append.untilMs = timeline.nowMs;
      if (!well) this.#troubleMs = timeline.nowMs;
    };
  }

  /** A shard starts over: what its incarnation before had not in the log is gone. */
  claimed(shards: readonly number[]): void {
    this.#troubleMs = this.#world.timeline.nowMs;
    for (const [id, early] of this.#open) if (shards.includes(early.shard)) this.#lose(id);
  }

  /** The process is gone. */
  ended(): void {
    for (const id of this.#open.keys()) this.#lose(id);
    this.#appends.length = 0;
  }

  told(call: CommandCall, result: CallResult): void {
    const { timeline, swarm } = this.#world;
    const shard = shardOf(call.entity.type, call.entity.key, swarm.shardCount);
    const atMs = timeline.nowMs;
    const windowMs = windowOf(call);
    const what = `"${call.command}" on ${formatRef(call.entity)}, request ${call.requestId}`;
    if (windowMs === 0) return this.#world.violated("replies rest on durable records", `${what} was answered early`);
    for (const { atMs: firstMs, windowMs: its, shard: other } of this.#open.values()) {
      if (other !== shard || atMs <= firstMs + its + turnsMs) continue;
      const detail = `${what} was answered early, ${atMs - firstMs} ms after one that is not durable yet`;
      return this.#world.violated("early answers are lost within one window", detail);
    }
    if (this.#open.has(call.requestId)) return;
    this.#world.counts.early++;
    const early: Early = { call, result, shard, atMs, windowMs };
    this.#open.set(call.requestId, early);
    timeline.after(windowMs + turnsMs, () => this.#check(early, what));
  }

  /** The log has it. */
  recorded(requestId: string, { outcome }: Recorded): void {
    const early = this.#open.get(requestId);
    if (early === undefined) return;
    this.#open.delete(requestId);
    const { result } = early;
    const told = result.ok ? result.value : (result.details ?? null);
    const kept = outcome.ok ? outcome.value : outcome.details;
    if (result.ok === outcome.ok && JSON.stringify(told) === JSON.stringify(kept)) return;
    const detail = `request ${requestId} was told ${JSON.stringify(told)}, its record has ${JSON.stringify(kept)}`;
    this.#world.violated("early answers are what is recorded", detail);
  }

  #check(early: Early, what: string): void {
    if (this.#open.get(early.call.requestId) !== early || this.#excused(early)) return;
    const detail = `${what} was answered ${this.#world.timeline.nowMs - early.atMs} ms ago, its window is ${early.windowMs}`;
    this.#world.violated("early answers are durable within their window", detail);
  }

  #excused({ atMs, windowMs }: Early): boolean {
    const { timeline, swarm } = this.#world;
    // code that breaks its shard takes the shard's early answers with it, and starts over after a pause
    if (this.#troubleMs >= atMs || swarm.fragiles > 0) return true;
    return this.#appends.some(({ fromMs, untilMs }) => {
      const tookMs = Math.min(untilMs, timeline.nowMs) - fromMs;
      return untilMs >= atMs && tookMs > windowMs * relaxedShare.append;
    });
  }

  #lose(id: string): void {
    this.#world.counts.lost++;
    this.#open.delete(id);
  }
}

function windowOf({ entity, command }: CommandCall): number {
  const durability = entities.find(({ name }) => name === entity.type)?.commands.get(command)?.durability;
  return typeof durability === "object" ? durability.relaxed.windowMs : 0;
}
