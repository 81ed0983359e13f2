/**
 * Sorting a long list without holding anybody up, by merging: strings ascending by code units, or anything as it is compared.
 *
 * Invariant: between two yields no more than about `slice` items are looked at.
 */
export function sortInSlices(strings: Iterable<string>, slice: number): Generator<void, string[]>;
export function sortInSlices<Item>(
  items: Iterable<Item>,
  slice: number,
  compare: (left: Item, right: Item) => number,
): Generator<void, Item[]>;
export function* sortInSlices<Item>(
  items: Iterable<Item>,
  slice: number,
  compare?: (left: Item, right: Item) => number,
): Generator<void, Item[]> {
  let runs: Item[][] = [[]];
  for (const each of items) {
    const run = runs.at(-1) as Item[];
    run.push(each);
    if (run.length < slice) continue;
    run.sort(compare);
    runs.push([]);
    yield;
  }
  runs.at(-1)?.sort(compare);
  const before = compare === undefined ? isBefore : (left: Item, right: Item) => compare(left, right) <= 0;
  while (runs.length > 1) {
    const merged: Item[][] = [];
    for (let index = 0; index < runs.length; index += 2)
      merged.push(yield* merge(runs[index] as Item[], runs[index + 1] ?? [], { slice, before }));
    runs = merged;
  }
  return runs[0] as Item[];
}

/** As `sort` without a comparison orders strings. */
function isBefore(left: unknown, right: unknown): boolean {
  return (left as string) <= (right as string);
}

function* merge<Item>(
  one: readonly Item[],
  other: readonly Item[],
  how: { readonly slice: number; readonly before: (left: Item, right: Item) => boolean },
): Generator<void, Item[]> {
  const merged: Item[] = [];
  for (let left = 0, right = 0; left < one.length || right < other.length; ) {
    const takesFirst =
      right === other.length || (left < one.length && how.before(one[left] as Item, other[right] as Item));
    merged.push((takesFirst ? one[left] : other[right]) as Item);
    if (takesFirst) left++;
    else right++;
    if (merged.length % how.slice === 0) yield;
  }
  return merged;
}
