/**
 * Every bit of a sample log turned once: its frames alone, as a reader gets them from any engine, and the files of the segment
 * log as a close and as a kill leave them.
 */
import { copyFiles, openFiles, type Sample, sampleLog } from "../../src/adapters/segments/log.harness.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { collect, ofShard } from "../../src/ports/log.contract.kit.ts";
import type { LogFrame } from "../../src/ports/log.ts";
import { decodeFrame } from "../../src/wire/frame.ts";
import { type Counts, noCounts, turned } from "./counts.ts";
import { frameSamples } from "./samples.ts";

const everything = { 0: 1, 1: 1, 2: 1, 3: 1 };

/** Each bit of each frame: the frame must not decode. */
export function flipFrames(stride: number): Counts {
  const counts = noCounts();
  for (const { bytes, shard, at, chain } of frameSamples()) {
    for (let bit = 0; bit < bytes.length * 8; bit += stride) {
      counts.flips++;
      try {
        decodeFrame(turned(bytes, bit), shard, at, chain);
        counts.wrong.push(`frame ${at}, bit ${bit}`);
      } catch (error) {
        if (isHoldfastError(error) && error.code === "log-damaged") counts.detected++;
        else counts.wrong.push(`frame ${at}, bit ${bit}: ${String(error)}`);
      }
    }
  }
  return counts;
}

/**
 * Each bit of each file. Damage in the last block of a killed log cannot be told from a write that was torn: the log then ends
 * before it, which is counted apart.
 */
export async function flipSegments(closed: boolean, stride: number): Promise<Counts> {
  const counts = noCounts();
  const sample = await sampleLog({ frameBytes: [60, 200, 20, 300], closed });
  const last = sample.blocks.at(-1)?.frames ?? [];
  const butLast = sample.frames.filter((frame) => !last.includes(frame));
  for (const [name, bytes] of sample.files) {
    for (let bit = 0; bit < bytes.length * 8; bit += stride) {
      counts.flips++;
      const files = copyFiles(sample.files);
      files.set(name, turned(bytes, bit));
      const seen = await look(files);
      if (seen === "refused") counts.detected++;
      else if (same(seen, sample.frames)) counts.harmless++;
      else if (!closed && same(seen, butLast)) counts.endLost++;
      else counts.wrong.push(`${name}, bit ${bit}`);
    }
  }
  return counts;
}

async function look(files: Sample["files"]): Promise<readonly LogFrame[] | "refused"> {
  try {
    const log = await openFiles(files);
    try {
      return await collect(log, everything);
    } finally {
      await log.close();
    }
  } catch (error) {
    if (isHoldfastError(error) && (error.code === "log-damaged" || error.code === "invalid-configuration"))
      return "refused";
    throw error;
  }
}

function same(found: readonly LogFrame[], wanted: readonly LogFrame[]): boolean {
  return [0, 1, 2, 3].every((shard) => {
    const [ours, theirs] = [ofShard(found, shard), ofShard(wanted, shard)];
    const equal = (one: LogFrame, other: LogFrame | undefined) =>
      one.at === other?.at && one.epoch === other.epoch && Buffer.compare(one.bytes, other.bytes) === 0;
    return ours.length === theirs.length && ours.every((frame, index) => equal(frame, theirs[index]));
  });
}
