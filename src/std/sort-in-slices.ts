/**
 * Sorting a long list of strings without holding anybody up: ascending by code units, by merging.
 *
 * Invariant: between two yields no more than about `slice` strings are looked at.
 */
export function* sortInSlices(strings: Iterable<string>, slice: number): Generator<void, string[]> {
  let runs: string[][] = [[]];
  for (const each of strings) {
    const run = runs.at(-1) as string[];
    run.push(each);
    if (run.length < slice) continue;
    run.sort();
    runs.push([]);
    yield;
  }
  runs.at(-1)?.sort();
  while (runs.length > 1) {
    const merged: string[][] = [];
    for (let index = 0; index < runs.length; index += 2)
      merged.push(yield* merge(runs[index] as string[], runs[index + 1] ?? [], slice));
    runs = merged;
  }
  return runs[0] as string[];
}

function* merge(one: readonly string[], other: readonly string[], slice: number): Generator<void, string[]> {
  const merged: string[] = [];
  for (let left = 0, right = 0; left < one.length || right < other.length; ) {
    const [first, second] = [one[left], other[right]];
    const takesFirst = second === undefined || (first !== undefined && first <= second);
    merged.push((takesFirst ? first : second) as string);
    if (takesFirst) left++;
    else right++;
    if (merged.length % slice === 0) yield;
  }
  return merged;
}
