/**
 * Follows the frames of one WebSocket in its raw bytes, only to know whether a message is half here: `ws` waits for the
 * rest for ever, and a half-sent frame of 256 KB costs whoever sends it nothing.
 *
 * Invariant: `partial` is true exactly while bytes of a message or control frame have come and not its last. Payloads are
 * skipped, not looked at; what breaks RFC 6455 is for `ws` to refuse.
 */
export class FrameProgress {
  /** Frames and messages that came whole. */
  completed = 0;
  readonly #header = new Uint8Array(14);
  #headerBytes = 0;
  #payloadLeft = 0;
  #lastOfMessage = true;
  #fragmented = false;

  get partial(): boolean {
    return this.#headerBytes > 0 || this.#payloadLeft > 0 || this.#fragmented;
  }

  take(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#payloadLeft > 0) {
        const taken = Math.min(this.#payloadLeft, chunk.length - offset);
        this.#payloadLeft -= taken;
        offset += taken;
        if (this.#payloadLeft === 0) this.#end();
      } else {
        this.#header[this.#headerBytes++] = chunk[offset++] as number;
        if (this.#headerBytes >= 2 && this.#headerBytes === this.#headerSize()) this.#begin();
      }
    }
  }

  #headerSize(): number {
    const second = this.#header[1] as number;
    const length = second & 0x7f;
    return 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (second & 0x80 ? 4 : 0);
  }

  #begin(): void {
    const first = this.#header[0] as number;
    const short = (this.#header[1] as number) & 0x7f;
    const size = short === 126 ? 2 : short === 127 ? 8 : 0;
    let length = size === 0 ? short : 0;
    for (let index = 2; index < 2 + size; index++) length = length * 256 + (this.#header[index] as number);
    this.#headerBytes = 0;
    this.#payloadLeft = length;
    const control = (first & 0x08) !== 0;
    this.#lastOfMessage = control || (first & 0x80) !== 0;
    if (!control) this.#fragmented = !this.#lastOfMessage;
    if (length === 0) this.#end();
  }

  #end(): void {
    if (this.#lastOfMessage) this.completed++;
  }
}
