/**
 * The shards of a node that is one of several: which it follows, which it owns, and how it comes from one to the other.
 *
 *   none --follow--> standby --promote--> owner --giveUp--> none        anything --drop--> none
 *
 * A standby is a host that goes on recovering: frames are fed to it in order, each checked against its chain, and it is promoted by
 * the claim that ends every recovery. Invariants: verbs of one shard do not overlap (the caller sees to it); a frame that does not follow
 * what is there changes nothing; a claim is made only at the tail that was replayed.
 */
import { imageOf } from "../core/image.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import { type Epoch, formatRef, type Offset, type ShardId } from "../model/ids.ts";
import type { CallResult, QueryCall } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { Append, LogFrame, ShardLog } from "../ports/log.ts";
import { decodeFrame } from "../wire/frame.ts";
import { encodeImage } from "../wire/image.ts";
import { Claims } from "./claims.ts";
import type { RecentFrames } from "./recent-frames.ts";
import { LogMoved, type RecoveryFacts, replayFromOrigins } from "./recovery.ts";
import type { CallerToken, ReleaseReason, ShardHost } from "./shard-host.ts";
import { differing, type HashedStates, hashSome } from "./state-hashes.ts";

/** What a cluster hears of the node's shards. */
export interface ClusterHooks {
  /** A frame of a shard that is owned here became durable. */
  durable(append: Append): void;
  /** The incarnation ended, for whatever reason: nobody is served by it any more. */
  released(shard: ShardId, reason: ReleaseReason): void;
}

export interface ShardRolesOptions extends RecoveryFacts {
  readonly hosts: readonly ShardHost[];
  readonly log: ShardLog;
  readonly clock: Clock;
  readonly recent: RecentFrames;
  /** Resolves when the host has no frame under way. */
  readonly landed: (host: ShardHost) => Promise<void>;
  /** Runs core code; what it throws is a broken invariant. */
  readonly guard: (work: () => void) => void;
}

/** Where an owner ended that gave up its shard. */
export interface HandedOver {
  readonly epoch: Epoch;
  readonly tail: Offset;
}

const movedMax = 5;
/** Replay in one turn: the shards that are served here, and whoever is at this node's door, wait for it. ms */
const turnMs = 4;
/** Entities that an error names. */
const namedMax = 5;
/** Claims in a row that are refused by a log that has nothing new: somebody else claims as fast. */
const claimsMax = 5;
/** Between looks whether what was decided is durable: a frame that was just cut has no landing yet. */
const flushMs = 1;

export class ShardRoles {
  readonly #options: ShardRolesOptions;
  readonly #following = new Set<ShardId>();
  /** What the owners of followed shards said of their states, where the copy here has not come yet. */
  readonly #expected = new Map<ShardId, HashedStates>();
  /** How often that was looked at. */
  compared = 0;
  readonly #claims: Claims;
  #turnMs = 0;

  constructor(options: ShardRolesOptions) {
    this.#options = options;
    this.#claims = new Claims(options.log, (work) => options.clock.defer(work));
  }

  owns(shard: ShardId): boolean {
    const phase = this.#host(shard).owner.phase;
    return phase === "serving" || phase === "draining";
  }

  get ownsAny(): boolean {
    return this.#options.hosts.some(({ shard }) => this.owns(shard));
  }

  follows(shard: ShardId): boolean {
    return this.#following.has(shard);
  }

  position(shard: ShardId): { epoch: Epoch; tail: Offset; durable: Offset } {
    const { epoch, tail, durable } = this.#host(shard).owner;
    return { epoch, tail, durable };
  }

  /** What is in memory of the shard's entities, encoded, by name: the same on every node that is at the same offset. */
  images(shard: ShardId): ReadonlyMap<string, Uint8Array> {
    const slots = [...this.#host(shard).owner.slots];
    return new Map(slots.map(([, slot]) => [formatRef(slot.ref), encodeImage(imageOf(slot)).bytes]));
  }

  /**
   * Brings the shard up to its log's tail; from then on it follows what is fed.
   * @throws `log-damaged`, `unknown-event`, `evolve-failed` the log and this code do not fit; `unavailable`
   */
  async follow(shard: ShardId): Promise<void> {
    const host = this.#host(shard);
    await this.#options.landed(host);
    for (let attempt = 0; ; attempt++) {
      const positions = await this.#options.log.tail([shard]);
      try {
        await replayFromOrigins(this.#options.log, [host], positions, { ...this.#options, rest: () => this.#rest() });
        break;
      } catch (error) {
        if (!(error instanceof LogMoved) || attempt === movedMax) throw error;
      }
    }
    this.#following.add(shard);
    this.#options.recent.begin(shard, host.owner.tail);
  }

  /**
   * Takes in a durable frame of a shard that is followed.
   * @returns false: there is a gap before it, which `fill` closes
   * @throws `log-damaged` it does not follow what is here: this copy or that frame is wrong, and the shard is not followed any more
   */
  feed(frame: LogFrame): boolean {
    const { shard, at, count } = frame;
    const host = this.#host(shard);
    if (!this.#following.has(shard) || at + count <= host.owner.tail) return true;
    // It is being claimed: if that is refused, the log is read.
    if (host.owner.phase !== "recovering") return true;
    if (at !== host.owner.tail) return false;
    try {
      this.#replay(host, frame);
    } catch (error) {
      this.#following.delete(shard);
      throw error;
    }
    // Its bytes are the reader's or the transport's; those kept are copied.
    this.#options.recent.add({ shard, epoch: frame.epoch, at, count, frame: frame.bytes });
    return true;
  }

  #replay(host: ShardHost, { shard, at, count, bytes }: LogFrame): void {
    const { chain, records } = decodeFrame(bytes, shard, at, host.chain);
    host.step({ kind: "extend", tail: at + count, nowMs: this.#options.now() });
    let offset = at;
    for (const record of records) {
      host.step({ kind: "replay", at: offset++, record });
      const expected = this.#expected.get(shard);
      if (expected !== undefined && offset >= expected.at) this.#compare(host, expected);
    }
    host.chain = chain;
  }

  /** Of an owner: hashes of some of its states, from this slot on. Undefined: it does not own the shard. */
  hashSome(shard: ShardId, from: number): (HashedStates & { readonly next: number }) | undefined {
    if (!this.owns(shard)) return undefined;
    const { owner } = this.#host(shard);
    // Also what is not durable yet: a copy in the same epoch that gets as far has the same records.
    return { epoch: owner.epoch, at: owner.tail, ...hashSome(owner, from) };
  }

  /**
   * The copy of a followed shard is to have these states when it has all records before that offset.
   * @throws `state-damaged` it has others; it is not followed any more
   */
  expect(shard: ShardId, expected: HashedStates): void {
    const host = this.#host(shard);
    if (!this.#following.has(shard) || host.owner.phase !== "recovering" || host.owner.tail > expected.at) return;
    this.#expected.set(shard, expected);
    if (host.owner.tail < expected.at) return;
    try {
      this.#compare(host, expected);
    } catch (error) {
      this.#following.delete(shard);
      throw error;
    }
  }

  #compare(host: ShardHost, expected: HashedStates): void {
    const { shard, owner } = host;
    this.#expected.delete(shard);
    // Another owner's records stand where that one's were to be.
    if (owner.tail !== expected.at || owner.epoch !== expected.epoch) return;
    this.compared++;
    const others = differing(owner, expected);
    if (others.length === 0) return;
    // What is kept of it here is as wrong as what is in memory.
    host.damaged = true;
    const names = others.slice(0, namedMax).map(formatRef).join(", ");
    throw new HoldfastError(
      "state-damaged",
      `At offset ${expected.at} of shard ${shard} the owner has other states of ${others.length} entities (${names}): an evolve is not deterministic.`,
      { details: { shard, at: expected.at, entities: others.slice(0, namedMax).map(formatRef) } },
    );
  }

  /**
   * Answers a query from the copy of a shard that is followed.
   * @returns false: there is none, or it is being claimed
   */
  readCopy(shard: ShardId, call: QueryCall, answer: (result: CallResult) => void): boolean {
    const host = this.#host(shard);
    if (!this.#following.has(shard) || host.owner.phase !== "recovering") return false;
    let read = true;
    this.#options.guard(() => {
      try {
        const caller: CallerToken = { answer };
        host.step({ kind: "query", call, caller, nowMs: this.#options.now(), copy: true });
      } catch (error) {
        if (!isHoldfastError(error) || error.code !== "state-damaged") throw error;
        // Its image cannot be read: this copy is made anew.
        this.#following.delete(shard);
        read = false;
      }
    });
    return read;
  }

  /**
   * Reads from the log what a followed shard has not been fed.
   * @throws `log-damaged` as `feed`; or the log was trimmed beyond what is here: then the shard is not followed any more, and `follow` begins
   *   with a snapshot. `unavailable`
   */
  async fill(shard: ShardId): Promise<void> {
    try {
      await this.#fill(shard);
    } catch (error) {
      if (isHoldfastError(error) && error.code === "log-damaged") this.#following.delete(shard);
      throw error;
    }
  }

  async #fill(shard: ShardId): Promise<void> {
    const host = this.#host(shard);
    const { owner } = host;
    for await (const frames of this.#options.log.read(new Map([[shard, owner.tail]]))) {
      for (const frame of frames) {
        // What comes while it is being claimed is not taken in, so nothing that follows it may be: after a refusal the log is read again.
        if (host.owner !== owner || !this.#following.has(shard) || owner.phase !== "recovering") return;
        if (!this.feed(frame))
          throw new HoldfastError("log-damaged", `The log of shard ${shard} has a gap at ${owner.tail}.`);
        const turn = this.#rest();
        if (turn !== undefined) await turn;
      }
      const relief = this.#options.origins.relieve();
      if (relief !== undefined) await relief;
    }
  }

  /** All replays of the node together take one turn at a time. */
  #rest(): Promise<void> | undefined {
    const { clock } = this.#options;
    if (this.#turnMs === 0) this.#turnMs = clock.monotonic();
    if (clock.monotonic() - this.#turnMs < turnMs) return undefined;
    return new Promise<void>((resolve) =>
      clock.defer(() => {
        this.#turnMs = clock.monotonic();
        resolve();
      }),
    );
  }

  /**
   * Makes a standby the owner.
   * @returns false: others claim as fast, or it is not followed any more
   * @throws as `fill`; `disk-full`
   */
  async promote(shard: ShardId): Promise<boolean> {
    const host = this.#host(shard);
    for (let attempt = 0; attempt < claimsMax; attempt++) {
      if (!this.#following.has(shard)) return false;
      if (await this.#claim(host)) return true;
      await this.fill(shard);
    }
    return false;
  }

  async #claim(host: ShardHost): Promise<boolean> {
    const { now, node } = this.#options;
    const { epoch, tail } = host.owner;
    host.step({ kind: "recovered", epoch, tail, nowMs: now(), node });
    const claim = host.underway;
    if (claim === undefined) return false;
    const result = await this.#claims.claim(claim.append).catch((error: unknown) => {
      host.underway = undefined;
      host.step({ kind: "unclaimed" });
      throw error;
    });
    host.underway = undefined;
    if (result?.ok === true) {
      host.chain = claim.chain;
      this.#following.delete(host.shard);
      this.#options.guard(() => host.step({ kind: "claimed", nowMs: now() }));
      return true;
    }
    host.step({ kind: "unclaimed" });
    if (result?.reason === "full")
      throw new HoldfastError("disk-full", `The log has no space for the claim of shard ${host.shard}.`);
    return false;
  }

  /**
   * Ends an ownership in order: nothing new is decided, what was decided is durable when this resolves.
   * @returns undefined: the incarnation had ended before
   */
  async giveUp(shard: ShardId): Promise<HandedOver | undefined> {
    const host = this.#host(shard);
    const { owner } = host;
    if (owner.phase !== "serving") return undefined;
    this.#options.guard(() => host.step({ kind: "drain" }));
    const isOver = () => host.owner !== owner || owner.phase !== "draining";
    while (!isOver() && (owner.durable < owner.tail || host.underway !== undefined)) {
      if (host.underway !== undefined) await this.#options.landed(host);
      else await new Promise<void>((resolve) => this.#options.clock.after(flushMs, resolve));
    }
    if (isOver()) return undefined;
    const handed = { epoch: owner.epoch, tail: owner.tail };
    this.#options.guard(() => host.step({ kind: "leave" }));
    return handed;
  }

  /** The log has a later epoch than this one of an owner here. An append under way learns it by itself. */
  fenced(shard: ShardId, epoch: Epoch): void {
    const host = this.#host(shard);
    if (!this.owns(shard) || host.owner.epoch !== epoch || host.underway !== undefined) return;
    this.#options.guard(() => host.step({ kind: "append-failed", reason: "fenced" }));
  }

  /** Follows the shard no more; what was in memory of it goes, also what a former owner has left. Not for an owner. */
  drop(shard: ShardId): void {
    this.#following.delete(shard);
    const host = this.#host(shard);
    const { phase, tail } = host.owner;
    const isPast = phase === "released" || (phase === "recovering" && tail > 1);
    if (isPast && host.underway === undefined) host.reset(1);
  }

  #host(shard: ShardId): ShardHost {
    const host = this.#options.hosts[shard];
    if (host === undefined) throw new HoldfastError("internal", `There is no shard ${shard}.`);
    return host;
  }
}
