/**
 * What this process knows to be in the log, held against what a server shows: after a failover to a replica that lagged, or over
 * another or restored database, acknowledged records are missing.
 *
 * Invariant: what was acknowledged to this process, or shown to it, only grows. A server that shows less has lost records, and
 * no claim or append is sent to it.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../../model/ids.ts";
import type { Append, LogPosition } from "../../ports/log.ts";
import type { Statement } from "./schema.ts";
import type { Row, Run } from "./session.ts";

interface Known {
  epoch: Epoch;
  tail: Offset;
  /** The newest frame of ours that was acknowledged. */
  frame?: { readonly at: Offset; readonly count: number; readonly checksum: number };
}

export class Witness {
  readonly #known = new Map<ShardId, Known>();
  #logId: unknown;

  acknowledged({ shard, epoch, at, count }: Append, checksum: number): void {
    this.#known.set(shard, { epoch, tail: at + count, frame: { at, count, checksum } });
  }

  shown(shard: ShardId, { epoch, tail }: Pick<LogPosition, "epoch" | "tail">): void {
    const known = this.#known.get(shard);
    if (known !== undefined && known.tail >= tail && known.epoch >= epoch) return;
    this.#known.set(shard, { ...known, epoch, tail });
  }

  /** What is known at this moment; what is read from now on must not be less. */
  moment(): (shard: ShardId, position: Pick<LogPosition, "epoch" | "tail">) => void {
    const known = new Map(this.#known);
    return (shard, position) => {
      const before = known.get(shard);
      if (before !== undefined) checkPosition(shard, before, position);
    };
  }

  /** Holds a server against all that is known. @throws `log-damaged` */
  async check(run: Run, info: Statement, witness: Statement): Promise<void> {
    const [logInfo] = await run(info);
    this.#logId ??= logInfo?.["log_id"];
    if (logInfo?.["log_id"] !== this.#logId) throw damaged("The database holds another log than before.", {});
    const known = new Map(this.#known);
    if (known.size === 0) return;
    const rows = await run(witness, [[...known.keys()], [...known.values()].map(({ frame }) => frame?.at ?? 0)]);
    const found = new Map(rows.map((row) => [Number(row["shard"]), row]));
    for (const [shard, before] of known) checkShown(shard, before, found.get(shard));
  }
}

function checkShown(shard: ShardId, before: Known, row: Row | undefined): void {
  if (row === undefined) throw damaged(`Shard ${shard} is gone.`, { shard });
  checkPosition(shard, before, { epoch: Number(row["epoch"]), tail: Number(row["tail"]) });
  const { frame } = before;
  if (frame === undefined || frame.at < Number(row["trimmed"])) return;
  const { count, checksum } = row;
  // The frames are a chain: as this one is the same, so are all before it.
  if (count === null || Number(count) !== frame.count || Number(checksum) !== frame.checksum)
    throw damaged(`Shard ${shard} holds another frame at ${frame.at} than the one it acknowledged.`, {
      shard,
      at: frame.at,
    });
}

function checkPosition(shard: ShardId, before: Known, { epoch, tail }: Pick<LogPosition, "epoch" | "tail">): void {
  if (tail >= before.tail && epoch >= before.epoch) return;
  throw damaged(
    `Shard ${shard} ends at ${tail} in epoch ${epoch}, but it was once at ${before.tail} in epoch ${before.epoch}.`,
    { shard, tail, epoch, knownTail: before.tail, knownEpoch: before.epoch },
  );
}

function damaged(what: string, details: Record<string, unknown>): HoldfastError {
  const text = `The log has lost records that it acknowledged. ${what} Was a replica promoted that lagged behind, or a backup restored? Stop the nodes before you mend it.`;
  return new HoldfastError("log-damaged", text, { details });
}
