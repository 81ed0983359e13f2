/**
 * Damage: whatever bit turns, whatever file goes missing, the log refuses or shows exactly what was written.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { assertRejects, collect, frameOf, ofShard, write } from "../../ports/log.contract.kit.ts";
import type { LogFrame } from "../../ports/log.ts";
import { copyFiles, type Files, openFiles, openOver, PlainDisk, sampleLog } from "./log.harness.ts";

const everything = { 0: 1, 1: 1, 2: 1, 3: 1 };

/** `same` as written, `refused` with nothing changed, or all `but the last` block. */
async function verdict(files: Files, expected: readonly LogFrame[], butLast: readonly LogFrame[]): Promise<string> {
  const before = copyFiles(files);
  try {
    const log = await openFiles(files);
    try {
      const found = await collect(log, everything);
      for (const [name, wanted] of [
        ["same", expected],
        ["but the last", butLast],
      ] as const) {
        if (sameFrames(found, wanted)) return name;
      }
      return "wrong";
    } finally {
      await log.close();
    }
  } catch (error) {
    assert.ok(isHoldfastError(error), String(error));
    assert.ok(error.code === "log-damaged" || error.code === "invalid-configuration", error.message);
    if (error.message.includes("Nothing was changed")) assert.ok(before.size === files.size);
    return "refused";
  }
}

function sameFrames(found: readonly LogFrame[], wanted: readonly LogFrame[]): boolean {
  return [0, 1, 2, 3].every((shard) => {
    const [a, b] = [ofShard(found, shard), ofShard(wanted, shard)];
    return a.length === b.length && a.every((frame, index) => equal(frame, b[index] as LogFrame));
  });
}

function equal(a: LogFrame, b: LogFrame): boolean {
  return a.at === b.at && a.epoch === b.epoch && a.count === b.count && Buffer.compare(a.bytes, b.bytes) === 0;
}

function flip(files: Files, name: string, bit: number): Files {
  const copy: Files = new Map(files);
  for (const [other, bytes] of copy)
    copy.set(other, other === name || other.endsWith("segment") ? bytes.slice() : bytes);
  const bytes = copy.get(name) as Uint8Array;
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

describe("one turned bit", () => {
  test("anywhere in a log that was closed is refused or changes nothing", async () => {
    const sample = await sampleLog({ frameBytes: [60], closed: true });
    const marks = [
      { at: 0, end: 40 },
      { at: 512 * 3, end: 512 * 3 + 40 },
    ];
    const inBlock = (byte: number) => [...marks, ...sample.blocks].some(({ at, end }) => byte >= at && byte < end);
    const seen: Record<string, number> = {};
    for (let bit = 0; bit < 512 * 4 * 8; bit += inBlock(bit >> 3) ? 1 : 13) {
      const result = await verdict(flip(sample.files, sample.segment, bit), sample.frames, []);
      seen[result] = (seen[result] ?? 0) + 1;
      assert.ok(result === "same" || result === "refused", `bit ${bit}: ${result}`);
    }
    const used = sample.blocks.reduce((sum, block) => sum + block.end - block.at, 0);
    assert.ok((seen["refused"] ?? 0) >= used * 8, "every bit of every block is noticed");
  });

  test("in the last block of a log that was not closed cuts at most that block", async () => {
    const sample = await sampleLog({ frameBytes: [60, 300], closed: false });
    const last = sample.blocks.at(-1);
    assert.ok(last !== undefined);
    const butLast = sample.blocks.slice(0, -1).flatMap(({ frames }) => frames);
    for (let bit = 512 * 8; bit < last.end * 8; bit += 5) {
      const result = await verdict(flip(sample.files, sample.segment, bit), sample.frames, butLast);
      const allowed: string[] = bit < last.at * 8 ? ["same", "refused"] : ["but the last", "refused"];
      assert.ok(allowed.includes(result), `bit ${bit}: ${result}`);
    }
  });

  test("in any block that an opening found is refused, though the log was never closed", async () => {
    const sample = await sampleLog({ frameBytes: [60, 300], closed: false });
    const disk = new PlainDisk(copyFiles(sample.files));
    const log = await openOver(disk);
    const files = copyFiles(disk.files);
    for (const { at, end } of sample.blocks) {
      for (let bit = at * 8; bit < end * 8; bit += 29) {
        assert.equal(await verdict(flip(files, sample.segment, bit), sample.frames, []), "refused", `bit ${bit}`);
      }
    }
    await log.close();
  });

  test("anywhere in the format file is refused", async () => {
    const sample = await sampleLog({ frameBytes: [60], closed: true });
    const bits = (sample.files.get("format") as Uint8Array).length * 8;
    for (let bit = 0; bit < bits; bit++) {
      assert.equal(await verdict(flip(sample.files, "format", bit), sample.frames, []), "refused", `bit ${bit}`);
    }
  });

  test("in any segment of several is refused by a read at the latest", async () => {
    const disk = new PlainDisk();
    const log = await openOver(disk);
    const frames: LogFrame[] = [];
    for (let at = 1; log.stats().segments < 4; at++) {
      const one = write(0, 1, at, { bytes: 2900 });
      await log[at === 1 ? "claim" : "append"]([one]);
      frames.push(frameOf(one));
    }
    await log.close();
    const names = ["0000000001.segment", "0000000002.segment", "0000000003.segment"];
    let refused = 0;
    for (let index = 0; index < 900; index++) {
      const bit = (index * 611_953 + 77) % (64 * 1024 * 8);
      const result = await verdict(flip(disk.files, names[index % 3] as string, bit), frames, []);
      assert.ok(result === "same" || result === "refused", `bit ${bit} of ${names[index % 3]}: ${result}`);
      if (result === "refused") refused += 1;
    }
    assert.ok(refused > 800, `${refused} of 900; the rest hit padding`);
  });
});

describe("what is missing or does not belong", () => {
  async function fourSegments(): Promise<Files> {
    const disk = new PlainDisk();
    const log = await openOver(disk);
    for (let at = 1; log.stats().segments < 4; at++)
      await log[at === 1 ? "claim" : "append"]([write(0, 1, at, { bytes: 9000 })]);
    await log.close();
    return disk.files;
  }

  for (const number of [2, 3]) {
    test(`a log without segment ${number} of 4 is refused`, async () => {
      const files = await fourSegments();
      files.delete(`000000000${number}.segment`);
      await assertRejects(() => openFiles(files), "log-damaged");
    });
  }

  test("a log whose segments were exchanged is refused", async () => {
    const files = await fourSegments();
    const [two, three] = [files.get("0000000002.segment"), files.get("0000000003.segment")];
    files.set("0000000002.segment", three as Uint8Array);
    files.set("0000000003.segment", two as Uint8Array);
    await assertRejects(() => openFiles(files), "log-damaged");
  });

  test("a log without its format file is refused", async () => {
    const files = await fourSegments();
    files.delete("format");
    await assertRejects(() => openFiles(files), "log-damaged");
  });

  test("a log whose only segment of records lost its format file is refused", async () => {
    const sample = await sampleLog({ frameBytes: [10], closed: true });
    sample.files.delete("format");
    sample.files.delete("0000000002.segment");
    await assertRejects(() => openFiles(sample.files), "log-damaged");
  });

  test("a log without any segment is refused, not begun anew", async () => {
    const sample = await sampleLog({ frameBytes: [10], closed: true });
    for (const name of [...sample.files.keys()]) if (name.endsWith(".segment")) sample.files.delete(name);
    await assertRejects(() => openFiles(sample.files), "log-damaged");
  });

  test("another log's segment is refused", async () => {
    const files = await fourSegments();
    const other = await fourSegments();
    files.set("0000000002.segment", other.get("0000000002.segment") as Uint8Array);
    await assertRejects(() => openFiles(files), "log-damaged");
  });

  test("a block that lies in a payload is not taken for a block of the log", async () => {
    const inner = await sampleLog({ frameBytes: [60], closed: true });
    const forged = (inner.files.get(inner.segment) as Uint8Array).slice(0, 4096);
    const disk = new PlainDisk();
    const log = await openOver(disk);
    const frame = new Uint8Array(8192);
    for (let at = 512 - 76; at + forged.length < frame.length; at += 512) frame.set(forged, at);
    await log.claim([write(0, 1, 1, { frame })]);
    const files = copyFiles(disk.files);
    await log.close();
    (files.get("0000000001.segment") as Uint8Array).fill(0, 512, 1024); // the block's head is torn off
    const again = await openFiles(files);
    assert.deepEqual(await again.tail([0]), [{ epoch: 0, tail: 1, trimmed: 1 }]);
    await again.close();
  });

  test("damage in the middle is refused when the log is opened, and nothing is changed", async () => {
    const sample = await sampleLog({ frameBytes: [60, 600, 600], closed: false });
    const files = copyFiles(sample.files);
    (files.get(sample.segment) as Uint8Array).fill(0, sample.blocks[1]?.at, sample.blocks[2]?.at);
    const before = copyFiles(files);
    await assertRejects(() => openFiles(files), "log-damaged");
    assert.deepEqual(files, before);
  });
});
