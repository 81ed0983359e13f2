/**
 * Brings shards from their log into service: replay up to the tail, then claim.
 *
 * Invariant: a shard is claimed only when every record up to the tail it claims at was replayed; the claim is refused by
 * the log if anything was appended since, and then the replay starts over.
 */
import { HoldfastError } from "../model/errors.ts";
import type { ShardId } from "../model/ids.ts";
import type { Append, LogPosition, ShardLog } from "../ports/log.ts";
import { decodeFrame } from "../wire/frame.ts";
import type { ShardHost } from "./shard-host.ts";

export interface Progress {
  recovered: number;
  toRecover: number;
}

const attemptsMax = 5;

/**
 * @throws `log-damaged`, `unknown-event`, `evolve-failed`: the log and this code do not fit
 * @throws `fenced` somebody else keeps claiming the shards
 */
export async function recoverShards(
  log: ShardLog,
  hosts: readonly ShardHost[],
  facts: { now: () => number; node: string; progress: Progress },
): Promise<void> {
  let left = hosts;
  for (let attempt = 0; left.length > 0; attempt++) {
    if (attempt === attemptsMax)
      throw new HoldfastError("fenced", "Another process claims the same shards; stop one of them.");
    const positions = await log.tail(left.map((host) => host.shard));
    for (const [index, host] of left.entries()) host.reset((positions[index] as LogPosition).tail);
    await replayShards(log, left, positions, facts.progress);
    left = await claimShards(log, left, positions, facts);
  }
}

async function replayShards(
  log: ShardLog,
  hosts: readonly ShardHost[],
  positions: readonly LogPosition[],
  progress: Progress,
): Promise<void> {
  const byShard = new Map<ShardId, ShardHost>();
  const from = new Map<ShardId, number>();
  for (const [index, host] of hosts.entries()) {
    const position = positions[index] as LogPosition;
    if (position.trimmed > 1) {
      throw new HoldfastError(
        "log-damaged",
        `Shard ${host.shard} begins at offset ${position.trimmed} and there is no snapshot before it.`,
      );
    }
    if (position.tail === 1) continue;
    byShard.set(host.shard, host);
    from.set(host.shard, 1);
    progress.toRecover += position.tail - 1;
  }
  if (from.size === 0) return;
  for await (const frames of log.read(from)) {
    for (const frame of frames) {
      const host = byShard.get(frame.shard);
      if (host === undefined || frame.at !== host.owner.tail) continue;
      const { chain, records } = decodeFrame(frame.bytes, frame.shard, frame.at, host.chain);
      let at = frame.at;
      for (const record of records) host.step({ kind: "replay", at: at++, record });
      host.chain = chain;
      progress.recovered += records.length;
    }
  }
}

/** @returns the hosts whose claim was refused */
async function claimShards(
  log: ShardLog,
  hosts: readonly ShardHost[],
  positions: readonly LogPosition[],
  facts: { now: () => number; node: string },
): Promise<ShardHost[]> {
  const claims: Append[] = [];
  for (const [index, host] of hosts.entries()) {
    const { epoch, tail } = positions[index] as LogPosition;
    if (host.owner.tail !== tail)
      throw new HoldfastError(
        "log-damaged",
        `The log of shard ${host.shard} ends at ${host.owner.tail}, not at its tail ${tail}.`,
      );
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
