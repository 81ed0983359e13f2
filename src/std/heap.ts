/**
 * A binary min-heap. Invariant: `pop` returns items in ascending order of `rank`; equal ranks come in any but a
 * repeatable order.
 */
export class Heap<Item> {
  readonly #items: Item[] = [];
  readonly #rank: (item: Item) => number;

  constructor(rank: (item: Item) => number) {
    this.#rank = rank;
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): Item | undefined {
    return this.#items[0];
  }

  push(item: Item): void {
    const items = this.#items;
    let index = items.push(item) - 1;
    while (index > 0) {
      const up = (index - 1) >> 1;
      if (this.#rank(items[up] as Item) <= this.#rank(item)) break;
      items[index] = items[up] as Item;
      index = up;
    }
    items[index] = item;
  }

  pop(): Item | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let index = 0;
    for (;;) {
      let down = 2 * index + 1;
      if (down >= items.length) break;
      if (down + 1 < items.length && this.#rank(items[down + 1] as Item) < this.#rank(items[down] as Item)) down++;
      if (this.#rank(items[down] as Item) >= this.#rank(last)) break;
      items[index] = items[down] as Item;
      index = down;
    }
    items[index] = last;
    return top;
  }
}
