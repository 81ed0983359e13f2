/**
 * What the log of a run holds, as plain data: what the checks compare with what clients were told.
 *
 * Invariant: every frame is checked as a recovery checks it (checksum, place, chain), and that epochs never go back.
 */
import { openPostgresLog } from "../../../src/adapters/postgres/log.ts";
import type { EntityRef } from "../../../src/model/ids.ts";
import type { EventBody, Outcome, SendBody } from "../../../src/model/records.ts";
import { type Chain, decodeFrame } from "../../../src/wire/frame.ts";

/** A step of the log. It has what the game's audit reads. */
export interface LoggedStep {
  readonly shard: number;
  readonly offset: number;
  readonly entity: EntityRef;
  readonly command: string;
  readonly cause:
    | { readonly kind: "request"; readonly requestId: string }
    | { readonly kind: "send"; readonly from: EntityRef; readonly sequence: number }
    | { readonly kind: "settled"; readonly to: EntityRef; readonly sequence: number }
    | { readonly kind: "timer" | "called" | "call-failed" | "call-retried" | "call-dropped" };
  readonly events: readonly EventBody[];
  readonly outcome: Outcome;
  readonly sends: readonly SendBody[];
}

export interface ReadLog {
  readonly steps: readonly LoggedStep[];
  readonly claims: number;
  /** What is wrong with the log itself. */
  readonly problems: readonly string[];
}

export async function readLog(connection: string): Promise<ReadLog> {
  const log = await openPostgresLog({ connection });
  const steps: LoggedStep[] = [];
  const problems: string[] = [];
  let claims = 0;
  const at = Array.from({ length: log.shardCount }, () => ({
    next: 1,
    epoch: 0,
    chain: undefined as Chain | undefined,
  }));
  try {
    for await (const frames of log.read(new Map(at.map((_, shard) => [shard, 1])))) {
      for (const frame of frames) {
        const place = at[frame.shard] as (typeof at)[number];
        if (frame.at !== place.next) problems.push(`shard ${frame.shard} goes from ${place.next} to ${frame.at}`);
        const { epoch, chain, records } = decodeFrame(frame.bytes, frame.shard, frame.at, place.chain);
        if (epoch < place.epoch) problems.push(`shard ${frame.shard} goes back to epoch ${epoch} at ${frame.at}`);
        for (const [index, record] of records.entries()) {
          if (record.kind === "claim") claims += 1;
          if (record.kind !== "step") continue;
          const { entity, command, events, outcome, sends } = record;
          const cause = plainCause(record.cause);
          steps.push({ shard: frame.shard, offset: frame.at + index, entity, command, cause, events, outcome, sends });
        }
        Object.assign(place, { next: frame.at + records.length, epoch, chain });
      }
    }
  } finally {
    await log.close();
  }
  return { steps, claims, problems };
}

/** Without the bytes of ids, which say the same again. */
function plainCause(cause: LoggedStep["cause"]): LoggedStep["cause"] {
  if (cause.kind === "request") return { kind: "request", requestId: cause.requestId };
  if (cause.kind === "send") return { kind: "send", from: cause.from, sequence: cause.sequence };
  if (cause.kind === "settled") return { kind: "settled", to: cause.to, sequence: cause.sequence };
  return { kind: cause.kind };
}
