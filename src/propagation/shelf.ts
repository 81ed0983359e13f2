/**
 * The documents of a projection that readers get, in the orders that lists may have.
 *
 * Invariant: a list is what sorting all documents would give. Values that are given out are shared and never changed.
 */
import type { ProjectionDefinition } from "../model/projection.ts";
import type { ProjectionVersion } from "../model/projection-version.ts";
import type { Plain } from "../std/plain.ts";
import { Ranking } from "../std/ranking.ts";

/** Documents, of this code or as another one left them. */
export interface DocumentSet {
  readonly size: number;
  get(key: string): Plain | undefined;
  entries(): Iterable<readonly [string, Plain]>;
}

/** Documents that are taken in between two turns of the event loop. */
const slice = 2_048;

/** The order of a projection that has none of its own: by key. */
export const orderByKey = "key";

export function ordersOf(definition: ProjectionDefinition): readonly string[] {
  return definition.orderBy.size === 0 ? [orderByKey] : [...definition.orderBy.keys()];
}

export class Shelf {
  readonly version: ProjectionVersion;
  readonly documents: DocumentSet;
  readonly #rankings: ReadonlyMap<string, { readonly ranking: Ranking; readonly value: (document: Plain) => number }>;

  constructor(definition: ProjectionDefinition, version: ProjectionVersion, documents: DocumentSet) {
    this.version = version;
    this.documents = documents;
    this.#rankings = new Map(
      ordersOf(definition).map((order) => [order, { ranking: new Ranking(), value: valueBy(definition, order) }]),
    );
  }

  /** Takes the documents in, in slices. Before that there are none; meanwhile they must not change. */
  *fill(): Generator<void, void> {
    let count = 0;
    for (const [key, document] of this.documents.entries()) {
      this.#rank(key, document);
      if (++count % slice === 0) yield;
    }
    for (const { ranking } of this.#rankings.values()) yield* ranking.prepare();
  }

  /** These documents are other ones now, or gone. */
  touch(keys: Iterable<string>): void {
    for (const key of keys) this.#rank(key, this.documents.get(key));
  }

  /** The first documents of an order that the projection has. */
  first(order: string, count: number): { readonly key: string; readonly value: Plain }[] {
    const keys = this.#rankings.get(order)?.ranking.first(count) ?? [];
    return keys.map((key) => ({ key, value: this.documents.get(key) as Plain }));
  }

  #rank(key: string, document: Plain | undefined): void {
    for (const { ranking, value } of this.#rankings.values()) {
      if (document === undefined) ranking.delete(key);
      else ranking.set(key, value(document));
    }
  }
}

/** What throws puts a document last: it may be one that older code folded. */
function valueBy({ orderBy }: ProjectionDefinition, order: string): (document: Plain) => number {
  const value = orderBy.get(order);
  if (value === undefined) return () => 0;
  return (document) => {
    try {
      const given: unknown = value(document);
      return typeof given === "number" ? given : Number.NaN;
    } catch {
      return Number.NaN;
    }
  };
}
