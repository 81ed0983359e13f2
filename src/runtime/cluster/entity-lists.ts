/**
 * Lists of a shard's entities for feeds at other nodes, page by page: the owner keeps where each of them is.
 *
 * Invariants: a list is whole or fails with `unavailable`, as one that is read where the shard is owned; a page is given once. At most
 * `feedsMax` lists are open here: the one that was asked for least lately is given up, and whoever reads it begins again.
 */
import type { NodeRef } from "../../model/cluster.ts";
import { HoldfastError, isHoldfastError } from "../../model/errors.ts";
import type { EntityRef, Offset, ShardId } from "../../model/ids.ts";
import type { CallResult } from "../../model/records.ts";
import { type EntityIterator, iteratorOf } from "../entity-list.ts";
import type { FeedSource } from "../feed-source.ts";

/** Entities of one page: 200 KB at most. */
const pageMax = 1_024;

/** A page of a list. */
export interface EntityPageCall {
  readonly shard: ShardId;
  readonly below: Offset;
  /** Names the list among those of whoever asks. */
  readonly list: number;
  /** How many entities of it were given before: 0 begins it. */
  readonly from: number;
}

interface OpenList {
  readonly iterator: EntityIterator;
  given: number;
}

export class EntityLists {
  readonly #entities: FeedSource["entities"];
  readonly #max: number;
  /** Asked for least lately first. */
  readonly #open = new Map<string, OpenList>();

  constructor(entities: FeedSource["entities"], max: number) {
    this.#entities = entities;
    this.#max = max;
  }

  /** `value`: `{ entities, more }`. Of a failed list nothing is kept. */
  async page(asker: NodeRef, call: EntityPageCall): Promise<CallResult> {
    const name = `${prefixOf(asker)}${call.list}`;
    try {
      const list = this.#listOf(name, call);
      const entities: EntityRef[] = [];
      while (entities.length < pageMax) {
        const { done, value } = await list.iterator.next();
        if (done === true) {
          this.#open.delete(name);
          return { ok: true, version: 0, value: { entities: plain(entities), more: false } };
        }
        entities.push(value);
      }
      list.given += entities.length;
      return { ok: true, version: 0, value: { entities: plain(entities), more: true } };
    } catch (error) {
      this.#open.delete(name);
      if (!isHoldfastError(error)) throw error;
      return { ok: false, code: error.code, detail: error.message };
    }
  }

  closed(asker: NodeRef): void {
    for (const name of this.#open.keys()) if (name.startsWith(prefixOf(asker))) this.#open.delete(name);
  }

  #begin(shard: ShardId, below: Offset): EntityIterator {
    const iterator = iteratorOf(this.#entities(shard, below));
    if (iterator !== undefined) return iterator;
    throw new HoldfastError("unavailable", "This node has no state store; what there is stands in the log.");
  }

  #listOf(name: string, { shard, below, from }: EntityPageCall): OpenList {
    const open = this.#open.get(name);
    this.#open.delete(name);
    let list = open;
    if (from === 0) list = { iterator: this.#begin(shard, below), given: 0 };
    if (list === undefined || list.given !== from)
      throw new HoldfastError("unavailable", `The list of shard ${shard} is not open here any more; begin it again.`);
    this.#open.set(name, list);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= this.#max) break;
      this.#open.delete(oldest);
    }
    return list;
  }
}

/** @param ask one page, from the shard's owner. @throws as `FeedSource.entities` */
export async function* pagedEntities(
  ask: (from: number) => Promise<CallResult>,
): AsyncGenerator<EntityRef, void, undefined> {
  for (let from = 0, more = true; more; ) {
    const result = await ask(from);
    if (!result.ok) {
      const code = result.code === "outcome-unknown" || result.code === "fenced" ? "unavailable" : result.code;
      throw new HoldfastError(code, result.detail);
    }
    const page = result.value as unknown as { readonly entities: readonly [string, string][]; readonly more: boolean };
    for (const [type, key] of page.entities) yield { type, key };
    from += page.entities.length;
    ({ more } = page);
  }
}

function plain(entities: readonly EntityRef[]): [string, string][] {
  return entities.map(({ type, key }) => [type, key]);
}

function prefixOf({ node, generation }: NodeRef): string {
  return `${node} ${generation} `;
}
