/**
 * Goes through the positions and frames of a block and checks that they continue what came before.
 *
 * Invariant: a frame is shown only if its shard's tail and epoch lead up to it without a gap. Everything under a valid
 * checksum that breaks this is damage (or a bug), never repaired.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { LogFrame } from "../../ports/log.ts";
import { type Block, frameHeaderBytes, headerBytes, isClaimAt, positionBytes } from "./block.ts";
import type { Positions } from "./positions.ts";

/** Which frames are wanted, and where they go. */
export interface FrameSink {
  /** Per shard: frames that end at or below are left out. Infinity: none are wanted. */
  readonly from: Float64Array;
  /** Per shard: frames that begin at or above are left out. */
  readonly until: Float64Array;
  frames: LogFrame[];
}

/** Checkpoint of a segment's first block, as new positions. */
export function readPositions(block: Block, positions: Positions): void {
  const { view } = block;
  let at = block.at + headerBytes;
  checkRoom(block, at + block.positionCount * positionBytes);
  for (let index = 0; index < block.positionCount; index++) {
    const shard = view.getUint32(at, true);
    if (shard >= positions.shardCount) throw damaged(block, `names shard ${shard} of ${positions.shardCount}`);
    positions.epochs[shard] = view.getFloat64(at + 4, true);
    positions.tails[shard] = view.getFloat64(at + 12, true);
    positions.allowed[shard] = view.getFloat64(at + 20, true);
    at += positionBytes;
  }
}

/** Checks the block's frames against `positions`, moves these, and puts what is wanted into `sink`. */
export function walkFrames(block: Block, positions: Positions, sink?: FrameSink): void {
  const { view, bytes } = block;
  const { epochs, tails } = positions;
  const end = block.at + block.length;
  let at = block.at + headerBytes + block.positionCount * positionBytes;
  for (let index = 0; index < block.frameCount; index++) {
    checkRoom(block, at + frameHeaderBytes);
    const shard = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    const count = view.getFloat64(at + 12, true);
    const epoch = view.getFloat64(at + 20, true);
    const offset = view.getFloat64(at + 28, true);
    const known = epochs[shard];
    if (known === undefined) throw damaged(block, `names shard ${shard} of ${positions.shardCount}`);
    if (offset !== tails[shard] || (isClaimAt(view, at) ? epoch <= known : epoch !== known)) {
      throw damaged(block, `has epoch ${epoch}, offset ${offset} after ${known}, ${tails[shard]} of shard ${shard}`);
    }
    epochs[shard] = epoch;
    tails[shard] = offset + count;
    at += frameHeaderBytes;
    if (at + length > end) throw damaged(block, "ends inside a frame");
    if (sink !== undefined && offset + count > (sink.from[shard] as number) && offset < (sink.until[shard] as number)) {
      sink.frames.push({ shard, epoch, at: offset, count, bytes: bytes.subarray(at, at + length) });
    }
    at += length;
  }
}

function checkRoom(block: Block, at: number): void {
  if (at > block.at + block.length) throw damaged(block, "is shorter than what it should hold");
}

function damaged(block: Block, what: string): HoldfastError {
  const { segment, sequence } = block;
  return new HoldfastError("log-damaged", `Block ${sequence} of segment ${segment} ${what}.`, {
    details: { segment, sequence },
  });
}
