/**
 * Copies of what a simulation stored, and the ways to damage them.
 *
 * Invariant: each kind does one thing; what it does is a function of the chance it is given.
 */
import { type MemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { type MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { type MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { segmentNumberOf } from "../adapters/segments/format.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import type { Timeline } from "../adapters/virtual/timeline.ts";
import type { Random } from "../ports/clock.ts";
import type { ShardLog } from "../ports/log.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import type { StateStore } from "../ports/state-store.ts";
import type { Prng } from "../std/prng.ts";
import { decodeStamp } from "../wire/image.ts";
import { decodeHead } from "../wire/snapshot.ts";
import { SimDisk } from "./disk.ts";
import { sealStateStore } from "./sealed-state.ts";

/** What a log is kept in, for itself: the faulty log's frames, or the files of the segment log. */
export type LogCopy =
  | { readonly engine: "log"; readonly store: MemoryStore }
  | { readonly engine: "disk"; readonly files: Map<string, Uint8Array> };

export interface CopiesParts {
  readonly log: LogCopy;
  readonly shardCount: number;
  readonly segmentBytes: number;
  readonly state: MemoryState;
  readonly objects: MemoryObjects;
  /** Which of them the service uses. */
  readonly uses: { readonly state: boolean; readonly snapshots: boolean };
  /** The state store as it was once. */
  readonly olderState: MemoryState | undefined;
  /** Heads of snapshots as they were once, by name. */
  readonly olderHeads: ReadonlyMap<string, Uint8Array>;
}

export class Copies {
  readonly parts: CopiesParts;
  lives = 0;
  #disk: SimDisk | undefined;
  #timeline: Timeline | undefined;

  constructor(parts: CopiesParts) {
    this.parts = parts;
  }

  get state(): MemoryState {
    return this.parts.state;
  }

  openLog(timeline: Timeline, random: Random): { log: Promise<ShardLog>; kill: () => void } {
    const { log, shardCount, segmentBytes } = this.parts;
    if (log.engine === "log") return { log: Promise.resolve(openMemoryLog({ store: log.store })), kill: () => {} };
    this.#timeline = timeline;
    this.#disk ??= this.#makeDisk(log.files);
    const process = this.#disk.attach();
    return {
      log: openSegmentLog({ disk: process.disk, shardCount, segmentBytes, random }),
      kill: () => process.kill(),
    };
  }

  #makeDisk(files: ReadonlyMap<string, Uint8Array>): SimDisk {
    const schedule = (ms: number, run: () => void) => void this.#timeline?.after(ms, run);
    const disk = new SimDisk({ schedule, random: () => 0.5, latencyMs: () => 0 });
    for (const [name, bytes] of files) disk.place(name, bytes);
    return disk;
  }

  openKept(): { state?: StateStore; snapshots?: SnapshotStore } {
    const { uses, state, objects } = this.parts;
    if (!uses.state) return {};
    const store = { state: sealStateStore(openMemoryStateStore({ state })) };
    return uses.snapshots ? { ...store, snapshots: openMemorySnapshots({ objects }) } : store;
  }

  /** Up to where the state store, or without it a snapshot, knows each shard's log to have gone. */
  known(): Map<number, number> {
    const { uses, state, shardCount, objects } = this.parts;
    const known = new Map<number, number>();
    const store = sealStateStore(openMemoryStateStore({ state }));
    for (let shard = 0; uses.state && shard < shardCount; shard++) {
      const bytes = store.stamp(shard);
      const stamp = bytes && decodeStamp(bytes);
      if (stamp !== undefined) known.set(shard, Math.max(stamp.high, stamp.at));
      else if (uses.snapshots) known.set(shard, snapshotEnd(objects, shard));
    }
    return known;
  }
}

function snapshotEnd(objects: MemoryObjects, shard: number): number {
  const name = `shards/${shard}/head`;
  try {
    const head = decodeHead(objects.objects.get(name)?.bytes ?? new Uint8Array(0), name, shard);
    return head.generations[0]?.at ?? 0;
  } catch {
    return 0;
  }
}

export interface DamageKind {
  readonly name: string;
  /** The log's end may be gone, and nobody know. */
  readonly endsLog: boolean;
  /** @returns what was done; undefined if there is nothing to do it to */
  readonly apply: (copies: Copies, prng: Prng) => string | undefined;
}

function turn(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
}

function pickOf<T>(prng: Prng, list: readonly T[]): T | undefined {
  return list.length === 0 ? undefined : prng.pick(list);
}

/** Where the written part of a preallocated file ends. */
function usedBytes(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

/** Segments with more than so many bytes written. */
function segmentsOf(files: ReadonlyMap<string, Uint8Array>, above: number): [string, Uint8Array][] {
  return [...files].filter(([name, bytes]) => segmentNumberOf(name) !== undefined && usedBytes(bytes) > above);
}

const logBit: DamageKind = {
  name: "log: a bit turned",
  endsLog: true,
  apply: ({ parts: { log } }, prng) => {
    if (log.engine === "log") {
      const frame = pickOf(
        prng,
        log.store.shards.flatMap(({ frames }) => frames),
      );
      if (frame === undefined) return undefined;
      const bit = prng.integer(frame.bytes.length * 8);
      turn(frame.bytes, bit);
      return `bit ${bit} of the frame at ${frame.at} of shard ${frame.shard}`;
    }
    const file = pickOf(prng, segmentsOf(log.files, 0));
    if (file === undefined) return undefined;
    const bit = prng.integer(usedBytes(file[1]) * 8);
    turn(file[1], bit);
    return `bit ${bit} of ${file[0]}`;
  },
};

const logTail: DamageKind = {
  name: "log: its end lost",
  endsLog: true,
  apply: ({ parts: { log } }, prng) => {
    if (log.engine === "log") {
      const shard = pickOf(
        prng,
        log.store.shards.filter(({ frames }) => frames.length > 0),
      );
      if (shard === undefined) return undefined;
      const lost = shard.frames.splice(prng.integer(shard.frames.length));
      shard.tail = lost[0]?.at ?? shard.tail;
      const last = shard.frames.at(-1);
      if (last !== undefined) shard.epoch = last.epoch;
      return `frames from ${shard.tail} on of shard ${log.store.shards.indexOf(shard)}`;
    }
    const file = pickOf(prng, segmentsOf(log.files, 512));
    if (file === undefined) return undefined;
    const from = prng.between(1, Math.floor(usedBytes(file[1]) / 512)) * 512;
    file[1].fill(0, from);
    return `${file[0]} from byte ${from} on`;
  },
};

const logFile: DamageKind = {
  name: "log: a file or shard lost",
  endsLog: true,
  apply: ({ parts: { log } }, prng) => {
    if (log.engine === "log") {
      const shard = pickOf(prng, log.store.shards);
      if (shard === undefined) return undefined;
      Object.assign(shard, { frames: [], tail: 1, trimmed: 1, epoch: 0 });
      return `shard ${log.store.shards.indexOf(shard)}`;
    }
    const name = pickOf(prng, [...log.files.keys()]);
    if (name === undefined) return undefined;
    log.files.delete(name);
    return name;
  },
};

const stateBit: DamageKind = {
  name: "state store: a bit turned",
  endsLog: false,
  apply: ({ parts: { state } }, prng) => {
    const places = [...state.shards].flatMap(([shard, { images, stamp }]) => [
      ...[...images].map(([name, { bytes }]) => ({ what: `${name} of shard ${shard}`, bytes })),
      ...(stamp === undefined ? [] : [{ what: `the stamp of shard ${shard}`, bytes: stamp }]),
    ]);
    const place = pickOf(
      prng,
      places.filter(({ bytes }) => bytes.length > 0),
    );
    if (place === undefined) return undefined;
    const bit = prng.integer(place.bytes.length * 8);
    turn(place.bytes, bit);
    return `bit ${bit} of ${place.what}`;
  },
};

const stateLost: DamageKind = {
  name: "state store: lost",
  endsLog: false,
  apply: ({ parts: { state } }) => {
    if (state.shards.size === 0) return undefined;
    state.lose();
    return "all of it";
  },
};

const stateStale: DamageKind = {
  name: "state store: an older copy",
  endsLog: false,
  apply: ({ parts: { state, olderState } }) => {
    if (olderState === undefined || olderState.shards.size === 0) return undefined;
    state.become(olderState);
    return "all of it";
  },
};

/** Mostly without the state store, or the snapshots would not be looked at. */
function loseState({ parts: { state } }: Copies, prng: Prng): string {
  if (prng.chance(0.2)) return "";
  state.lose();
  return ", and the state store is lost";
}

function objectKind(name: string, spoil: (objects: MemoryObjects, name: string, prng: Prng) => void): DamageKind {
  return {
    name: `snapshots: an object ${name}`,
    endsLog: false,
    apply: (copies, prng) => {
      const { objects } = copies.parts;
      const object = pickOf(prng, [...objects.objects.keys()]);
      if (object === undefined) return undefined;
      spoil(objects, object, prng);
      return object + loseState(copies, prng);
    },
  };
}

const bytesOf = (objects: MemoryObjects, name: string) => objects.objects.get(name)?.bytes ?? new Uint8Array(0);

const headStale: DamageKind = {
  name: "snapshots: an older head",
  endsLog: false,
  apply: (copies, prng) => {
    const { objects, olderHeads } = copies.parts;
    const older = pickOf(prng, [...olderHeads]);
    if (older === undefined) return undefined;
    objects.write(...older);
    return older[0] + loseState(copies, prng);
  },
};

const snapshotsLost: DamageKind = {
  name: "snapshots: all lost",
  endsLog: false,
  apply: (copies, prng) => {
    const { objects } = copies.parts;
    if (objects.objects.size === 0) return undefined;
    objects.objects.clear();
    return `all objects${loseState(copies, prng)}`;
  },
};

export const damageKinds: readonly DamageKind[] = [
  logBit,
  logTail,
  logFile,
  stateBit,
  stateLost,
  stateStale,
  objectKind("turned", (objects, name, prng) => objects.flip(name, prng.integer(bytesOf(objects, name).length * 8))),
  objectKind("cut", (objects, name, prng) => {
    const bytes = bytesOf(objects, name);
    objects.write(name, bytes.subarray(0, prng.integer(bytes.length)));
  }),
  objectKind("lost", (objects, name) => void objects.objects.delete(name)),
  headStale,
  snapshotsLost,
];
