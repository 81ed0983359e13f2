/**
 * Stands between the node and its log, and remembers what was durable: the one truth that everything else is held to.
 *
 * Invariants: it learns of a frame before the node does, and only of durable ones (an append that was answered, a frame
 * that was read). What it has seen may never change or go away.
 */
import { isHoldfastError } from "../model/errors.ts";
import { formatRef, isOwnType, type Offset, type ShardId } from "../model/ids.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { LogRecord, Outcome, StepRecord } from "../model/records.ts";
import type { Append, AppendResult, LogFrame, ShardLog } from "../ports/log.ts";
import { type Chain, decodeFrame } from "../wire/frame.ts";
import { EarlyAnswers } from "./early-answers.ts";
import { mayBeParked } from "./entities.ts";
import { Ledger } from "./ledger.ts";
import { ModelEntity } from "./model.ts";
import type { World } from "./world.ts";

/** One command with a request id, as the log has it. */
export interface Recorded {
  readonly entity: string;
  readonly command: string;
  readonly at: Offset;
  readonly outcome: Outcome;
  /** Version of the entity after it. */
  readonly version: Offset;
}

export interface SeenFrame {
  readonly at: Offset;
  readonly count: number;
  readonly bytes: Uint8Array;
}

interface ShardTruth {
  next: Offset;
  chain: Chain;
  epoch: number;
  timeMs: number;
  claims: number;
  trimmed: Offset;
  readonly frames: Map<Offset, SeenFrame>;
  /** Of every offset from 1 on: its record, and the checksum of the frame that holds it. */
  readonly records: LogRecord[];
  readonly chains: Chain[];
}

export class Witness {
  readonly ledger: Ledger;
  readonly early: EarlyAnswers;
  readonly requests = new Map<string, Recorded>();
  /** The `park` marks that no `resume` has followed. */
  readonly parked = new Map<string, MarkRecord>();
  readonly entities = new Map<string, ModelEntity>();
  readonly shards: readonly ShardTruth[];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
    this.ledger = new Ledger(world);
    this.early = new EarlyAnswers(world);
    this.shards = Array.from({ length: world.swarm.shardCount }, () => ({
      next: 1,
      chain: 0,
      epoch: 0,
      timeMs: 0,
      claims: 0,
      trimmed: 1,
      frames: new Map(),
      records: [],
      chains: [],
    }));
  }

  entity(ref: string): ModelEntity {
    let entity = this.entities.get(ref);
    if (entity === undefined) this.entities.set(ref, (entity = new ModelEntity(ref.split("/")[0] as string)));
    return entity;
  }

  /** A frame is durable. */
  saw(shard: ShardId, at: Offset, bytes: Uint8Array, epoch: number): void {
    const truth = this.shards[shard] as ShardTruth;
    const known = truth.frames.get(at);
    if (known !== undefined) {
      if (Buffer.compare(known.bytes, bytes) === 0) return;
      return this.#world.violated("what is durable stays", `shard ${shard} has another frame at ${at} than before`);
    }
    if (at !== truth.next) {
      const detail = `shard ${shard}: a frame at ${at}, where ${truth.next} is the next`;
      return this.#world.violated("the log has no gaps", detail);
    }
    const copy = Uint8Array.from(bytes);
    try {
      const frame = decodeFrame(copy, shard, at, truth.chain);
      truth.chain = frame.chain;
      truth.next = at + frame.records.length;
      truth.frames.set(at, { at, count: frame.records.length, bytes: copy });
      if (frame.epoch !== epoch)
        this.#world.violated("epochs only grow", `the engine says epoch ${epoch} of ${frame.epoch}`);
      if (frame.epoch < truth.epoch) this.#world.violated("epochs only grow", `${frame.epoch} after ${truth.epoch}`);
      if (frame.epoch !== truth.epoch && frame.records[0]?.kind !== "claim")
        this.#world.violated("an epoch begins with its claim", `shard ${shard}: epoch ${frame.epoch} at ${at}`);
      truth.epoch = frame.epoch;
      this.#world.counts.records += frame.records.length;
      frame.records.forEach((record, index) => {
        truth.records.push(record);
        truth.chains.push(frame.chain);
        if (record.time < truth.timeMs)
          this.#world.violated("recorded time does not go back", `shard ${shard} at ${at}`);
        truth.timeMs = record.time;
        if (record.kind === "step" && record.entity.type === "sapling")
          this.#world.deployments.recorded(shard, record.events);
        if (record.kind === "step") this.#apply(record, at + index);
        else if (record.kind === "mark") this.#applyMark(record, at + index);
        else truth.claims++;
      });
    } catch (error) {
      const detail = isHoldfastError(error) ? error.message : String(error);
      this.#world.violated("frames follow each other", `shard ${shard}: ${detail}`);
    }
  }

  /** The log of the shard begins there. */
  #trimmed(shard: ShardId, at: Offset): void {
    const truth = this.shards[shard] as ShardTruth;
    this.#world.deployments.trimmed(shard);
    if (at > truth.trimmed) this.#world.counts.trims++;
    truth.trimmed = Math.max(truth.trimmed, at);
  }

  #applyMark(mark: MarkRecord, at: Offset): void {
    const name = formatRef(mark.entity);
    this.#world.note(
      `mark ${mark.verb} of ${name} at ${at} ${mark.verb === "park" ? mark.park?.why : mark.left.length}`,
    );
    if (!mayBeParked.has(mark.entity.type))
      this.#world.violated("neighbours do not notice", `${name} was parked: ${mark.park?.error ?? mark.verb}`);
    const entity = this.entity(name);
    const parked = this.parked.get(name);
    if (mark.verb === "park") {
      this.parked.set(name, mark);
    } else {
      if (parked === undefined) this.#world.violated("verbs are for the parked", `${mark.verb} of ${name} at ${at}`);
      if (mark.principal.kind !== "operator")
        this.#world.violated("verbs are an operator's", `${mark.verb} of ${name} by ${mark.principal.kind}`);
      if (mark.verb === "resume") this.parked.delete(name);
      const captured = mark.park?.captured ?? null;
      if (captured !== null) this.ledger.skip(mark, captured, at);
    }
    const problem = entity.applyMark(mark, at);
    if (problem !== undefined) this.#world.violated("a skip leaves out what it says", `${name} at ${at}: ${problem}`);
  }

  /** What Holdfast keeps for itself is told to whoever watches it. */
  onOwn: (record: StepRecord) => void = () => {};

  #apply(record: StepRecord, at: Offset): void {
    const name = formatRef(record.entity);
    if (isOwnType(record.entity.type)) {
      this.ledger.apply(record, at);
      return this.onOwn(record);
    }
    const entity = this.entity(name);
    if (this.parked.has(name))
      this.#world.violated("a parked entity takes no commands", `"${record.command}" on ${name} at ${at}`);
    entity.apply(record, at);
    this.ledger.apply(record, at);
    if (entity.balance < 0) this.#world.violated("no wallet is overdrawn", `${name} at ${at}`);
    this.#checkOutcome(record, name, entity);
    if (record.cause.kind !== "request") return;
    const { requestId } = record.cause;
    if (this.requests.has(requestId)) {
      this.#world.violated("commands have one effect", `request ${requestId} is in the log twice, again at ${at}`);
    }
    const { command, outcome } = record;
    const recorded = { entity: name, command, at, outcome, version: entity.version };
    this.requests.set(requestId, recorded);
    this.early.recorded(requestId, recorded);
  }

  /** The recorded reply is the one that the state at that moment gives. */
  #checkOutcome(record: StepRecord, name: string, entity: ModelEntity): void {
    const { outcome } = record;
    const told = outcome.ok ? outcome.value : outcome.reason === "never" ? outcome.details : undefined;
    if (told === undefined) return;
    const expected = entity.reply(record);
    if (expected !== undefined && JSON.stringify(told) !== expected) {
      const detail = `"${record.command}" on ${name} recorded ${JSON.stringify(told)}, the model says ${expected}`;
      this.#world.violated("replies are the log's state", detail);
    }
  }

  /** A log that tells the witness first. */
  watch(log: ShardLog): ShardLog {
    const note = (appends: readonly Append[], results: readonly AppendResult[]) => {
      results.forEach((result, index) => {
        const { shard, at, epoch, frame } = appends[index] as Append;
        const told = result.ok ? "ok" : result.reason;
        this.#world.note(`log shard ${shard} at ${at} epoch ${epoch} ${frame.length} bytes: ${told}`);
        if (result.ok) this.saw(shard, at, frame, epoch);
      });
      return results;
    };
    return {
      tail: async (shards) => {
        // Asked in the midst of serving, as reads are, to learn what became of an append: the log is as slow as both.
        const answered = this.early.began();
        const positions = await log.tail(shards);
        positions.forEach(({ trimmed }, index) => trimmed > 1 && this.#trimmed(shards[index] as ShardId, trimmed));
        answered(true);
        return positions;
      },
      claim: async (claims) => {
        const results = note(claims, await log.claim(claims));
        this.early.claimed(claims.map(({ shard }) => shard));
        return results;
      },
      append: async (appends) => {
        const answered = this.early.began();
        const results = note(appends, await log.append(appends));
        answered(results.every(({ ok }) => ok));
        return results;
      },
      read: (from) => this.#reading(log, from),
      trim: (shard, before) => log.trim(shard, before),
      close: () => log.close(),
    };
  }

  /** A feed may read from an end on that only others know of: appends without an answer, claims elsewhere. */
  async #catchUp(log: ShardLog, shard: ShardId, until: Offset): Promise<void> {
    const { next } = this.shards[shard] as ShardTruth;
    if (next >= until) return;
    for await (const batch of log.read(new Map([[shard, next]])))
      for (const { at, bytes, epoch } of batch) if (at < until) this.saw(shard, at, bytes, epoch);
  }

  async *#reading(log: ShardLog, from: ReadonlyMap<ShardId, Offset>): AsyncGenerator<readonly LogFrame[]> {
    const answered = this.early.began();
    try {
      for await (const batch of log.read(from)) {
        for (const { shard, at, bytes, epoch } of batch) {
          if (this.#world.swarm.feeds.followers > 0) await this.#catchUp(log, shard, at);
          this.saw(shard, at, bytes, epoch);
        }
        yield batch;
      }
    } finally {
      // also of a feed that gave its reading up
      answered(true);
    }
  }
}
