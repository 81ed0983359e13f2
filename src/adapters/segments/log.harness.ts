/**
 * What the segment log's own tests share: a plain disk in memory whose bytes a test may change between openings, and a
 * small log of known blocks.
 */
import { HoldfastError } from "../../model/errors.ts";
import type { Disk, DiskFile } from "../../ports/disk.ts";
import { frameOf, write } from "../../ports/log.contract.kit.ts";
import type { Append, LogFrame } from "../../ports/log.ts";
import { openSegmentLog, type SegmentLog } from "./open.ts";

export const segmentBytes = 64 * 1024;
export const shardCount = 4;

export type Files = Map<string, Uint8Array>;

/** Called before an operation takes effect; throws to make it fail. */
export type Interference = (verb: "read" | "write" | "create" | "rename" | "remove" | "sync", name: string) => void;

export class PlainDisk implements Disk {
  readonly place = "memory";
  readonly files: Files;
  interfere: Interference = () => undefined;

  constructor(files: Files = new Map()) {
    this.files = files;
  }

  async lock(): Promise<{ release(): Promise<void> }> {
    return { release: async () => undefined };
  }

  async list(): Promise<{ name: string; bytes: number }[]> {
    return [...this.files].map(([name, { length }]) => ({ name, bytes: length }));
  }

  async open(name: string): Promise<DiskFile> {
    let bytes = this.#need(name);
    return {
      read: async (target, position) => {
        this.interfere("read", name);
        const part = bytes.subarray(position, position + target.length);
        target.set(part);
        return part.length;
      },
      write: async (source, position) => {
        this.interfere("write", name);
        if (position + source.length > bytes.length) {
          const larger = new Uint8Array(position + source.length);
          larger.set(bytes);
          for (const [key, value] of this.files) if (value === bytes) this.files.set(key, larger);
          bytes = larger;
        }
        bytes.set(source, position);
      },
      close: async () => undefined,
    };
  }

  async create(name: string, bytes: number): Promise<void> {
    this.interfere("create", name);
    this.files.set(name, new Uint8Array(bytes));
  }

  async rename(from: string, to: string): Promise<void> {
    this.interfere("rename", from);
    const bytes = this.#need(from);
    this.files.delete(from);
    this.files.set(to, bytes);
  }

  async remove(name: string): Promise<void> {
    this.interfere("remove", name);
    this.files.delete(name);
  }

  async syncDirectory(): Promise<void> {
    this.interfere("sync", "");
  }

  #need(name: string): Uint8Array {
    const bytes = this.files.get(name);
    if (bytes === undefined) throw new HoldfastError("invalid-configuration", `no file ${name}`);
    return bytes;
  }
}

export function copyFiles(files: Files): Files {
  return new Map([...files].map(([name, bytes]) => [name, bytes.slice()]));
}

export function openOver(disk: Disk): Promise<SegmentLog> {
  return openSegmentLog({ disk, shardCount, segmentBytes });
}

export function openFiles(files: Files): Promise<SegmentLog> {
  return openOver(new PlainDisk(files));
}

/** A log's files, the frames in it, and where in its last segment each block ends (without the padding). */
export interface Sample {
  readonly files: Files;
  readonly frames: readonly LogFrame[];
  readonly blocks: readonly SampleBlock[];
  readonly segment: string;
}

export interface SampleBlock {
  readonly at: number;
  readonly end: number;
  readonly frames: readonly LogFrame[];
}

/** One block per call: a claim of three shards, then appends of the given sizes. */
export async function sampleLog(options: {
  readonly frameBytes: readonly number[];
  readonly closed: boolean;
}): Promise<Sample> {
  const disk = new PlainDisk();
  const log = await openOver(disk);
  const calls: Append[][] = [[write(0, 1, 1), write(1, 1, 1), write(3, 1, 1)]];
  options.frameBytes.forEach((bytes, index) => {
    calls.push([
      write(1, 1, index + 2, { bytes }),
      ...(index % 2 === 0 ? [write(0, 1, index / 2 + 2, { bytes: 9 })] : []),
    ]);
  });
  const blocks: SampleBlock[] = [];
  let at = 512; // behind the mark that a new log begins with
  for (const [index, call] of calls.entries()) {
    await log[index === 0 ? "claim" : "append"](call);
    const end = at + call.reduce((sum, { frame }) => sum + 36 + frame.length, 40);
    blocks.push({ at, end, frames: call.map(frameOf) });
    at = Math.ceil(end / 512) * 512;
  }
  if (options.closed) await log.close();
  const files = copyFiles(disk.files);
  await log.close();
  return { files, frames: blocks.flatMap((block) => block.frames), blocks, segment: "0000000001.segment" };
}
