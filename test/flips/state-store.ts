/**
 * Every bit of a sample state store's file turned once, as a close and as a kill leave it. After a close the seal's checksum
 * finds each. After a kill the verification finds it; what passes that is opened with LMDB, in a process of its own, many such
 * bits at once, which mostly show the same together; where they do not, each of them is opened alone. One bit of
 * the number of the last transaction makes the one before the last: as if the process had been killed a moment earlier.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { makeSample } from "../../src/adapters/lmdb/flips.harness.ts";
import { verifySource } from "../../src/adapters/lmdb/verify.ts";
import { temporaryDirectory } from "../../src/adapters/system/temporary.ts";
import { type Counts, noCounts, turned } from "./counts.ts";

/** Bits that are turned together in one opening. */
const together = 256;

export async function flipClosedState(stride: number): Promise<Counts> {
  const counts = noCounts();
  using directory = temporaryDirectory();
  const { closed } = await makeSample(directory.path);
  const sealed = crc32(closed);
  for (let bit = 0; bit < closed.length * 8; bit += stride) {
    counts.flips++;
    if (crc32(turned(closed, bit)) === sealed) counts.wrong.push(`bit ${bit} of a closed file`);
    else counts.detected++;
  }
  return counts;
}

export async function flipKilledState(stride: number): Promise<Counts> {
  const counts = noCounts();
  using directory = temporaryDirectory();
  const { open } = await makeSample(directory.path);
  const passed: number[] = [];
  for (let bit = 0; bit < open.length * 8; bit += stride) {
    counts.flips++;
    if (verify(turned(open, bit))) passed.push(bit);
    else counts.detected++;
  }
  const groups: number[][] = [];
  for (let from = 0; from < passed.length; from += together)
    groups.push(...split(open, passed.slice(from, from + together)));
  const alone: number[][] = [];
  for (const [index, seen] of (await openWith(groups)).entries()) {
    const bits = groups[index] ?? [];
    if (isFine(seen)) counts.harmless += bits.length;
    else alone.push(...bits.map((bit) => [bit]));
  }
  for (const [index, seen] of (await openWith(alone)).entries()) {
    if (isFine(seen)) counts.harmless++;
    else if (seen === "older") counts.endLost++;
    else counts.wrong.push(`bit ${alone[index]?.[0]}: ${seen.slice(0, 200)}`);
  }
  return counts;
}

function isFine(seen: string): boolean {
  return seen === "same" || seen === "empty";
}

function verify(bytes: Buffer): boolean {
  return verifySource({
    bytes: bytes.length,
    read: (target, position) => bytes.copy(target, 0, position, position + target.length),
  });
}

/** The bits in groups that pass the verification together. */
function split(open: Buffer, bits: readonly number[]): number[][] {
  if (bits.length === 0) return [];
  const bytes = Buffer.from(open);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  if (bits.length === 1 || verify(bytes)) return [[...bits]];
  const middle = bits.length >> 1;
  return [...split(open, bits.slice(0, middle)), ...split(open, bits.slice(middle))];
}

/** What a store shows with each group of bits turned. A group that ends the process is told, and the next process goes on behind it. */
async function openWith(groups: readonly (readonly number[])[]): Promise<string[]> {
  const seen: string[] = [];
  while (seen.length < groups.length) {
    const { lines, ended } = await openSome(groups.slice(seen.length));
    seen.push(...lines);
    if (ended !== undefined) seen.push(`the process ended with ${ended}`);
    else if (lines.length === 0) throw new Error("The process that opens stores said nothing.");
  }
  return seen;
}

async function openSome(
  groups: readonly (readonly number[])[],
): Promise<{ readonly lines: string[]; readonly ended: string | undefined }> {
  const child = spawn(process.execPath, ["--conditions=source", join(import.meta.dirname, "state-store.fixture.ts")]);
  let told = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  child.stderr.pipe(process.stderr);
  child.stdin.end(JSON.stringify(groups));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  const lines = told.split("\n").filter((line) => line !== "");
  return { lines, ended: code === 0 ? undefined : String(code ?? signal) };
}
