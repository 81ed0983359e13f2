/**
 * A snapshot store in memory, for tests and simulation. What was written is gone with the process.
 *
 * Invariant: each method takes effect in one step, after `hooks.before` and before `hooks.after`, so that a test can end a
 * process between any two of them or turn a bit of what is stored.
 */
import {
  checkObjectName,
  checkObjectPrefix,
  type ObjectTag,
  type PutResult,
  type SnapshotStore,
  type StoredObject,
} from "../../ports/snapshot-store.ts";

export interface SnapshotStoreCall {
  readonly verb: "put" | "replace" | "get" | "list" | "delete";
  /** One name; of a list its prefix; of a delete the first. */
  readonly name: string;
  readonly bytes: number;
}

export interface MemorySnapshotHooks {
  /** May throw: the call then does nothing. May wait. */
  readonly before?: (call: SnapshotStoreCall) => void | Promise<void>;
  /** May throw: the call then has happened, and its answer is lost. */
  readonly after?: (call: SnapshotStoreCall) => void | Promise<void>;
}

/** The objects that several openings share. */
export class MemoryObjects {
  readonly objects = new Map<string, StoredObject>();
  #versions = 0;

  write(name: string, bytes: Uint8Array): ObjectTag {
    const tag = String(++this.#versions);
    this.objects.set(name, { bytes: Uint8Array.from(bytes), tag });
    return tag;
  }

  /** What is there now, for itself. */
  copy(): MemoryObjects {
    const copy = new MemoryObjects();
    for (const [name, { bytes }] of this.objects) copy.write(name, bytes);
    return copy;
  }

  /** Turns one bit, as a bad device would. */
  flip(name: string, bit: number): void {
    const { bytes } = this.objects.get(name) as StoredObject;
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  }
}

export interface MemorySnapshotOptions {
  readonly objects?: MemoryObjects;
  readonly hooks?: MemorySnapshotHooks;
}

export function openMemorySnapshots(options: MemorySnapshotOptions = {}): SnapshotStore {
  return new MemorySnapshotStore(options.objects ?? new MemoryObjects(), options.hooks ?? {});
}

class MemorySnapshotStore implements SnapshotStore {
  readonly #stored: MemoryObjects;
  readonly #hooks: MemorySnapshotHooks;

  constructor(stored: MemoryObjects, hooks: MemorySnapshotHooks) {
    this.#stored = stored;
    this.#hooks = hooks;
  }

  async #call<T>(verb: SnapshotStoreCall["verb"], name: string, bytes: number, effect: () => T): Promise<T> {
    const call = { verb, name, bytes };
    await this.#hooks.before?.(call);
    const result = effect();
    await this.#hooks.after?.(call);
    return result;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    checkObjectName(name);
    await this.#call("put", name, bytes.length, () => {
      if (!this.#stored.objects.has(name)) this.#stored.write(name, bytes);
    });
  }

  async replace(name: string, bytes: Uint8Array, expected: ObjectTag | undefined): Promise<PutResult> {
    checkObjectName(name);
    return await this.#call("replace", name, bytes.length, (): PutResult => {
      if (this.#stored.objects.get(name)?.tag !== expected) return { ok: false, reason: "changed" };
      return { ok: true, tag: this.#stored.write(name, bytes) };
    });
  }

  async get(name: string): Promise<StoredObject | undefined> {
    checkObjectName(name);
    return await this.#call("get", name, 0, () => {
      const found = this.#stored.objects.get(name);
      return found === undefined ? undefined : { bytes: Uint8Array.from(found.bytes), tag: found.tag };
    });
  }

  async *list(prefix: string): AsyncIterable<string> {
    checkObjectPrefix(prefix);
    const { objects } = this.#stored;
    const find = () => [...objects.keys()].filter((name) => name.startsWith(prefix)).sort();
    yield* await this.#call("list", prefix, 0, find);
  }

  async delete(names: readonly string[]): Promise<void> {
    for (const name of names) checkObjectName(name);
    await this.#call("delete", names[0] ?? "", 0, () => {
      for (const name of names) this.#stored.objects.delete(name);
    });
  }

  async close(): Promise<void> {}
}
