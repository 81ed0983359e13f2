/**
 * What the contract suite of sinks is made of: items and batches, and a runner that drives a sink as the runtime does.
 */
import assert from "node:assert/strict";
import { isHoldfastError } from "../model/errors.ts";
import type { ChangeItem, FeedItem } from "../model/feeds.ts";
import type { Plain } from "../std/plain.ts";
import { idOf, type Sink, type SinkBatch, type SinkIdentity } from "./sink.ts";

/** One item as the receiver has it. */
export interface Arrived {
  readonly id: string;
  readonly data: Plain;
}

/** The place that a sink writes to, with the faults that it can be given. */
export interface SinkUnderTest {
  /** Another opening of the same place, as another process would have it. The suite opens and closes it. */
  readonly make: () => Sink;
  /** What is downstream of this subscriber, in the order of its arrival. */
  readonly arrived: (subscriber: string) => Promise<readonly Arrived[]>;
  /** The next delivery is carried out, and its answer is lost. */
  readonly loseAnswer: () => void;
  /** The next delivery is cut off before it is carried out whole. */
  readonly cut: () => void;
  /** The receiver is gone until `up`. */
  readonly down: () => Promise<void>;
  readonly up: () => Promise<void>;
  /** The next delivery is not answered until it is given up. Resolves when it hangs. */
  readonly hang: () => Promise<void>;
  readonly dispose: () => Promise<void>;
}

export interface SinkSuiteOptions {
  readonly promise: "exactly once" | "at least once";
  /** A batch arrives whole or not at all. */
  readonly whole: boolean;
  /** Keeps the cursor with what was given, and refuses an epoch lower than it has seen. */
  readonly keepsCursor: boolean;
  /** Names of cases that this adapter cannot pass, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Generated sequences of deliveries and faults. Default 20. */
  readonly generatedRuns?: number;
}

export const subscriber = "ledger";

export function identityOf(epoch: number, name = subscriber): SinkIdentity {
  return { subscriber: name, epoch, service: "chips" };
}

/** A change that no other number gives. */
export function changeOf(number: number, payload: Plain = { number, text: `chips ${number}` }): ChangeItem {
  return {
    kind: "change",
    shard: number % 3,
    offset: Math.floor(number / 6) + 1,
    entity: { type: "player", key: `p-${number % 7}` },
    index: Math.floor((number % 6) / 3),
    timeMs: 1_764_000_000_000 + number,
    event: "won",
    eventVersion: 1,
    payload,
    command: "credit",
    requestId: number % 2 === 0 ? "0193610e-3a54-7000-8000-00000000002a" : undefined,
  };
}

/** Batches of these sizes, one behind the other. */
export function batchesOf<const Sizes extends readonly number[]>(
  ...sizes: Sizes
): { [Index in keyof Sizes]: SinkBatch } {
  let number = 0;
  const batches = sizes.map((size, index) => {
    const items = Array.from({ length: size }, () => changeOf(number++));
    return batchOf(items, `c${index}`, `c${index + 1}`);
  });
  return batches as { [Index in keyof Sizes]: SinkBatch };
}

export function batchOf(items: readonly FeedItem[], from: string, cursor: string): SinkBatch {
  return { items, from, cursor };
}

export function asArrived(batches: readonly SinkBatch[]): Arrived[] {
  return batches.flatMap(({ items }) => items).map((item) => ({ id: idOf(item), data: dataOf(item) }));
}

function dataOf(item: FeedItem): Plain {
  if (item.kind === "change") return item.payload;
  return item.kind === "absolute" ? item.value : (item.patch as unknown as Plain);
}

export const never = new AbortController().signal;

/** The first of each id: what a receiver that tells twice from once has. */
export function distinct(arrived: readonly Arrived[]): Arrived[] {
  const seen = new Set<string>();
  return arrived.filter(({ id }) => !seen.has(id) && seen.add(id) !== undefined);
}

/** Holds what arrived against what was given, as the sink promises. */
export function assertArrived(
  found: readonly Arrived[],
  wanted: readonly Arrived[],
  promise: SinkSuiteOptions["promise"],
): void {
  assert.deepEqual(promise === "exactly once" ? found : distinct(found), wanted);
}

export async function assertCode(work: Promise<unknown>, ...codes: readonly string[]): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(isHoldfastError(error), `an error of the catalogue, not ${String(error)}`);
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}; expected ${codes.join(" or ")}`);
    return true;
  });
}

/** Opens a sink of the place. The caller closes it. */
export async function opened(under: SinkUnderTest, epoch = 1, name = subscriber): Promise<Sink> {
  const sink = under.make();
  await sink.open(identityOf(epoch, name));
  return sink;
}

/** Where a new opening stands. */
export async function cursorOf(under: SinkUnderTest, epoch: number, name = subscriber): Promise<string | undefined> {
  const sink = under.make();
  try {
    return await sink.open(identityOf(epoch, name));
  } finally {
    await sink.close();
  }
}

/** Drives sinks along batches as the runtime does: each next sink goes on where the one before is known to stand. */
export class SuiteRunner {
  readonly #under: SinkUnderTest;
  readonly #batches: readonly SinkBatch[];
  readonly #name: string;
  #sink: Sink | undefined;
  #epoch = 0;
  /** Batches that are known to have been delivered. */
  position = 0;

  constructor(under: SinkUnderTest, batches: readonly SinkBatch[], name = subscriber) {
    this.#under = under;
    this.#batches = batches;
    this.#name = name;
  }

  /** A new running of the subscriber. */
  async open(): Promise<void> {
    await this.#sink?.close();
    this.#sink = this.#under.make();
    const cursor = await this.#sink.open(identityOf(++this.#epoch, this.#name));
    if (cursor !== undefined) this.position = Number(cursor.slice(1));
  }

  /** @returns whether the next batch is known to have arrived */
  async step(): Promise<boolean> {
    const batch = this.#batches[this.position];
    if (batch === undefined) return true;
    try {
      assert.ok(this.#sink !== undefined, "open first");
      await this.#sink.deliver(batch, never);
      this.position++;
      return true;
    } catch (error) {
      if (isHoldfastError(error) && error.code === "unavailable") return false;
      throw error;
    }
  }

  async finish(): Promise<void> {
    for (let failures = 0; this.position < this.#batches.length; ) {
      if (await this.step()) continue;
      assert.ok(++failures < 100, "a sink whose receiver is well takes a batch in the end");
    }
    await this.#sink?.close();
  }
}
