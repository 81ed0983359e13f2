/**
 * Verifies LMDB's file page by page before LMDB sees it, for a store whose process was killed: there is no checksum of the
 * whole file then, and LMDB follows whatever a damaged page says, up to the end of the process.
 *
 * Invariant: a file that passes has one tree in which every page is whole and used once, every key is in order and between
 * its parents', every value's checksum holds, and no page that is in use is also free. So no access of LMDB leaves the file, and no
 * key can be missed. Read for the format of lmdb-js 3.5 (data version 2); any other is refused, and the store begins anew.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { crcBytes } from "./keys.ts";

// page: number 0 (8), transaction 8 (8), pad 16, flags 18, lower 20, upper 22 | overflow: pages 20 (4)
const headerBytes = 24;
const nodeBytes = 8;
const branch = 0x01;
const leaf = 0x02;
const overflow = 0x04;
const metaPage = 0x08;
/** A node whose data stands in pages of its own. */
const bigData = 0x01;
const bigDataBytes = 24;
const depthMax = 32;
/** Integer keys in the free list, and a file without a directory: with others LMDB would read the file otherwise, or end the process. */
const environmentFlags = 0x4008;
const noRoot = 0xffff_ffff_ffff_ffffn;

class Damage extends Error {}

function check(holds: boolean): asserts holds {
  if (!holds) throw new Damage();
}

interface Tree {
  readonly flags: number;
  readonly depth: number;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  readonly root: number | undefined;
}

interface Meta {
  readonly pageBytes: number;
  readonly mapBytes: number;
  readonly free: Tree;
  readonly main: Tree;
  readonly lastPage: number;
  readonly transaction: number;
}

/** Where the pages are read from. */
export interface PageSource {
  readonly bytes: number;
  /** Fills `target` from `position`; returns the bytes read, fewer only at the end. */
  read(target: Buffer, position: number): number;
}

/** True if LMDB can be trusted with the file. Blocks while it reads. */
export function verifyPages(path: string): boolean {
  const file = openSync(path, "r");
  try {
    return verifySource({
      bytes: fstatSync(file).size,
      read: (target, position) => readSync(file, target, 0, target.length, position),
    });
  } finally {
    closeSync(file);
  }
}

export function verifySource(source: PageSource): boolean {
  try {
    new Verifier(source).run();
    return true;
  } catch (cause) {
    // What a damaged number leads to is a RangeError at the latest: every read is of a buffer.
    if (cause instanceof Damage || cause instanceof RangeError) return false;
    throw cause;
  }
}

class Verifier {
  readonly #source: PageSource;
  readonly #pageBytes: number;
  readonly #meta: Meta;
  /** Pages that are used or free. */
  readonly #seen: Uint8Array;
  readonly #pages: Buffer[] = [];
  #counted = { branches: 0, leaves: 0, overflows: 0, entries: 0 };

  constructor(source: PageSource) {
    this.#source = source;
    const head = Buffer.alloc(headerBytes + 200);
    this.#read(head, 0);
    this.#pageBytes = head.readUInt32LE(headerBytes + 24);
    check([4_096, 8_192, 16_384, 32_768].includes(this.#pageBytes));
    const metas = [0, 1].map((page) => this.#readMeta(page)) as [Meta, Meta];
    const [even, odd] = metas;
    this.#meta = even.transaction >= odd.transaction ? even : odd;
    check(Math.abs(even.transaction - odd.transaction) <= 1 && even.mapBytes === odd.mapBytes);
    check(even.transaction % 2 === 0 && (odd.transaction === 0 || odd.transaction % 2 === 1));
    const pages = this.#meta.lastPage + 1;
    check(pages >= 2 && pages * this.#pageBytes <= this.#meta.mapBytes && pages <= 2 ** 40);
    // The last pages may be free and never written; so many of them would be strange.
    check(pages * this.#pageBytes <= source.bytes + 2 ** 30);
    this.#seen = new Uint8Array(pages);
    this.#seen.fill(1, 0, 2);
  }

  run(): void {
    const { main, free } = this.#meta;
    this.#tree(main, (key, data, contiguous) => this.#value(key, data, contiguous));
    this.#tree(free, (key, data) => this.#freed(key, data));
  }

  #read(target: Buffer, position: number): void {
    check(this.#source.read(target, position) === target.length);
  }

  #readMeta(number: number): Meta {
    const page = Buffer.alloc(headerBytes + 200);
    this.#read(page, number * this.#pageBytes);
    const at = headerBytes;
    check(page.readUInt16LE(18) === metaPage && numberAt(page, 0) === number);
    check(page.readUInt32LE(at) === 0xbeefc0de && page.readUInt32LE(at + 4) === 2);
    check(page.readUInt32LE(at + 24) === this.#pageBytes && page.readUInt32LE(at + 72) === 0);
    check(page.readBigUInt64LE(at + 8) === 0n);
    check(page.readUInt16LE(at + 28) === environmentFlags);
    return {
      pageBytes: this.#pageBytes,
      mapBytes: numberAt(page, at + 16),
      free: treeAt(page, at + 24),
      main: treeAt(page, at + 72),
      lastPage: numberAt(page, at + 120),
      transaction: numberAt(page, at + 128),
    };
  }

  #tree(tree: Tree, visit: Visit): void {
    if (tree === this.#meta.main) check(tree.flags === 0);
    this.#counted = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    check((tree.root === undefined) === (tree.depth === 0) && tree.depth <= depthMax);
    if (tree.root !== undefined) {
      const compare = tree === this.#meta.main ? compareBytes : compareIntegers;
      this.#node(tree.root, { level: 1, depth: tree.depth, low: undefined, high: undefined, compare, visit });
    }
    const { branches, leaves, overflows, entries } = this.#counted;
    check(branches === tree.branches && leaves === tree.leaves);
    check(overflows === tree.overflows && entries === tree.entries);
  }

  #node(number: number, place: Place): void {
    const { level, depth, compare, low, high } = place;
    const page = this.#page(number, level);
    const kind = level === depth ? leaf : branch;
    check(page.readUInt16LE(18) === kind && page.readUInt16LE(16) === 0);
    const keys = this.#offsets(page, kind);
    if (kind === branch) this.#counted.branches += 1;
    else this.#counted.leaves += 1;
    check(keys.length >= (kind === branch ? 2 : 1));
    // The first key of a branch stands for everything below the second.
    let before = kind === branch ? undefined : low;
    for (const [index, at] of keys.entries()) {
      const key = page.subarray(at + nodeBytes, at + nodeBytes + page.readUInt16LE(at + 6));
      if (kind === branch && index === 0) continue;
      if (index > 0 && before !== undefined) check(compare(before, key) < 0);
      else if (before !== undefined) check(compare(before, key) <= 0);
      if (kind === branch && index === 1 && low !== undefined) check(compare(low, key) < 0);
      if (kind === leaf) this.#entry(page, at, key, place.visit);
      before = key;
    }
    if (before !== undefined && high !== undefined) check(compare(before, high) < 0);
    if (kind === leaf) return;
    const keyAt = (at: number) => page.subarray(at + nodeBytes, at + nodeBytes + page.readUInt16LE(at + 6));
    for (const [index, at] of keys.entries()) {
      const next = keys[index + 1];
      this.#node(page.readUInt32LE(at) + page.readUInt16LE(at + 4) * 2 ** 32, {
        ...place,
        level: level + 1,
        low: index === 0 ? low : keyAt(at),
        high: next === undefined ? high : keyAt(next),
      });
    }
  }

  /** Where the nodes of a page begin. They fill its end without a gap, as LMDB keeps them. */
  #offsets(page: Buffer, kind: number): number[] {
    const [lower, upper] = [page.readUInt16LE(20), page.readUInt16LE(22)];
    const room = this.#pageBytes - headerBytes;
    check(lower % 2 === 0 && lower <= upper && upper <= room);
    const offsets: number[] = [];
    let bytes = 0;
    for (let index = 0; index < lower / 2; index++) {
      const offset = page.readUInt16LE(headerBytes + index * 2);
      check(offset % 2 === 0 && offset >= upper && offset + nodeBytes <= room);
      const at = headerBytes + offset;
      const flags = page.readUInt16LE(at + 4);
      let length = nodeBytes + page.readUInt16LE(at + 6);
      if (kind === leaf) length += (flags & bigData) === 0 ? page.readUInt32LE(at) : bigDataBytes;
      check(offset + length <= room);
      bytes += length + (length % 2);
      offsets.push(at);
    }
    check(bytes === room - upper);
    return offsets;
  }

  #entry(page: Buffer, at: number, key: Buffer, visit: Visit): void {
    const length = page.readUInt32LE(at);
    const flags = page.readUInt16LE(at + 4);
    const from = at + nodeBytes + key.length;
    this.#counted.entries += 1;
    if (flags === 0)
      return visit(key, page.subarray(from, from + length), page.subarray(at + nodeBytes, from + length));
    check(flags === bigData);
    const pages = numberAt(page, from + 16);
    check(pages === Math.floor((headerBytes - 1 + length) / this.#pageBytes) + 1);
    this.#counted.overflows += pages;
    visit(key, this.#overflow(numberAt(page, from), pages, length), undefined);
  }

  #overflow(number: number, pages: number, length: number): Buffer {
    this.#take(number, pages);
    const bytes = Buffer.allocUnsafe(headerBytes + length);
    this.#read(bytes, number * this.#pageBytes);
    check(numberAt(bytes, 0) === number && numberAt(bytes, 8) <= this.#meta.transaction);
    check((bytes.readUInt16LE(18) & ~0x2000) === overflow && bytes.readUInt32LE(20) === pages);
    return bytes.subarray(headerBytes);
  }

  #page(number: number, level: number): Buffer {
    this.#take(number, 1);
    // One buffer per level: what is below a page is visited while the page is still read.
    const page = (this.#pages[level] ??= Buffer.allocUnsafe(this.#pageBytes));
    this.#read(page, number * this.#pageBytes);
    check(numberAt(page, 0) === number && numberAt(page, 8) <= this.#meta.transaction);
    return page;
  }

  /** Each page is used once, by the tree or the free list. */
  #take(first: number, pages: number): void {
    check(first >= 2 && pages >= 1 && first + pages <= this.#seen.length);
    for (let page = first; page < first + pages; page++) {
      check(this.#seen[page] === 0);
      this.#seen[page] = 1;
    }
  }

  #value(key: Buffer, data: Buffer, contiguous: Buffer | undefined): void {
    const length = data.length - crcBytes;
    check(length >= 0);
    const crc =
      contiguous === undefined
        ? crc32(data.subarray(0, length), crc32(key))
        : crc32(contiguous.subarray(0, contiguous.length - crcBytes));
    check(crc === data.readUInt32LE(length));
  }

  /** A list of page numbers: its length, then pages, blocks (minus their length, first page) and gaps (0). */
  #freed(key: Buffer, data: Buffer): void {
    check(key.length === 8 && numberAt(key, 0) > 0 && numberAt(key, 0) <= this.#meta.transaction);
    const count = numberAt(data, 0);
    check(data.length >= 8 && (count + 1) * 8 <= data.length);
    for (let index = 1; index <= count; index++) {
      const entry = data.readBigInt64LE(index * 8);
      if (entry === 0n) continue;
      if (entry > 0n) this.#take(Number(entry), 1);
      else {
        index += 1;
        check(index <= count);
        this.#take(numberAt(data, index * 8), Number(-entry));
      }
    }
  }
}

/** `contiguous`: key and data as they stand one behind the other, where they do. */
type Visit = (key: Buffer, data: Buffer, contiguous?: Buffer) => void;

interface Place {
  readonly level: number;
  readonly depth: number;
  /** Keys are not below it. */
  readonly low: Buffer | undefined;
  /** Keys are below it. */
  readonly high: Buffer | undefined;
  readonly compare: (left: Buffer, right: Buffer) => number;
  readonly visit: Visit;
}

function treeAt(page: Buffer, at: number): Tree {
  const root = page.readBigUInt64LE(at + 40);
  return {
    flags: page.readUInt16LE(at + 4),
    depth: page.readUInt16LE(at + 6),
    branches: numberAt(page, at + 8),
    leaves: numberAt(page, at + 16),
    overflows: numberAt(page, at + 24),
    entries: numberAt(page, at + 32),
    root: root === noRoot ? undefined : numberAt(page, at + 40),
  };
}

function numberAt(bytes: Buffer, at: number): number {
  const number = bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
  check(number <= Number.MAX_SAFE_INTEGER);
  return number;
}

function compareBytes(left: Buffer, right: Buffer): number {
  return Buffer.compare(left, right);
}

function compareIntegers(left: Buffer, right: Buffer): number {
  return numberAt(left, 0) - numberAt(right, 0);
}
