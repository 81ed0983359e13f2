/**
 * A disk that gathers writes which follow each other and puts them down together: for a directory that nobody may use
 * before it is finished, where a sync per write would only cost time.
 *
 * Invariant: what was written is on stable storage when its file is closed, not before. So never for a log that answers.
 */
import type { Disk, DiskFile } from "../../ports/disk.ts";

const heldBytesMax = 1024 * 1024;

export function gatherWrites(disk: Disk): Disk {
  return {
    place: disk.place,
    lock: () => disk.lock(),
    list: () => disk.list(),
    open: async (name) => new GatheringFile(await disk.open(name)),
    create: (name, bytes) => disk.create(name, bytes),
    rename: (from, to) => disk.rename(from, to),
    remove: (name) => disk.remove(name),
    syncDirectory: () => disk.syncDirectory(),
  };
}

class GatheringFile implements DiskFile {
  readonly #file: DiskFile;
  readonly #held = new Uint8Array(heldBytesMax);
  #at = 0;
  #length = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    await this.#flush();
    return await this.#file.read(target, position);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    const follows = this.#length > 0 && position === this.#at + this.#length;
    if (!follows || this.#length + bytes.length > heldBytesMax) await this.#flush();
    if (bytes.length > heldBytesMax) return await this.#file.write(bytes, position);
    if (this.#length === 0) this.#at = position;
    this.#held.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  async close(): Promise<void> {
    try {
      await this.#flush();
    } finally {
      await this.#file.close();
    }
  }

  async #flush(): Promise<void> {
    const length = this.#length;
    this.#length = 0;
    if (length > 0) await this.#file.write(this.#held.subarray(0, length), this.#at);
  }
}
