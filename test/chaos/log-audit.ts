/**
 * Reads the log that a killed server left, and adds up what is in it.
 *
 * Invariant: it opens a copy of the directory, so neither the server nor its restart is disturbed by the audit.
 */
import { cp, rm } from "node:fs/promises";
import { Audit, type Totals } from "../../examples/teen-patti/src/audit.ts";
import { openSegmentLog } from "../../src/adapters/segments/open.ts";
import { decodeFrame } from "../../src/wire/frame.ts";
import type { AccountState } from "./account.ts";
import { account } from "./account.ts";
import { segmentBytes, shardCount } from "./settings.ts";

export interface LogState {
  readonly totals: Totals;
  readonly accounts: ReadonlyMap<string, AccountState>;
  /** Last hand of each table and what was promised for it: a restart must go on with these. */
  readonly hands: ReadonlyMap<string, { handNumber: number; merkleRoot: string }>;
  readonly records: number;
}

/** Copies the log of a server that does not run. */
export async function copyLog(directory: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await cp(directory, to, { recursive: true });
}

export async function auditLog(directory: string): Promise<LogState> {
  const log = await openSegmentLog({ directory, shardCount, segmentBytes });
  const audit = new Audit();
  const accounts = new Map<string, AccountState>();
  let count = 0;
  try {
    const from = new Map(Array.from({ length: shardCount }, (_, shard) => [shard, 1]));
    for await (const frames of log.read(from)) {
      for (const frame of frames) {
        for (const record of decodeFrame(frame.bytes, frame.shard, frame.at, undefined).records) {
          if (record.kind !== "step") continue;
          count += 1;
          audit.take(record);
          if (record.entity.type === "account") evolveAccount(accounts, record);
        }
      }
    }
  } finally {
    await log.close();
  }
  const hands = [...audit.tables].map(
    ([key, { hand }]) => [key, { handNumber: hand.handNumber, merkleRoot: hand.merkleRoot }] as const,
  );
  return { totals: audit.totals(), accounts, hands: new Map(hands), records: count };
}

function evolveAccount(
  accounts: Map<string, AccountState>,
  record: { entity: { key: string }; events: readonly { name: string; payload: unknown }[] },
): void {
  const { key } = record.entity;
  const state = accounts.get(key) ?? (account.state(key) as AccountState);
  accounts.set(key, state);
  for (const { name, payload } of record.events) account.events.get(name)?.evolve(state, payload);
}
