/**
 * Group commit: one append in flight for the whole node; what is decided meanwhile forms the next one.
 *
 * Invariants:
 * 1. At most one call of the log is in flight, and a frame is offered again only as the same bytes.
 * 2. Every frame that was cut is answered to its host: appended, failed, or tried again while the log has no space.
 * 3. Records that may wait (relaxed ones) wait until their time, a full batch, or any that may not; never longer.
 */
import type { Limits } from "../model/limits.ts";
import type { Clock } from "../ports/clock.ts";
import type { Append, AppendResult, ShardLog } from "../ports/log.ts";
import type { ShardHost } from "./shard-host.ts";
import type { Commit } from "./tally.ts";

/** Between attempts to append to a log that has no space. */
const fullRetryMs = 100;
/** Commands of one burst after which an append starts without waiting for the burst's end. */
const burstCommands = 32;
/** The same when none of them has somebody waiting: as many as make the write's own cost small. */
const patientCommands = 2_048;
/** How much of the difference the estimate of an append's time gives way after a faster one. */
const easing = 1 / 16;

export interface CommitterOptions {
  readonly log: ShardLog;
  readonly clock: Clock;
  readonly limits: Limits;
  /** After the hosts have heard of an append: lets the answers out. */
  readonly flush: () => void;
  readonly supervise: (work: Promise<void>) => void;
  /** Told of each append when it has been answered. */
  readonly committed: (commit: Commit) => void;
  /** The time that hosts speak of. */
  readonly now: () => number;
}

export class Committer {
  readonly #options: CommitterOptions;
  readonly #ready = new Set<ShardHost>();
  /** Hosts whose frame found no space, in the order of their frames. */
  #full: ShardHost[] = [];
  #busy = false;
  /** By when the ready hosts' records must be on their way; 0 is now. */
  #byMs = Number.POSITIVE_INFINITY;
  /** When the timer comes that looks at that. */
  #armedMs = Number.POSITIVE_INFINITY;
  #disarm: () => void = () => {};
  /** By the monotonic clock, of the append in flight. */
  #startedMs = 0;
  #usualMs = 0;
  /** Commands that were taken in since the last cut, and what they added to the log's future. */
  #sinceCut = 0;
  #bytesSinceCut = 0;
  /** An append was started in the midst of this turn of the event loop. */
  #nudged = false;
  #scheduled = false;
  #closed = false;
  #idle: (() => void)[] = [];
  readonly #landed = new Map<ShardHost, () => void>();

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  get readOnly(): boolean {
    return this.#full.length > 0;
  }

  /** How long an append takes: the slower ones of late, the one in flight if it is slower still, forever without space. */
  get appendMs(): number {
    if (this.#full.length > 0) return Number.POSITIVE_INFINITY;
    if (!this.#busy) return this.#usualMs;
    return Math.max(this.#usualMs, this.#options.clock.monotonic() - this.#startedMs);
  }

  /** The host has records, which must be on their way by then; they go with the next append. */
  add(host: ShardHost, byMs: number): void {
    this.#ready.add(host);
    if (byMs < this.#byMs) this.#byMs = byMs;
    this.#plan();
  }

  /**
   * After each command: starts an append now if a large burst is being taken in, so that the disk works while the rest of
   * it is decided. Not to be called from inside a step.
   */
  nudge(bytes: number): void {
    this.#sinceCut++;
    this.#bytesSinceCut += bytes;
    const patient = this.#byMs > 0 && this.#bytesSinceCut < this.#options.limits.appendBytesMax / 4;
    if (this.#sinceCut < (patient ? patientCommands : burstCommands)) return;
    if (this.#nudged || this.#busy || this.#ready.size === 0) return;
    // Once a turn: a log that answers at once must not keep the event loop from turning.
    this.#nudged = true;
    this.#options.clock.defer(() => {
      this.#nudged = false;
    });
    this.#cut();
  }

  /** Resolves when nothing is in flight and nothing waits, except for space. */
  async idle(): Promise<void> {
    if (!this.#busy && this.#ready.size === 0) return;
    this.#byMs = 0;
    this.#plan();
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Resolves when the host has no frame under way: it was appended, or given up. Never after `close`. */
  async landed(host: ShardHost): Promise<void> {
    if (host.underway !== undefined) await new Promise<void>((resolve) => this.#landed.set(host, resolve));
  }

  /** Appends nothing more. */
  close(): void {
    this.#closed = true;
    this.#disarm();
  }

  /** The next append starts at the end of this turn, or when the first of the ready records may not wait any more. */
  #plan(): void {
    if (this.#ready.size === 0 || this.#busy || this.#closed) return;
    const waitMs = this.#byMs === 0 ? 0 : this.#byMs - this.#options.now();
    if (waitMs <= 0) return this.#schedule();
    if (this.#armedMs <= this.#byMs) return;
    this.#disarm();
    this.#armedMs = this.#byMs;
    this.#disarm = this.#options.clock.after(waitMs, () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#plan();
    });
  }

  #schedule(): void {
    if (this.#busy || this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    this.#options.clock.defer(() => {
      this.#scheduled = false;
      if (!this.#busy) this.#cut();
    });
  }

  #cut(): void {
    if (this.#closed) return;
    this.#sinceCut = this.#bytesSinceCut = 0;
    this.#byMs = Number.POSITIVE_INFINITY;
    const hosts: ShardHost[] = [];
    const appends: Append[] = [];
    let bytesLeft = this.#options.limits.appendBytesMax;
    for (const host of this.#ready) {
      if (bytesLeft <= 0) break;
      this.#ready.delete(host);
      if (host.underway !== undefined || host.owner.phase === "released") continue;
      const append = host.cut(bytesLeft);
      if (append === undefined) continue;
      bytesLeft -= append.frame.length;
      hosts.push(host);
      appends.push(append);
    }
    if (this.#ready.size > 0) this.#byMs = 0;
    if (hosts.length > 0) this.#options.supervise(this.#append(hosts, appends));
    else this.#settle();
  }

  async #append(hosts: readonly ShardHost[], appends: readonly Append[]): Promise<void> {
    const { clock } = this.#options;
    this.#busy = true;
    this.#startedMs = clock.monotonic();
    const results = await this.#options.log.append(appends);
    this.#options.committed(commitOf(appends, results, clock.monotonic() - this.#startedMs));
    for (let index = 0; index < hosts.length; index++) {
      let result = results[index] as AppendResult;
      if (!result.ok && result.reason === "unknown") result = await this.#resolve(appends[index] as Append);
      this.#tell(hosts[index] as ShardHost, result);
    }
    const tookMs = clock.monotonic() - this.#startedMs;
    this.#usualMs = tookMs > this.#usualMs ? tookMs : this.#usualMs + (tookMs - this.#usualMs) * easing;
    this.#busy = false;
    this.#options.flush();
    if (this.#full.length > 0) this.#retryFull();
    // Not at once: what has arrived meanwhile goes along, and a log that answers at once cannot starve the event loop.
    if (this.#ready.size > 0) this.#plan();
    else this.#settle();
  }

  #tell(host: ShardHost, result: AppendResult): void {
    if (result.ok) host.appended(result.tail);
    else if (result.reason === "full") {
      this.#full.push(host);
      host.step({ kind: "append-failed", reason: "full" });
    } else {
      host.underway = undefined;
      host.step({ kind: "append-failed", reason: result.reason });
    }
    if (host.underway !== undefined) return;
    this.#landed.get(host)?.();
    this.#landed.delete(host);
  }

  /** An append without an answer: reads what stands at its offset. The same bytes, or nothing, or somebody else's. */
  async #resolve(append: Append): Promise<AppendResult> {
    const { log } = this.#options;
    const [position] = await log.tail([append.shard]);
    if (position === undefined || position.epoch !== append.epoch) return { ok: false, reason: "fenced" };
    if (position.tail === append.at) {
      const [result] = await log.append([append]);
      return result ?? { ok: false, reason: "unknown" };
    }
    for await (const frames of log.read(new Map([[append.shard, append.at]]))) {
      for (const frame of frames) {
        if (frame.at !== append.at) continue;
        const same = Buffer.compare(frame.bytes, append.frame) === 0;
        return same ? { ok: true, tail: append.at + append.count } : { ok: false, reason: "fenced" };
      }
    }
    return { ok: false, reason: "unknown" };
  }

  /** Offers the same frames again, in their own call, until there is space. */
  #retryFull(): void {
    const hosts = this.#full;
    this.#options.clock.after(fullRetryMs, () => {
      if (this.#closed || hosts !== this.#full) return;
      if (this.#busy) return this.#retryFull();
      this.#full = [];
      const appends = hosts.map((host) => host.underway?.append).filter((append) => append !== undefined);
      this.#options.supervise(this.#append(hosts, appends));
    });
  }

  #settle(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function commitOf(appends: readonly Append[], results: readonly AppendResult[], ms: number): Commit {
  let [records, bytes] = [0, 0];
  for (const [index, { count, frame }] of appends.entries()) {
    if (results[index]?.ok !== true) continue;
    records += count;
    bytes += frame.length;
  }
  return { ms, records, bytes };
}
