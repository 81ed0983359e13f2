/** What the tests of the files sink read, and how they have a disk fail. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError } from "../../model/errors.ts";
import type { Disk } from "../../ports/disk.ts";
import type { Arrived } from "../../ports/sink.contract.kit.ts";

export type FilesFault = "lose-answer" | "cut";

export interface Faults {
  next: FilesFault | undefined;
}

/** Fails a delivery: in the middle of its lines, or when its position has moved and is not known to be on stable storage. */
export function failing(disk: Disk, faults: Faults): Disk {
  let delivers = false;
  const fail = () => {
    faults.next = undefined;
    return new HoldfastError("log-failed", "The disk refused it, as the test wants.");
  };
  return {
    place: disk.place,
    lock: () => disk.lock(),
    list: () => disk.list(),
    create: (name, bytes) => disk.create(name, bytes),
    remove: (name) => disk.remove(name),
    rename: (from, to) => disk.rename(from, to),
    async syncDirectory() {
      if (delivers && faults.next === "lose-answer") {
        delivers = false;
        throw fail();
      }
      await disk.syncDirectory();
    },
    async open(name) {
      const file = await disk.open(name);
      if (!name.endsWith(".open")) return file;
      return {
        read: (target, position) => file.read(target, position),
        close: () => file.close(),
        async write(bytes, position) {
          delivers = true;
          if (faults.next !== "cut") return await file.write(bytes, position);
          await file.write(bytes.subarray(0, bytes.length >> 1), position);
          throw fail();
        },
      };
    },
  };
}

/** The names of a subscriber's files of lines, in order. */
export function fileNames(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.includes(".ndjson"))
    .sort();
}

/** What a reader has that heeds the position: every file, of the open one what counts. */
export function linesOf(folder: string): string[] {
  const names = fileNames(folder);
  if (names.length === 0) return [];
  const { file } = JSON.parse(readFileSync(join(folder, "position.json"), "utf8")) as {
    file: { number: number; bytes: number } | null;
  };
  const countsOf = (name: string) => (Number(name.slice(0, 9)) === file?.number ? file.bytes : 0);
  return names.flatMap((name) => {
    const bytes = readFileSync(join(folder, name));
    const text = (name.endsWith(".open") ? bytes.subarray(0, countsOf(name)) : bytes).toString();
    return text.split("\n").slice(0, -1);
  });
}

export function arrivedOf(lines: readonly string[]): Arrived[] {
  return lines.map((line) => {
    const { id, data } = JSON.parse(line) as Arrived;
    return { id, data };
  });
}
