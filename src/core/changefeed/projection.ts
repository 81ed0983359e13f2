/**
 * Folds changes into the documents of a projection: pure, synchronous, bounded.
 *
 * Invariants: a batch is taken in whole or, if it cannot be, not at all, so documents are always those of a cursor. A document
 * that was given out is never changed again: readers and a save may hold it. Documents are plain data.
 */
import type { EntityDefinition } from "../../model/entity.ts";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { ChangeItem, FeedItem } from "../../model/feeds.ts";
import { isKey } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { ChangeFacts, Fold, ProjectionDefinition } from "../../model/projection.ts";
import { copyPlain, type Plain, PlainError } from "../../std/plain.ts";
import { upcastEvent } from "../slot.ts";

interface Held {
  readonly value: Plain;
  readonly bytes: number;
}

export class Documents {
  readonly #definition: ProjectionDefinition;
  readonly #limits: Limits;
  readonly #held = new Map<string, Held>();
  #bytes = 0;

  constructor(definition: ProjectionDefinition, limits: Limits) {
    this.#definition = definition;
    this.#limits = limits;
  }

  get size(): number {
    return this.#held.size;
  }

  /** About. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Plain | undefined {
    return this.#held.get(key)?.value;
  }

  /** All of them as of now, for a save that takes its time. */
  entries(): (readonly [string, Plain])[] {
    return Array.from(this.#held, ([key, { value }]) => [key, value] as const);
  }

  /** A document that was saved. @throws `projection-failed` it is over a limit */
  load(key: string, document: Plain): void {
    this.#put(new Map([[key, this.#checked(key, document)]]));
  }

  /**
   * Takes in the changes of a batch.
   * @returns the keys of documents that are there, not there any more, or other ones
   * @throws `projection-failed` a function threw, or made what is no plain data or over a limit; nothing was taken in
   * @throws `unknown-event` an event is of a later version than this code's
   */
  fold(items: readonly FeedItem[]): ReadonlySet<string> {
    const drafts = new Map<string, unknown>();
    for (const item of items) {
      if (item.kind !== "change") continue;
      const fold = this.#definition.on.get(item.entity.type)?.get(item.event);
      if (fold !== undefined) this.#take(item, fold, drafts);
    }
    const made = new Map<string, Held | undefined>();
    for (const [key, draft] of drafts) made.set(key, draft === null ? undefined : this.#checked(key, draft));
    this.#put(made);
    return new Set(made.keys());
  }

  #take(item: ChangeItem, fold: Fold<unknown, unknown>, drafts: Map<string, unknown>): void {
    const { entity, event, shard, offset, index, timeMs } = item;
    const definition = this.#definition.from.get(entity.type);
    const facts: ChangeFacts = { type: entity.type, key: entity.key, event, shard, offset, index, timeMs };
    try {
      let payload = currentPayload(definition, item);
      for (const key of keysOf(this.#definition, facts, payload)) {
        // Each document gets a payload of its own: a function may keep a part of it and change that later.
        payload ??= currentPayload(definition, item);
        const draft = drafts.has(key) ? (drafts.get(key) ?? this.#definition.document(key)) : this.#draft(key);
        drafts.set(key, fold(draft, payload, { ...facts, documentKey: key }) === null ? null : draft);
        payload = undefined;
      }
    } catch (cause) {
      if (isHoldfastError(cause) && cause.code === "unknown-event") throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      const where = `event "${event}" of ${entity.type} at offset ${offset} of shard ${shard}`;
      throw failed(this.#definition, `${where}: ${why}`, cause);
    }
  }

  /** What a function may change: a copy of the document, or the one before its first change. */
  #draft(key: string): unknown {
    const held = this.#held.get(key);
    return held === undefined ? this.#definition.document(key) : copyOf(held.value);
  }

  #checked(key: string, draft: unknown): Held {
    const { depthMax, viewBytesMax: bytesMax } = this.#limits;
    try {
      return copyPlain(draft as Plain, { depthMax, bytesMax, sealed: this.#definition.personal });
    } catch (cause) {
      if (!(cause instanceof PlainError)) throw cause;
      throw failed(this.#definition, `the document "${key}": ${cause.message}`, cause);
    }
  }

  /** All or, if that would be over a limit, none. */
  #put(made: ReadonlyMap<string, Held | undefined>): void {
    let { size } = this.#held;
    let bytes = this.#bytes;
    for (const [key, held] of made) {
      const before = this.#held.get(key);
      size += Number(held !== undefined) - Number(before !== undefined);
      bytes += (held?.bytes ?? 0) - (before?.bytes ?? 0);
    }
    const { projectionDocumentsMax, projectionBytesMax } = this.#limits;
    if (size > projectionDocumentsMax)
      throw failed(
        this.#definition,
        `it would have ${size} documents; projectionDocumentsMax is ${projectionDocumentsMax}`,
      );
    if (bytes > projectionBytesMax)
      throw failed(
        this.#definition,
        `its documents would be ${bytes} bytes; projectionBytesMax is ${projectionBytesMax}`,
      );
    for (const [key, held] of made) {
      if (held === undefined) this.#held.delete(key);
      else this.#held.set(key, held);
    }
    this.#bytes = bytes;
  }
}

/** A copy, in the event's current shape. What is no event of the entity (`@erased`) stays as it is. */
function currentPayload(definition: EntityDefinition | undefined, item: ChangeItem): unknown {
  const payload = copyOf(item.payload);
  if (definition === undefined || item.event.startsWith("@")) return payload;
  return upcastEvent(definition, { name: item.event, version: item.eventVersion, payload }).payload;
}

const anySize = { depthMax: 1_024, bytesMax: Number.POSITIVE_INFINITY, sealed: true } as const;

function copyOf(value: Plain): Plain {
  return copyPlain(value, anySize).value;
}

function keysOf({ key }: ProjectionDefinition, facts: ChangeFacts, payload: unknown): Iterable<string> {
  const given = key({ ...facts, payload });
  if (given === undefined) return [];
  const keys = new Set(typeof given === "string" ? [given] : given);
  for (const one of keys) {
    if (!isKey(one))
      throw new Error(`its \`key\` gave ${JSON.stringify(one)}, which is not 1 to 128 of A-Z a-z 0-9 _ -`);
  }
  return keys;
}

function failed({ name }: ProjectionDefinition, why: string, cause?: unknown): HoldfastError {
  const remedy = "Mend it and start again; what it has is kept as it was before.";
  return new HoldfastError("projection-failed", `Projection "${name}" cannot go on: ${why}. ${remedy}`, { cause });
}
