/**
 * Replays a whole log against code and reports everything that does not fit, before that code is deployed.
 *
 * Invariants: an entity that fails costs the report nothing of the others; nothing is left out silently (a count stands
 * beside a list that was cut); equal logs and equal code give equal reports.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type EntityRef, formatRef, type Offset, type ShardId, shardOf } from "../model/ids.ts";
import type { MarkRecord } from "../model/marks.ts";
import type { StepRecord } from "../model/records.ts";
import { hashState, type StateHash, type StateHashes } from "./hash.ts";
import { PastSlots } from "./replay.ts";
import { type Definitions, findStarts, type HistorySource, type ReadProgress, readRecords } from "./source.ts";

/**
 * - `unknown-event`    the log holds an entity type, an event or a version that the code does not know
 * - `evolve-failed`    an evolve or an upcast threw, and no operator has dealt with that record: the entity would be parked
 * - `not-plain`        the state holds what no snapshot could: a Date, a Map, NaN, a cycle
 * - `unknown-command`  a timer, a reply to a send or a call waits for what the code does not have
 * - `state-differs`    the state has another hash than was recorded
 * - `missing`          an entity of the recorded hashes is not there
 * - `unexpected`       an entity is there that the recorded hashes do not have
 * - `log-shorter`      the log ends before the offset up to which hashes were recorded
 */
export type DivergenceKind =
  | "unknown-event"
  | "evolve-failed"
  | "not-plain"
  | "unknown-command"
  | "state-differs"
  | "missing"
  | "unexpected"
  | "log-shorter";

export interface Divergence {
  readonly kind: DivergenceKind;
  readonly shard: ShardId;
  /** `type/key`; undefined for a whole shard. */
  readonly entity: string | undefined;
  /** Where in the log; 0 if it is no single record. */
  readonly offset: Offset;
  readonly detail: string;
}

export interface Verification {
  readonly records: number;
  readonly entities: number;
  /** Entities whose recorded hash was compared. */
  readonly compared: number;
  /** In the order in which they were found; at most `divergencesKept`. */
  readonly divergences: readonly Divergence[];
  /** All of them. */
  readonly divergenceCount: number;
  /** As of the end of the log, without the entities that failed. */
  readonly hashes: StateHashes;
}

export interface VerifyOptions {
  /** Hashes to compare with, as of the tails they were recorded at. */
  readonly against?: StateHashes;
  readonly progress?: ReadProgress;
}

/** A log that does not fit at all must not fill the memory with what is wrong. */
export const divergencesKept = 10_000;

/** @throws `log-damaged` as the log's `read` does; `invalid-input` the hashes are of a service with other shards */
export async function verifyHistory(
  source: HistorySource,
  definitions: Definitions,
  options: VerifyOptions = {},
): Promise<Verification> {
  const { against } = options;
  if (against !== undefined && against.shardCount !== source.shardCount) throw otherShards(against, source);
  const shards = Array.from({ length: source.shardCount }, (_, shard) => shard);
  const starts = await findStarts(source, shards, undefined);
  const found = new Findings();
  const byShard: ShardVerifier[] = [];
  for (const { shard, start, tail } of starts) {
    const slots = new PastSlots(definitions);
    if (start !== undefined) await slots.load(start);
    byShard[shard] = new ShardVerifier({ shard, tail, slots, against, found });
  }
  for await (const { shard, at, records } of readRecords(source, starts, options.progress)) {
    const verifier = byShard[shard] as ShardVerifier;
    for (const [index, record] of records.entries()) {
      found.records++;
      verifier.take(at + index, record.kind === "claim" ? undefined : record);
    }
  }
  const entities: Record<string, StateHash> = {};
  for (const verifier of byShard) verifier.end(entities);
  const tails = starts.map(({ tail }) => tail);
  return {
    records: found.records,
    entities: byShard.reduce((sum, { size }) => sum + size, 0),
    compared: found.compared,
    divergences: found.kept,
    divergenceCount: found.count,
    hashes: { format: "holdfast-state-hashes", version: 1, shardCount: source.shardCount, tails, entities },
  };
}

class Findings {
  readonly kept: Divergence[] = [];
  count = 0;
  records = 0;
  compared = 0;

  add(divergence: Divergence): void {
    this.count++;
    if (this.kept.length < divergencesKept) this.kept.push(divergence);
  }
}

interface ShardFacts {
  readonly shard: ShardId;
  readonly tail: Offset;
  readonly slots: PastSlots;
  readonly against: StateHashes | undefined;
  readonly found: Findings;
}

class ShardVerifier {
  readonly #facts: ShardFacts;
  readonly #slots: PastSlots;
  /** Entities that failed: their later records mean nothing any more. */
  readonly #failed = new Set<string>();
  /** Where the recorded hashes were taken; 0 when they were compared. */
  #compareAt: Offset;

  constructor(facts: ShardFacts) {
    this.#facts = facts;
    this.#slots = facts.slots;
    this.#compareAt = facts.against?.tails[facts.shard] ?? 0;
  }

  get size(): number {
    return this.#slots.size;
  }

  take(at: Offset, record: StepRecord | MarkRecord | undefined): void {
    if (at === this.#compareAt) this.#compare();
    if (record === undefined) return;
    if (this.#failed.size > 0 && this.#failed.has(formatRef(record.entity))) return;
    try {
      this.#slots.replay(at, record);
    } catch (error) {
      if (!isHoldfastError(error) || error.code !== "unknown-event") throw error;
      this.#failed.add(formatRef(record.entity));
      this.#note("unknown-event", record.entity, at, error.message);
    }
  }

  /** Everything was replayed. Adds the hashes of this shard. */
  end(hashes: Record<string, StateHash>): void {
    const { shard, tail } = this.#facts;
    if (this.#compareAt === tail) this.#compare();
    if (this.#compareAt > tail) {
      const detail = `The log of shard ${shard} ends at offset ${tail - 1}; the hashes were recorded at ${this.#compareAt - 1}.`;
      this.#note("log-shorter", undefined, tail, detail);
    }
    for (const [{ ref }, { at, error }] of this.#slots.broken) {
      if (this.#failed.has(formatRef(ref))) continue;
      this.#failed.add(formatRef(ref));
      this.#note("evolve-failed", ref, at, error.message);
    }
    for (const slot of this.#slots.values()) {
      const name = formatRef(slot.ref);
      if (this.#failed.has(name)) continue;
      const hash = this.#hash(slot.ref, slot.state, slot.touched);
      if (hash !== undefined) hashes[name] = { version: slot.version, hash };
      const { commands } = slot.definition;
      for (const { name: timer, command, setAt } of slot.timers.values()) {
        if (!commands.has(command))
          this.#note("unknown-command", slot.ref, setAt, `Timer "${timer}" waits to run "${command}", which is gone.`);
      }
      for (const { queue, to } of slot.outbox.values()) {
        for (const { send, at } of queue) {
          if (send.reply === undefined || commands.has(send.reply)) continue;
          const detail = `A send to ${formatRef(to)} waits to answer "${send.reply}", which is gone.`;
          this.#note("unknown-command", slot.ref, at, detail);
        }
      }
      for (const { id, body } of slot.calls.values()) {
        const { name: call, result } = body;
        if (result !== undefined && !commands.has(result))
          this.#note("unknown-command", slot.ref, id.at, `Call "${call}" waits to answer "${result}", which is gone.`);
        if (!slot.definition.calls.has(call))
          this.#note("unknown-command", slot.ref, id.at, `Call "${call}" stands, and the code does not have it.`);
      }
    }
  }

  /** Compares what is there now with what was recorded at this offset. */
  #compare(): void {
    const { against, found } = this.#facts;
    this.#compareAt = 0;
    for (const slot of this.#slots.values()) {
      const name = formatRef(slot.ref);
      if (this.#failed.has(name) || this.#slots.broken.has(slot)) continue;
      const recorded = against?.entities[name];
      if (recorded === undefined) {
        this.#note("unexpected", slot.ref, slot.touched, "The recorded hashes do not have this entity.");
        continue;
      }
      found.compared++;
      const hash = this.#hash(slot.ref, slot.state, slot.touched);
      if (hash === undefined || (hash === recorded.hash && slot.version === recorded.version)) continue;
      const detail = `State hash ${hash} at version ${slot.version}, recorded was ${recorded.hash} at version ${recorded.version}.`;
      this.#note("state-differs", slot.ref, slot.version, detail);
    }
    this.#compareMissing(against);
  }

  #compareMissing(against: StateHashes | undefined): void {
    const { shard } = this.#facts;
    for (const name of recordedIn(against, shard)) {
      if (this.#slots.get(refOf(name)) !== undefined || this.#failed.has(name)) continue;
      this.#note("missing", refOf(name), 0, "The recorded hashes have this entity, the log does not.");
    }
  }

  #hash(entity: EntityRef, state: unknown, at: Offset): string | undefined {
    try {
      return hashState(state);
    } catch (error) {
      this.#failed.add(formatRef(entity));
      this.#note("not-plain", entity, at, `The state is not plain data: ${(error as Error).message}.`);
      return undefined;
    }
  }

  #note(kind: DivergenceKind, entity: EntityRef | undefined, offset: Offset, detail: string): void {
    const name = entity === undefined ? undefined : formatRef(entity);
    this.#facts.found.add({ kind, shard: this.#facts.shard, entity: name, offset, detail });
  }
}

const recordedNames = new WeakMap<StateHashes, ReadonlyMap<ShardId, readonly string[]>>();

/** Names of a shard in recorded hashes; sorted out once, since every shard asks. */
function recordedIn(against: StateHashes | undefined, shard: ShardId): readonly string[] {
  if (against === undefined) return [];
  let names = recordedNames.get(against);
  if (names === undefined) {
    names = Map.groupBy(Object.keys(against.entities), (name) => shardOfName(name, against.shardCount));
    recordedNames.set(against, names);
  }
  return names.get(shard) ?? [];
}

function shardOfName(name: string, shardCount: number): ShardId {
  const { type, key } = refOf(name);
  return shardOf(type, key, shardCount);
}

function refOf(name: string): EntityRef {
  const slash = name.indexOf("/");
  return { type: name.slice(0, slash), key: name.slice(slash + 1) };
}

function otherShards(against: StateHashes, source: HistorySource): HoldfastError {
  const text = `The hashes are of a service with ${against.shardCount} shards, and this one has ${source.shardCount}.`;
  return new HoldfastError("invalid-input", `${text} Record them again with \`holdfast verify --write\`.`);
}
