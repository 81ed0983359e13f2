/**
 * The words of a frame: each name and key once, the rows say its number.
 *
 * Invariant: word number n of a frame is the same text for its writer and its readers, whatever the text is.
 *
 *   length in one byte · that many ASCII bytes, or 255 · length (u32) · UTF-8
 *
 * The reader gives the same string object for the same word where it can: a string that was looked up before carries its
 * hash, and a replay looks every one of them up.
 */
import type { ByteReader, ByteWriter } from "./bytes.ts";

const longWord = 255;

export class WordWriter {
  readonly #numbers = new Map<string, number>();
  readonly #bytes: ByteWriter;

  /** @param bytes is empty, and nobody else writes to it */
  constructor(bytes: ByteWriter) {
    this.#bytes = bytes;
  }

  numberOf(word: string): number {
    const known = this.#numbers.get(word);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(word, number);
    if (word.length >= longWord || !this.#bytes.shortAscii(word)) {
      const text = Buffer.from(word, "utf8");
      this.#bytes.byte(longWord);
      this.#bytes.uint32(text.length);
      this.#bytes.all(text);
    }
    return number;
  }
}

export function readWords(bytes: ByteReader): string[] {
  const words: string[] = [];
  while (!bytes.atEnd) {
    const length = bytes.byte();
    words.push(length === longWord ? bytes.utf8(bytes.uint32()) : intern(bytes, length));
  }
  return words;
}

/**
 * Words that were read lately, each in one of the four places where its hash says. Bounded: about 2 MB with keys of 20
 * letters, most of them the very strings that entities hold as their keys.
 */
const lately: string[] = new Array<string>(32_768).fill("");
const hashes = new Int32Array(lately.length);
const places = 4;

function intern(from: ByteReader, length: number): string {
  const { bytes, at } = from;
  from.at = at + length;
  let hash = length;
  for (let index = at; index < at + length; index++) hash = Math.imul(hash ^ (bytes[index] as number), 0x01000193);
  hash ^= hash >>> 15;
  const first = (hash * places) & (lately.length - 1);
  let free = first + ((hash >>> 24) & (places - 1));
  for (let place = first; place < first + places; place++) {
    const known = lately[place] as string;
    if (hashes[place] === hash && isText(known, bytes, at, length)) return known;
    if (known === "") free = place;
  }
  hashes[free] = hash;
  return (lately[free] = bytes.toString("latin1", at, at + length));
}

function isText(text: string, bytes: Buffer, at: number, length: number): boolean {
  if (text.length !== length) return false;
  for (let index = 0; index < length; index++) if (text.charCodeAt(index) !== bytes[at + index]) return false;
  return true;
}
