/**
 * Bytes written one after the other into memory that grows and is used again, and read the same way.
 *
 * Invariant: reading is as writing, in the same order. A reader past its end yields zeros and is then beyond it, which
 * its user must check: `complete`. Server side only: `Buffer`.
 */

export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(1_024);
  #at = 0;

  get length(): number {
    return this.#at;
  }

  /** Copies what was written. @returns where it ends in the target */
  copyTo(target: Buffer, at: number): number {
    return at + this.#bytes.copy(target, at, 0, this.#at);
  }

  clear(): void {
    this.#at = 0;
    // one huge frame must not hold its memory for ever
    if (this.#bytes.length > keptBytesMax) this.#bytes = Buffer.allocUnsafeSlow(1_024);
  }

  byte(value: number): void {
    if (this.#at === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#at++] = value;
  }

  uint32(value: number): void {
    this.#grow(4);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  float64(value: number): void {
    this.#grow(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  /** A whole number from 0: seven bits a byte, lowest first. */
  varint(value: number): void {
    let left = value;
    while (left >= 128) {
      this.byte((left % 128) | 128);
      left = Math.floor(left / 128);
    }
    this.byte(left);
  }

  /** The bytes of `from` between two places. */
  part(from: Uint8Array, start: number, end: number): void {
    this.#grow(end - start);
    // few bytes one by one: a view of them costs more
    if (end - start > 64) this.#bytes.set(from.subarray(start, end), this.#at);
    else for (let index = start; index < end; index++) this.#bytes[this.#at + index - start] = from[index] as number;
    this.#at += end - start;
  }

  /** Length in one byte, then the letters. @returns false, and nothing written, if one of them is not ASCII */
  shortAscii(text: string): boolean {
    this.#grow(text.length + 1);
    const at = this.#at + 1;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 127) return false;
      this.#bytes[at + index] = code;
    }
    this.#bytes[this.#at] = text.length;
    this.#at = at + text.length;
    return true;
  }

  #grow(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#at + count));
    bytes.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = bytes;
  }
}

const keptBytesMax = 1024 * 1024;

export class ByteReader {
  readonly bytes: Buffer;
  readonly #end: number;
  at: number;

  /** Reads from `at` to before `end`. */
  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.at >= this.#end;
  }

  /** Everything was read and nothing beyond it. */
  get complete(): boolean {
    return this.at === this.#end;
  }

  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }

  uint32(): number {
    return this.byte() + this.byte() * 0x100 + this.byte() * 0x1_0000 + this.byte() * 0x100_0000;
  }

  float64(): number {
    this.at += 8;
    return this.at <= this.#end ? this.bytes.readDoubleLE(this.at - 8) : 0;
  }

  varint(): number {
    const first = this.byte();
    if (first < 128) return first;
    let value = first - 128;
    for (let scale = 128; ; scale *= 128) {
      const next = this.byte();
      if (next < 128) return value + next * scale;
      value += (next - 128) * scale;
    }
  }

  utf8(length: number): string {
    this.at += length;
    return this.bytes.toString("utf8", this.at - length, Math.min(this.at, this.#end));
  }
}
