/**
 * Queries that the copy of a standby answers, with how old it may be.
 *
 * The lag is a bound and not a guess: a copy that has the tail which the log told is whole as of the moment when the log was asked, whatever
 * becomes of messages and owners. Invariants: an answer rests on records that are durable; none is further behind than its caller allows;
 * one question to the log is under way, for all shards that are followed here and asked for.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Offset, ShardId } from "../../model/ids.ts";
import type { CallResult, QueryCall } from "../../model/records.ts";
import type { ShardLog } from "../../ports/log.ts";
import type { Door } from "../door.ts";
import type { FeedSource } from "../feed-source.ts";
import type { ShardRoles } from "../shard-roles.ts";

/** How old an answer may be if its caller does not say, ms. */
const lagMsDefault = 1_000;
const lagMsMost = 3_600_000;
/** So long a copy is given to get what the log has, and its owner is pushing. */
const patienceMs = 100;
/** Between looks whether a copy has come as far as the log said. */
const againMs = 5;

type Done = (result: CallResult) => void;

/** The log's tail, as it was told to who asked at this moment. */
interface Told {
  readonly atMs: number;
  readonly tail: Offset;
}

export interface LocalReadsOptions {
  readonly source: FeedSource;
  readonly roles: ShardRoles;
  /** The log's, of these shards, in their order. */
  readonly tails: ShardLog["tail"];
}

export class LocalReads {
  readonly #options: LocalReadsOptions;
  readonly #door: Door;
  readonly #told = new Map<ShardId, Told>();
  /** When the copy was whole, as far as is known. */
  readonly #whole = new Map<ShardId, number>();
  #wanted = new Set<ShardId>();
  #asking: Promise<void> | undefined;

  constructor(options: LocalReadsOptions) {
    this.#options = options;
    this.#door = options.source.openDoor(options.source.definitions);
  }

  /** Of a shard that is followed here. */
  async query(shard: ShardId, call: QueryCall, done: Done): Promise<void> {
    const { source, roles } = this.#options;
    const { lagMs = lagMsDefault } = call;
    if (!Number.isSafeInteger(lagMs) || lagMs < 0 || lagMs > lagMsMost)
      return done({ ok: false, code: "invalid-input", detail: `\`lagMs\` is a whole number, 0 to ${lagMsMost}.` });
    const old = await this.#freshEnough(shard, lagMs).catch((error: unknown) => {
      if (error instanceof HoldfastError) return error.message;
      throw error;
    });
    if (old !== undefined) return done({ ok: false, code: "unavailable", detail: old });
    const lag = this.#lagOf(shard);
    const offset = roles.position(shard).tail;
    const answer = this.#door.answer(call.entity.type, done);
    const read = roles.readCopy(shard, call, (result) =>
      answer(result.ok ? { ...result, local: { offset, lagMs: lag } } : result),
    );
    if (!read) source.clock.defer(() => done({ ok: false, code: "unavailable", detail: gone }));
  }

  /** @returns why not */
  async #freshEnough(shard: ShardId, lagMs: number): Promise<string | undefined> {
    const { source, roles } = this.#options;
    const { clock } = source;
    const startMs = clock.monotonic();
    const isFresh = () => this.#lagOf(shard) <= lagMs + clock.monotonic() - startMs;
    if (isFresh()) return undefined;
    // What is asked now is told of a moment that is not before this one.
    await this.#ask(shard);
    while (roles.follows(shard) && !isFresh() && clock.monotonic() - startMs < patienceMs)
      await new Promise<void>((resolve) => clock.after(againMs, resolve));
    if (!roles.follows(shard)) return gone;
    if (isFresh()) return undefined;
    const records = Math.max(0, (this.#told.get(shard)?.tail ?? 0) - roles.position(shard).tail);
    const text = `The copy here lacks ${records} records, and is more than the ${lagMs} ms behind that were allowed.`;
    return `${text} Allow more, or ask for a consistent answer.`;
  }

  /** How long ago it certainly was whole, ms. */
  #lagOf(shard: ShardId): number {
    const { source, roles } = this.#options;
    const told = this.#told.get(shard);
    if (told !== undefined && roles.position(shard).tail >= told.tail) this.#whole.set(shard, told.atMs);
    return source.clock.monotonic() - (this.#whole.get(shard) ?? Number.NEGATIVE_INFINITY);
  }

  /** Resolves when the log told the tail of this shard, having been asked after now. */
  async #ask(shard: ShardId): Promise<void> {
    this.#wanted.add(shard);
    // The one under way may have been asked before.
    if (this.#asking !== undefined) await this.#asking.catch(() => {});
    this.#asking ??= this.#look().finally(() => {
      this.#asking = undefined;
    });
    await this.#asking;
  }

  async #look(): Promise<void> {
    const { source, roles, tails } = this.#options;
    const shards = [...this.#wanted].filter((shard) => roles.follows(shard));
    this.#wanted = new Set();
    const atMs = source.clock.monotonic();
    for (const [index, { tail }] of (await tails(shards)).entries()) {
      const shard = shards[index] as ShardId;
      // It holds for every copy of this shard: one that is made later begins with a later tail.
      this.#told.set(shard, { atMs, tail });
    }
  }
}

const gone = "The shard is not followed here any more; send the same request again.";
