/**
 * Checkpoints: brings what changed in memory into the state store and into snapshots, in small slices while commands go
 * on, forgets entities that are not used, and trims the log behind the snapshots.
 *
 *   changed slots --collect--> images --durable?--> state store --all of them--> stamp
 *   the last stamp of a shard --> snapshot --> trim
 *
 * Three works go on beside each other, each on one shard at a time: stamps, snapshots of what was stamped, room in memory. None waits for
 * another: a snapshot takes seconds, and what a crash would replay grows meanwhile. After each slice a work rests longer than it took, unless
 * stamps fall behind. Invariant: the log is trimmed only below a snapshot that was read back, and never where a remembered request id still points.
 */
import { allWhole } from "../core/image.ts";
import type { HoldfastError } from "../model/errors.ts";
import type { Offset, ShardId } from "../model/ids.ts";
import type { ShardImage } from "../model/images.ts";
import type { Limits } from "../model/limits.ts";
import type { Clock } from "../ports/clock.ts";
import type { LogPosition, LogReader, ShardLog } from "../ports/log.ts";
import { isStateDamaged } from "../ports/state-store.ts";
import { Abandoned, type Keep } from "./keep.ts";
import type { Origins } from "./recovery.ts";
import type { Residents } from "./residents.ts";
import type { ShardHost } from "./shard-host.ts";

/** Between looks at what is due. */
const lookMs = 250;
/** After a slice the work rests for this many times as long as it took. */
const restFactor = 4;
/** Entities that are looked through for eviction in one go: about a millisecond. */
const evictSlice = 2_000;
/** Between looks for what the archive need not keep any more. */
const expireMs = 3_600_000;
/** Between looks whether the records of a slice are durable. */
const durableMs = 1;
/** What replaying a record costs: `bench/main.ts --only recovery`, with room for larger events. */
const replayMicros = 1.5;
/** What it costs to read an entity for it and to make room for that: `bench/scale.ts --only kill`, 11 to 22. */
const activationMicros = 20;

export interface CheckpointerOptions {
  readonly keeps: readonly Keep[];
  readonly log: ShardLog;
  /** The log with what was trimmed of it, if that is kept anywhere. */
  readonly past: LogReader | undefined;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly residents: Residents;
  /** Something outside the node does not work; the next checkpoint tries again. */
  readonly report: (where: string, error: unknown) => void;
}

/** One of those that go on beside each other, over and over. */
interface Work {
  cancel: () => void;
  underway: Promise<void> | undefined;
}

export class Checkpointer implements Origins {
  readonly #options: CheckpointerOptions;
  readonly #byShard: ReadonlyMap<ShardId, Keep>;
  readonly #works: Work[] = [];
  #making: Promise<void> | undefined;
  #closed = false;
  /** The work is the last before the end: it does not rest. */
  #hurry = false;
  #relievedMs = 0;
  /** When the archive was looked through for what may go, by the monotonic clock. */
  #expiredMs = 0;
  /** An import that is not done by then is given up; the next start begins with the snapshot again. */
  #importUntilMs = Number.POSITIVE_INFINITY;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#byShard = new Map(options.keeps.map((keep) => [keep.host.shard, keep]));
  }

  get past(): LogReader | undefined {
    return this.#options.past;
  }

  restore(host: ShardHost, position: LogPosition): Promise<void> {
    return this.#keepOf(host).restore(position);
  }

  distrust(host: ShardHost, problem: HoldfastError): Promise<boolean> {
    return this.#keepOf(host).distrust(problem);
  }

  /** Before the shards are served nothing has to go on meanwhile: no rest is taken. */
  relieve(): Promise<void> | undefined {
    const { residents } = this.#options;
    residents.look();
    if (residents.excess === 0) return undefined;
    const { clock } = this.#options;
    if (residents.isHeapAlone && clock.monotonic() - this.#relievedMs < lookMs) return undefined;
    this.#relievedMs = clock.monotonic();
    this.#hurry = true;
    return this.#makeRoom().finally(() => {
      this.#hurry = this.#closed;
    });
  }

  /** Begins to look for what is due. */
  start(): void {
    const { keeps } = this.#options;
    this.#repeat(() => this.#makeRoom());
    this.#repeat(async () => {
      await this.#stampAll();
      await this.#expire();
    });
    this.#repeat(async () => {
      for (const keep of keeps) if (this.#saveDue(keep)) await this.#trySave(keep);
    });
  }

  #repeat(work: () => Promise<void>): void {
    const state: Work = { cancel: () => {}, underway: undefined };
    this.#works.push(state);
    const next = () => {
      if (this.#closed) return;
      state.cancel = this.#options.clock.after(lookMs, () => {
        state.underway = work().finally(() => {
          state.underway = undefined;
          next();
        });
      });
    };
    next();
  }

  /** Stores, publishes and trims nothing more, from this moment on. */
  halt(): void {
    this.#closed = true;
    for (const { cancel } of this.#works) cancel();
    for (const keep of this.#options.keeps) keep.halted = true;
  }

  /** A last checkpoint of everything that changed, so that the next start has nothing to replay; then no more. */
  async close(complete: boolean): Promise<void> {
    this.#closed = true;
    this.#hurry = true;
    const { clock, limits } = this.#options;
    this.#importUntilMs = clock.monotonic() + limits.drainMs;
    for (const { cancel, underway } of this.#works) {
      cancel();
      await underway;
    }
    await this.#making;
    if (!complete) return;
    for (const keep of this.#options.keeps) {
      const { phase, durable } = keep.host.owner;
      // One that is released or recovering is not what its store and log are; the next start sees to it.
      if (phase !== "draining") continue;
      if (durable > keep.checkpointAt) await this.#tryStamp(keep);
      if (keep.hasSnapshots && (keep.stamped?.image.at ?? 0) > keep.snapshotAt) await this.#trySave(keep);
    }
  }

  /**
   * Memory is so full of entities that no more commands may be taken until some have left. Those that may not leave (timers,
   * calls, watchers) do not count: refusing commands would not make them go.
   */
  get crowded(): boolean {
    return this.#options.residents.crowded;
  }

  get #pressed(): boolean {
    return this.#hurry || this.#options.residents.pressed;
  }

  /** What the archive need not keep any more, also of shards to which nothing comes: by the time of the node's last record. */
  async #expire(): Promise<void> {
    const { keeps, clock } = this.#options;
    if (clock.monotonic() - this.#expiredMs < expireMs) return;
    this.#expiredMs = clock.monotonic();
    const nowMs = keeps.reduce((most, { host }) => Math.max(most, host.owner.timeMs), 0);
    for (const keep of keeps) {
      const { owner } = keep.host;
      if (owner.phase !== "serving" || this.#closed) continue;
      const check = () => keep.checkAlive(owner);
      await keep.archive?.expire({ nowMs, check, rest: (busyMs) => this.#rest(busyMs) }).catch((error: unknown) => {
        if (!(error instanceof Abandoned)) this.#options.report(`the archive of shard ${keep.host.shard}`, error);
      });
    }
  }

  /** What replaying the records that no stamp has would take, in ms. */
  #replayMs({ host: { owner }, checkpointAt, activationsBefore }: Keep): number {
    const activations = owner.slots.activations - activationsBefore;
    return ((owner.durable - checkpointAt) * replayMicros + activations * activationMicros) / 1_000;
  }

  /** The same of all shards, as so many times the budget. */
  get #behind(): number {
    const { limits, keeps } = this.#options;
    return keeps.reduce((sum, keep) => sum + this.#replayMs(keep), 0) / limits.replayBudgetMs;
  }

  /** Less the further stamps are behind, none at twice the budget. */
  get #stampRest(): number {
    return restFactor * Math.min(1, Math.max(0, 2 - this.#behind));
  }

  /** By cost: when replaying what came since would take this shard's share of the budget; by age, if anything came. */
  #stampDue(keep: Keep): boolean {
    const { limits, clock, keeps } = this.#options;
    if (this.#closed || keep.host.owner.phase !== "serving") return false;
    if (keep.isImporting) return keep.isImportDue;
    const old = clock.monotonic() - keep.checkpointMs >= limits.checkpointMs;
    // A shard that fell silent is seen to until its whole log may go, or it would keep everybody's oldest segment.
    if (keep.host.owner.durable <= keep.checkpointAt)
      return old && keep.hasSnapshots && keep.trimmedAt < keep.checkpointAt;
    return old || this.#replayMs(keep) >= limits.replayBudgetMs / keeps.length;
  }

  /** A stamp that no snapshot was tried of: by cost as well, but entities that were read do not count, since uploads cost more than stamps. */
  #saveDue({ host, hasSnapshots, stamped, saved, snapshotAt, snapshotMs }: Keep): boolean {
    const { limits, clock, keeps } = this.#options;
    if (this.#closed || host.owner.phase !== "serving" || !hasSnapshots) return false;
    if (stamped?.owner !== host.owner || stamped === saved) return false;
    if (stamped.silent || clock.monotonic() - snapshotMs >= limits.checkpointMs) return true;
    return ((stamped.image.at - snapshotAt) * replayMicros) / 1_000 >= limits.replayBudgetMs / keeps.length;
  }

  /** The most costly first, each again when it is due again: what one of them takes must not make the others wait for all. */
  async #stampAll(): Promise<void> {
    const failed = new Set<Keep>();
    for (;;) {
      let worst: Keep | undefined;
      for (const keep of this.#options.keeps) {
        if (failed.has(keep) || !this.#stampDue(keep)) continue;
        if (worst === undefined || this.#replayMs(keep) > this.#replayMs(worst)) worst = keep;
      }
      if (worst === undefined) return;
      const { stamped } = worst;
      await this.#tryStamp(worst);
      if (worst.stamped === stamped) failed.add(worst);
    }
  }

  async #tryStamp(keep: Keep): Promise<void> {
    await this.#try(keep, "checkpoint", () => this.#stamp(keep));
    keep.checkpointMs = this.#options.clock.monotonic();
  }

  async #trySave(keep: Keep): Promise<void> {
    keep.saved = keep.stamped;
    await this.#try(keep, "snapshot", () => this.#save(keep));
  }

  async #try(keep: Keep, what: string, work: () => Promise<void>): Promise<void> {
    const { owner } = keep.host;
    try {
      await work();
    } catch (error) {
      if (isStateDamaged(error)) {
        // Only the incarnation that was looked at; a later one finds out for itself.
        if (keep.host.owner === owner && owner.phase === "serving") keep.host.abandon(error);
      } else if (!(error instanceof Abandoned)) {
        if (keep.isImporting) keep.delayImport();
        this.#options.report(`${what} of shard ${keep.host.shard}`, error);
      }
    }
  }

  async #stamp(keep: Keep): Promise<void> {
    const { owner } = keep.host;
    if (keep.isImporting) {
      await keep.import(owner, async (busyMs) => {
        if (this.#options.clock.monotonic() > this.#importUntilMs) throw new Abandoned();
        await this.#rest(busyMs, this.#stampRest);
      });
    }
    const image = keep.present();
    const { withheld } = owner;
    const whole = allWhole(owner);
    await this.#writeBack(keep, owner.dirty.size);
    // A broken entity's records stay in the log, and are replayed, until an operator has dealt with it.
    if (whole && owner.withheld === withheld) await keep.stamp(image, owner);
  }

  /** Of what is stored, which is all that changed below the last stamp, and some that changed later. */
  async #save(keep: Keep): Promise<void> {
    if (keep.stamped === undefined) return;
    const { image, owner, silent } = keep.stamped;
    keep.checkAlive(owner);
    const trimBelow = await keep.snapshot(image, owner, { rest: () => this.#rest(1), easy: !this.#hurry });
    if (trimBelow !== undefined) await this.#trim(keep, image, { below: trimBelow, silent });
  }

  async #trim(keep: Keep, image: ShardImage, { below, silent }: { below: Offset; silent: boolean }): Promise<void> {
    if (keep.halted) return;
    const { owner } = keep.host;
    let before = below;
    // The outcome of a remembered id is read from its record.
    for (const { offsets } of image.requests) if (offsets.length > 0) before = Math.min(before, offsets[0] as number);
    if (before <= 1) return;
    keep.trimBelow = before;
    const rest = (busyMs: number) => this.#rest(busyMs);
    const order = { below: before, silent, nowMs: image.timeMs, rest, check: () => keep.checkAlive(owner) };
    const archived = (await keep.archive?.advance(order)) ?? before;
    if (archived > 1 && !keep.halted) await this.#options.log.trim(keep.host.shard, archived);
    keep.trimmedAt = archived;
  }

  /** Forgets entities while there are more in memory than there may be; those that changed are stored first. */
  #makeRoom(): Promise<void> {
    this.#making ??= this.#makeRoomOnce().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #makeRoomOnce(): Promise<void> {
    const { keeps, residents } = this.#options;
    residents.look();
    while (residents.excess > 0 && !this.#closed) {
      const { count, excess, evictions } = residents;
      for (const keep of keeps) await this.#makeRoomIn(keep, Math.ceil((excess * keep.host.owner.slots.size) / count));
      residents.look();
      if (residents.evictions === evictions) return residents.noteStaying();
      // They come as fast as they leave: what else is due must not wait for that. And a heap shows only when it was
      // collected what has left it.
      if (residents.count >= count || residents.isHeapAlone) break;
    }
    residents.noteRoom();
  }

  async #writeBack(keep: Keep, count: number): Promise<void> {
    const now = () => this.#options.clock.monotonic();
    for (let left = count; left > 0; ) {
      const written = await keep.writeBack(left, { durable: this.#durable, now, hasty: this.#pressed });
      if (written.count === 0) return;
      left -= written.count;
      await this.#rest(written.busyMs, this.#stampRest);
    }
  }

  async #makeRoomIn(keep: Keep, count: number): Promise<void> {
    try {
      await this.#writeBack(keep, Math.min(keep.host.owner.dirty.size, 2 * count));
    } catch (error) {
      if (!(error instanceof Abandoned)) this.#options.report(`images of shard ${keep.host.shard}`, error);
      return;
    }
    for (let left = count; left > 0; left -= evictSlice) {
      const startedMs = this.#options.clock.monotonic();
      const { size } = keep.host.owner.slots;
      keep.host.step({ kind: "evict", count: Math.min(left, evictSlice) });
      // the rest may not go
      if (keep.host.owner.slots.size === size) return;
      await this.#rest(this.#options.clock.monotonic() - startedMs);
    }
  }

  readonly #durable = async (host: ShardHost, below: Offset): Promise<void> => {
    const { owner } = host;
    // At the end nothing becomes durable any more: a log without space is left as it is.
    while (owner.durable < below && host.owner === owner && owner.phase !== "released" && !this.#closed) {
      await new Promise<void>((resolve) => this.#options.clock.after(durableMs, resolve));
    }
  };

  /** Lets commands go on, for longer than the work took; unless entities come faster than they leave, or than they are stamped. */
  async #rest(busyMs: number, factor = restFactor): Promise<void> {
    const { clock, residents } = this.#options;
    residents.look();
    const restMs = this.#pressed ? 0 : busyMs * factor;
    await new Promise<void>((resolve) => (restMs > 1 ? clock.after(restMs, resolve) : clock.defer(resolve)));
  }

  #keepOf(host: ShardHost): Keep {
    return this.#byShard.get(host.shard) as Keep;
  }
}

/** A node that keeps nothing beside the log: every shard is replayed from its first record. */
export const logOnly: Origins = {
  past: undefined,
  restore: async (host, position) => host.reset(position.tail),
  distrust: async () => false,
  relieve: () => undefined,
};
