/**
 * Bytes written one after the other into memory that grows and is used again, and read the same way.
 *
 * Invariant: reading is as writing, in the same order. A reader past its end yields zeros and is then beyond it, which
 * its user must check: `complete`.
 */

export class ByteWriter {
  #bytes = Buffer.allocUnsafeSlow(1_024);
  #at = 0;

  /** What was written; good until the next `clear`. */
  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
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

  all(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Sixteen bytes one by one: for so few a copy in one call costs more. */
  sixteen(bytes: Uint8Array): void {
    this.#grow(16);
    for (let index = 0; index < 16; index++) this.#bytes[this.#at + index] = bytes[index] as number;
    this.#at += 16;
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
  at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.#end = bytes.length;
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

  /** The next `length` bytes, as a view. */
  part(length: number): Buffer {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}
