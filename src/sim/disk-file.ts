/**
 * One file of the simulated disk: bytes on stable storage, and sectors that only the cache has.
 *
 * Invariant: reads show the cache over the stable bytes; a durable write leaves nothing of itself in the cache.
 */
import { sectorBytes } from "../ports/disk.ts";

export class SimFile {
  /** As directory listings show it; undefined once removed. */
  name: string | undefined = undefined;
  /** As it would be after a power cut, changes since the last sync of the directory aside. */
  durableName: string | undefined = undefined;
  #stable: Uint8Array;
  /** Sectors that were written and not synced, by number. */
  readonly #cached = new Map<number, Uint8Array>();

  constructor(bytes: number) {
    this.#stable = new Uint8Array(bytes);
  }

  get bytes(): number {
    return this.#stable.length;
  }

  content(): Uint8Array {
    const bytes = new Uint8Array(this.bytes);
    this.read(bytes, 0);
    return bytes;
  }

  read(target: Uint8Array, position: number): number {
    const bytes = Math.max(0, Math.min(target.length, this.bytes - position));
    target.set(this.#stable.subarray(position, position + bytes));
    const last = Math.floor((position + bytes - 1) / sectorBytes);
    for (let sector = Math.floor(position / sectorBytes); this.#cached.size > 0 && sector <= last; sector++) {
      const cached = this.#cached.get(sector);
      if (cached === undefined) continue;
      const from = Math.max(position, sector * sectorBytes);
      const until = Math.min(position + bytes, sector * sectorBytes + cached.length);
      if (from < until)
        target.set(cached.subarray(from - sector * sectorBytes, until - sector * sectorBytes), from - position);
    }
    return bytes;
  }

  /** A write that was answered. */
  write(bytes: Uint8Array, position: number): void {
    this.grow(position + bytes.length);
    const last = Math.floor((position + bytes.length - 1) / sectorBytes);
    for (let sector = Math.floor(position / sectorBytes); sector <= last; sector++) this.#flush(sector);
    this.#stable.set(bytes, position);
  }

  /** A write that was not: any of its sectors reach the cache. */
  tear(bytes: Uint8Array, position: number, random: () => number): void {
    const style = random();
    const share = style < 0.2 ? 0 : style < 0.4 ? 1 : random();
    const until = position + bytes.length;
    if (until > this.bytes) this.grow(Math.floor(this.bytes + (until - this.bytes) * share));
    for (let sector = Math.floor(position / sectorBytes); sector * sectorBytes < until; sector++) {
      if (random() >= share) continue;
      const start = sector * sectorBytes;
      if (start >= this.bytes) continue; // the file did not grow so far
      const image = new Uint8Array(Math.max(0, Math.min(sectorBytes, this.bytes - start)));
      this.read(image, start);
      const from = Math.max(position, start);
      image.set(bytes.subarray(from - position, Math.min(until, start + image.length) - position), from - start);
      this.#cached.set(sector, image);
    }
  }

  /** Each sector that only the cache has is written at the last moment, or lost. */
  losePower(random: () => number): void {
    const style = random();
    const share = style < 0.3 ? 0 : style < 0.5 ? 1 : random();
    for (const sector of [...this.#cached.keys()]) {
      if (random() < share) this.#flush(sector);
    }
    this.#cached.clear();
  }

  /** Zeros up to this length. */
  grow(bytes: number): void {
    if (bytes <= this.bytes) return;
    const larger = new Uint8Array(bytes);
    larger.set(this.#stable);
    this.#stable = larger;
  }

  flip(bit: number): void {
    const index = bit >> 3;
    this.#flush(Math.floor(index / sectorBytes));
    this.#stable[index] = (this.#stable[index] as number) ^ (1 << (bit & 7));
  }

  #flush(sector: number): void {
    const cached = this.#cached.get(sector);
    if (cached === undefined) return;
    this.#cached.delete(sector);
    const start = sector * sectorBytes;
    this.#stable.set(cached.subarray(0, Math.max(0, this.bytes - start)), start);
  }
}
