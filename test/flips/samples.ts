/** Frames of a small service: a claim, then commands of wallets with replies, sends and timers. */
import type { LogRecord } from "../../src/model/records.ts";
import { parseUuidV7 } from "../../src/std/uuid-bytes.ts";
import { type Chain, encodeFrame } from "../../src/wire/frame.ts";

export interface FrameSample {
  readonly bytes: Uint8Array;
  readonly shard: number;
  readonly at: number;
  /** Of the frame before. */
  readonly chain: Chain;
}

function step(at: number): LogRecord {
  const requestId = `0190a5d0-0000-7000-8000-${String(at).padStart(12, "0")}`;
  const idBytes = parseUuidV7(requestId) as Uint8Array;
  return {
    kind: "step",
    time: 1_767_225_600_000 + at,
    entity: { type: "wallet", key: `w${at % 3}` },
    command: "credit",
    cause: { kind: "request", requestId, idBytes },
    events: [{ name: "credited", version: 1, payload: { amount: at } }],
    outcome: { ok: true, value: { balance: at * 10 } },
    sends: [],
    timers: [{ name: "wake", dueMs: 1_767_225_700_000, command: "wake", input: null }],
    calls: [],
  };
}

export function frameSamples(): FrameSample[] {
  const shard = 3;
  const batches: LogRecord[][] = [
    [{ kind: "claim", time: 1_767_225_600_000, epoch: 1, node: "flips" }],
    [step(2), step(3), step(4)],
    [step(5)],
  ];
  const samples: FrameSample[] = [];
  let at = 1;
  let chain: Chain = 0;
  for (const records of batches) {
    const frame = encodeFrame({ shard, epoch: 1, at }, records, chain);
    samples.push({ bytes: frame.bytes, shard, at, chain });
    chain = frame.chain;
    at += records.length;
  }
  return samples;
}
