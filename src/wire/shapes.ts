/**
 * Columns of plain values in which the names of an object's members stand once per frame: a value is the number of its
 * shape and then its members. Payloads and replies of one kind all look alike, so a frame has few shapes.
 *
 * Invariant: values come back equal, members in the order in which they were, whatever they are.
 */
import type { Plain } from "../std/plain.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";
import type { WordWriter } from "./words.ts";

/** Stands before a value that is written as it is. */
const asItIs = 0;
/** Shapes of one frame, and members of a shape; others are written as they are. Bounds what is compared. */
const shapesMax = 32;
const membersMax = 32;

export class ShapeWriter {
  readonly #shapes: (readonly string[])[] = [];
  readonly #words: WordWriter;
  readonly #bytes: ByteWriter;

  /** @param bytes is empty, and nobody else writes to it */
  constructor(words: WordWriter, bytes: ByteWriter) {
    this.#words = words;
    this.#bytes = bytes;
  }

  push(column: unknown[], value: Plain): void {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      column.push(asItIs, value);
      return;
    }
    const members = value as { readonly [name: string]: Plain };
    const names = Object.keys(members);
    const shape = this.#numberOf(names);
    column.push(shape);
    if (shape === asItIs) column.push(value);
    else for (const name of names) column.push(members[name]);
  }

  #numberOf(names: readonly string[]): number {
    const shapes = this.#shapes;
    for (let index = 0; index < shapes.length; index++) {
      if (sameNames(names, shapes[index] as readonly string[])) return index + 1;
    }
    if (shapes.length === shapesMax || names.length === 0 || names.length > membersMax) return asItIs;
    shapes.push(names);
    this.#bytes.varint(names.length);
    for (const name of names) this.#bytes.varint(this.#words.numberOf(name));
    return shapes.length;
  }
}

function sameNames(names: readonly string[], others: readonly string[]): boolean {
  if (names.length !== others.length) return false;
  for (let index = 0; index < names.length; index++) if (names[index] !== others[index]) return false;
  return true;
}

export type Shapes = readonly (readonly string[])[];

export function readShapes(bytes: ByteReader, words: readonly string[]): Shapes {
  const shapes: string[][] = [];
  while (!bytes.atEnd) {
    const names: string[] = [];
    for (let count = bytes.varint(); count > 0 && !bytes.atEnd; count--) names.push(words[bytes.varint()] as string);
    shapes.push(names);
  }
  return shapes;
}

export class ShapedColumn {
  readonly #column: readonly unknown[];
  readonly #shapes: Shapes;
  #at = 0;

  constructor(column: readonly unknown[], shapes: Shapes) {
    this.#column = column;
    this.#shapes = shapes;
  }

  /** Everything was read and nothing beyond it. */
  get complete(): boolean {
    return this.#at === this.#column.length;
  }

  /** What stands behind `mark`, if that is next. Marks are negative, so that they are no shape. */
  take(mark: number): unknown {
    if (this.#column[this.#at] !== mark) return undefined;
    this.#at += 2;
    return this.#column[this.#at - 1];
  }

  next(): Plain {
    const column = this.#column;
    const shape = column[this.#at++] as number;
    if (shape === asItIs) return column[this.#at++] as Plain;
    const value: Record<string, Plain> = {};
    const names = this.#shapes[shape - 1] as readonly string[];
    for (let index = 0; index < names.length; index++) value[names[index] as string] = column[this.#at++] as Plain;
    return value;
  }
}
