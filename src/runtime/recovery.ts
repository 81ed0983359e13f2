/**
 * Brings shards from their log into service: replay up to the tail, then claim.
 *
 * Invariant: a shard is claimed only when every record up to the tail it claims at was replayed; the claim is refused by
 * the log if anything was appended since, and then the replay starts over.
 */
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { Append, LogPosition, LogReader, ShardLog } from "../ports/log.ts";
import { decodeFrame } from "../wire/frame.ts";
import type { ShardHost } from "./shard-host.ts";

export interface Progress {
  recovered: number;
  toRecover: number;
}

/** Where a shard's state is kept beside the log. */
export interface Origins {
  /** Puts the shard into the newest state that fits the log and the code: the host is reset and knows its images. */
  restore(host: ShardHost, position: LogPosition): Promise<void>;
  /** The log does not follow what `restore` gave: gives an older state next time. False if there is none. */
  distrust(host: ShardHost, problem: HoldfastError): Promise<boolean>;
  /** Reads what was trimmed from the log as well; undefined where nothing of that is kept. */
  readonly past: LogReader | undefined;
  /** Called between frames of a replay: more entities may be in memory than there is room for. */
  relieve(): Promise<void> | undefined;
}

export interface RecoveryFacts {
  readonly now: () => number;
  readonly node: string;
  readonly progress: Progress;
  readonly origins: Origins;
  /** Between frames, where others are served meanwhile: a promise when it is their turn. */
  readonly rest?: () => Promise<void> | undefined;
}

const attemptsMax = 5;

/** Somebody appended to the log since its tail was read, as what is kept beside it shows: the recovery starts over. */
export class LogMoved extends Error {}

/**
 * The log has what is kept beside it of its records: if not, it grew since its tail was read, or has lost records.
 * @param told how far it once went
 * @throws LogMoved
 * @throws `log-damaged`
 */
export async function checkTold(
  shard: ShardId,
  told: Pick<LogPosition, "tail" | "epoch">,
  position: LogPosition,
  look: () => Promise<LogPosition>,
): Promise<void> {
  if (told.tail <= position.tail && told.epoch <= position.epoch) return;
  const now = await look();
  if (now.tail > position.tail || now.epoch > position.epoch) throw new LogMoved();
  if (told.tail <= position.tail) return;
  const detail = `The log of shard ${shard} ends at ${position.tail}; a snapshot has records up to ${told.tail}. The log has lost records, or is another one.`;
  throw new HoldfastError("log-damaged", detail);
}

/**
 * @throws `log-damaged`, `unknown-event`, `evolve-failed`: the log and this code do not fit
 * @throws `fenced` somebody else keeps claiming the shards
 */
export async function recoverShards(log: ShardLog, hosts: readonly ShardHost[], facts: RecoveryFacts): Promise<void> {
  let left = hosts;
  for (let attempt = 0; left.length > 0; attempt++) {
    if (attempt === attemptsMax)
      throw new HoldfastError("fenced", "Another process claims the same shards; stop one of them.");
    const positions = await log.tail(left.map((host) => host.shard));
    try {
      await replayFromOrigins(log, left, positions, facts);
    } catch (error) {
      if (error instanceof LogMoved) continue;
      throw error;
    }
    left = await claimShards(log, left, positions, facts);
  }
}

/**
 * Restores and replays up to the given positions, without a claim.
 * State that was kept beside the log never stops a recovery which the log alone can do.
 * @throws as `recoverShards`; LogMoved
 */
export async function replayFromOrigins(
  log: ShardLog,
  hosts: readonly ShardHost[],
  positions: readonly LogPosition[],
  facts: RecoveryFacts,
): Promise<void> {
  for (;;) {
    for (const [index, host] of hosts.entries()) await facts.origins.restore(host, positions[index] as LogPosition);
    try {
      return await replayShards(log, hosts, positions, facts);
    } catch (error) {
      if (!isHoldfastError(error) || !distrusted.has(error.code)) throw error;
      let older = false;
      const suspects = error.code === "state-damaged" ? hosts.filter(({ damaged }) => damaged) : hosts;
      for (const host of suspects) if (await facts.origins.distrust(host, error)) older = true;
      if (!older) throw error;
    }
  }
}

/** A state that is not of this log, or cannot be read, shows in one of these. */
const distrusted: ReadonlySet<string> = new Set(["log-damaged", "state-damaged", "snapshot-damaged"]);

async function replayShards(
  log: ShardLog,
  hosts: readonly ShardHost[],
  positions: readonly LogPosition[],
  facts: RecoveryFacts,
): Promise<void> {
  const byShard = new Map<ShardId, ShardHost>();
  const from = new Map<ShardId, number>();
  for (const [index, host] of hosts.entries()) {
    const position = positions[index] as LogPosition;
    const at = host.owner.tail;
    if (position.trimmed > at && !(await isArchived(host.shard, at, facts))) {
      throw new HoldfastError(
        "log-damaged",
        `Shard ${host.shard} begins at offset ${position.trimmed} and there is no snapshot before it.`,
      );
    }
    if (position.tail === at) continue;
    byShard.set(host.shard, host);
    from.set(host.shard, at);
    facts.progress.toRecover += position.tail - at;
  }
  if (from.size > 0) await replayFrom(facts.origins.past ?? log, byShard, from, facts);
  for (const [index, host] of hosts.entries()) {
    const { tail } = positions[index] as LogPosition;
    if (host.owner.tail !== tail)
      throw new HoldfastError(
        "log-damaged",
        `The log of shard ${host.shard} ends at ${host.owner.tail}, not at its tail ${tail}.`,
      );
  }
}

async function isArchived(shard: ShardId, at: number, { origins }: RecoveryFacts): Promise<boolean> {
  const [position] = (await origins.past?.tail([shard])) ?? [];
  return position !== undefined && position.trimmed <= at;
}

async function replayFrom(
  log: LogReader,
  byShard: ReadonlyMap<ShardId, ShardHost>,
  from: ReadonlyMap<ShardId, number>,
  { progress, origins, rest }: RecoveryFacts,
): Promise<void> {
  for await (const frames of log.read(from)) {
    for (const frame of frames) {
      const host = byShard.get(frame.shard);
      // What another node appended since the tail was read shows in the refusal of our claim.
      if (host === undefined || frame.at !== host.owner.tail || frame.at >= host.owner.replay.tail) continue;
      const { chain, records } = decodeFrame(frame.bytes, frame.shard, frame.at, host.chain);
      let at = frame.at;
      for (const record of records) host.step({ kind: "replay", at: at++, record });
      host.chain = chain;
      progress.recovered += records.length;
      const turn = rest?.();
      if (turn !== undefined) await turn;
    }
    const relief = origins.relieve();
    if (relief !== undefined) await relief;
  }
}

/** @returns the hosts whose claim was refused */
async function claimShards(
  log: ShardLog,
  hosts: readonly ShardHost[],
  positions: readonly LogPosition[],
  facts: RecoveryFacts,
): Promise<ShardHost[]> {
  const claims: Append[] = [];
  for (const [index, host] of hosts.entries()) {
    const { epoch, tail } = positions[index] as LogPosition;
    host.step({ kind: "recovered", epoch, tail, nowMs: facts.now(), node: facts.node });
    if (host.underway !== undefined) claims.push(host.underway.append);
  }
  const results = await log.claim(claims);
  const refused: ShardHost[] = [];
  for (const [index, host] of hosts.entries()) {
    const result = results[index];
    const chain = host.underway?.chain;
    host.underway = undefined;
    if (result?.ok === true) {
      host.chain = chain;
      host.step({ kind: "claimed", nowMs: facts.now() });
    } else if (result?.reason === "full") {
      throw new HoldfastError(
        "disk-full",
        "The log has no space for the claims of a start. Free some and start again.",
      );
    } else {
      refused.push(host);
    }
  }
  return refused;
}
