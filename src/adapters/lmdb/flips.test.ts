/**
 * Damage to the store's file: every bit turned is found by the verification or does no harm, and no opening of a damaged
 * file ends the process or shows wrong state. By default every fifth bit; with HOLDFAST_FLIPS set every bit, and more of the
 * files that pass are opened.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { temporaryDirectory } from "../system/temporary.ts";
import { look, makeSample, place } from "./flips.harness.ts";
import { verifySource } from "./verify.ts";

function verify(bytes: Buffer, reads: [from: number, to: number][] = []): boolean {
  return verifySource({
    bytes: bytes.length,
    read(target, position) {
      reads.push([position, position + target.length]);
      return bytes.copy(target, 0, position, position + target.length);
    },
  });
}

function flip(bytes: Buffer, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
}

interface Bits {
  /** The verification says that the file is damaged. */
  readonly found: number[];
  /** It reads them and passes. */
  readonly passed: number[];
  /** It never reads them. */
  readonly unread: number[];
}

function sortBits(bytes: Buffer, stride: number): Bits {
  const reads: [number, number][] = [];
  verify(bytes, reads);
  const isRead = new Uint8Array(bytes.length);
  for (const [from, to] of reads) isRead.fill(1, from, to);
  const [found, passed, unread]: [number[], number[], number[]] = [[], [], []];
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    if (isRead[bit >> 3] === 0) unread.push(bit);
    else if (bit % stride === 0) {
      flip(bytes, bit);
      (verify(bytes) ? passed : found).push(bit);
      flip(bytes, bit);
    }
  }
  return { found, passed, unread };
}

function spread(bits: readonly number[], count: number): number[] {
  const step = Math.max(1, Math.floor(bits.length / count));
  return bits.filter((_, index) => index % step === 0);
}

async function openWith(bits: readonly number[]): Promise<Record<string, number>> {
  const fixture = join(import.meta.dirname, "flips.fixture.ts");
  const child = spawn(process.execPath, ["--conditions=source", fixture, JSON.stringify(bits)]);
  let [told, last] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    last = (last + text).slice(-2_000);
  });
  const [code, signal] = (await once(child, "close")) as [number, string];
  assert.deepEqual([code, signal], [0, null], `after ${last}`);
  return JSON.parse(told) as Record<string, number>;
}

test("a bit turned in a killed store's file is found, or the store shows the same and can be written to", async () => {
  using directory = temporaryDirectory();
  const { open } = await makeSample(directory.path);
  assert.ok(verify(open));
  const every = process.env["HOLDFAST_FLIPS"] !== undefined;
  const { found, passed, unread } = sortBits(open, every ? 1 : 5);
  // Page heads are few and say most.
  const heads = passed.filter((bit) => (bit >> 3) % 4_096 < 24);
  const share = every ? 600 : 40;
  const chosen = [spread(passed, share), spread(unread, 20), spread(heads, share), spread(found, 20)].flat();
  const seen = await openWith([...new Set(chosen)]);
  assert.equal(seen["holes"], undefined);
  assert.ok(found.length > passed.length / 10);
  assert.ok((seen["same"] ?? 0) > 0 && (seen["empty"] ?? 0) > 0, JSON.stringify(seen));
});

test("a bit turned in the flags of a meta page is found: with some of them LMDB would end the process", async () => {
  using directory = temporaryDirectory();
  const { open } = await makeSample(directory.path);
  for (const page of [0, 1]) {
    const at = page * 4_096 + 24 + 24 + 4;
    for (let bit = at * 8; bit < (at + 2) * 8; bit++) {
      flip(open, bit);
      assert.equal(verify(open), false, `bit ${bit}`);
      flip(open, bit);
    }
  }
  assert.ok(verify(open));
});

test("a bit turned in a closed store's file leaves an empty store, as does a file cut anywhere", async () => {
  using directory = temporaryDirectory();
  const { closed, model } = await makeSample(directory.path);
  const seal = { bytes: closed.length, crc: crc32(closed) };
  for (let bit = 0; bit < closed.length * 8; bit += 9_973) {
    const bytes = Buffer.from(closed);
    flip(bytes, bit);
    await place(directory.path, bytes, seal);
    assert.equal(await look(directory.path, model), "empty", `bit ${bit}`);
  }
  for (let length = 0; length < closed.length; length += 7_001) {
    await place(directory.path, closed.subarray(0, length), seal);
    assert.equal(await look(directory.path, model), "empty", `cut at ${length}`);
    await place(directory.path, closed.subarray(0, length), undefined);
    assert.equal(await look(directory.path, model), "empty", `killed and cut at ${length}`);
  }
  await place(directory.path, closed, seal);
  assert.equal(await look(directory.path, model), "same");
});
