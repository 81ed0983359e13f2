/**
 * What a node counts of itself as it goes: plain numbers, one addition each, so that nothing on the way of a command waits
 * for whoever looks at them. They begin with the process and only grow.
 *
 * Invariant: no key, name or payload is in them; what they are kept by is bounded (codes of the catalogue).
 */
import type { ErrorCode } from "../model/errors.ts";
import type { CallResult } from "../model/records.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";

/** One append of the log: a group commit. */
export interface Commit {
  /** From handing it to the log until it was durable, or failed. */
  readonly ms: number;
  /** Of what became durable by it. */
  readonly records: number;
  readonly bytes: number;
}

export class Tally {
  commands = 0;
  queries = 0;
  /** Answers of all kinds, by `ok` or their code. */
  readonly replies = new Map<"ok" | ErrorCode, number>();
  overBudget = 0;
  commits = 0;
  committedRecords = 0;
  committedBytes = 0;
  snapshotObjects = 0;
  snapshotWrittenBytes = 0;
  snapshotReadBytes = 0;
  readonly #listeners = new Set<(commit: Commit) => void>();

  replied(result: CallResult): void {
    const code = result.ok ? "ok" : result.code;
    this.replies.set(code, (this.replies.get(code) ?? 0) + 1);
  }

  committed(commit: Commit): void {
    this.commits++;
    this.committedRecords += commit.records;
    this.committedBytes += commit.bytes;
    for (const listener of this.#listeners) listener(commit);
  }

  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** The store, with what goes to it and comes from it counted. */
export function countedSnapshots(store: SnapshotStore, tally: Tally): SnapshotStore {
  const written = (bytes: Uint8Array): void => {
    tally.snapshotObjects++;
    tally.snapshotWrittenBytes += bytes.length;
  };
  return {
    put: async (name, bytes) => {
      await store.put(name, bytes);
      written(bytes);
    },
    replace: async (name, bytes, expected) => {
      const result = await store.replace(name, bytes, expected);
      if (result.ok) written(bytes);
      return result;
    },
    get: async (name) => {
      const found = await store.get(name);
      tally.snapshotReadBytes += found?.bytes.length ?? 0;
      return found;
    },
    list: (prefix) => store.list(prefix),
    delete: (names) => store.delete(names),
    close: () => store.close(),
  };
}
