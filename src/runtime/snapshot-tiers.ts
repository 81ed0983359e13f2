/**
 * Which layers are merged: size-tiered, so that an image is written again a logarithmic number of times.
 *
 * Layers whose sizes lie within one power of `fanOut` form a tier. A tier of `fanOut` layers is merged into one. When the
 * layers beside the largest hold half as much as that one, all are merged: so a load reads at most about 1.5 times what there is.
 * The figures that this gives are in docs/decisions/0009-snapshot-layers.md, from a test.
 */

/** Layers of one tier that are merged into one of the next. */
export const fanOut = 4;
/** Never more layers than this: each costs a load one part in memory. */
export const layersMax = 12;
/** Smaller layers count as of this size: merging them costs a few requests whatever is in them. */
const smallestBytes = 64 * 1024;

/**
 * @param sizes bytes of each layer
 * @returns positions of the layers to merge next; empty if there is nothing to do
 */
export function dueMerge(sizes: readonly number[]): number[] {
  const ascending = sizes.map((_, index) => index).sort((one, other) => sizeAt(sizes, one) - sizeAt(sizes, other));
  if (ascending.length < 2) return [];
  const largest = sizeAt(sizes, ascending.at(-1) as number);
  const others = ascending.slice(0, -1).reduce((sum, index) => sum + sizeAt(sizes, index), 0);
  if (others * 2 >= largest && ascending.length > fanOut) return ascending;
  const tiers = new Map<number, number[]>();
  for (const index of ascending) {
    const tier = tierOf(sizeAt(sizes, index));
    tiers.set(tier, [...(tiers.get(tier) ?? []), index]);
  }
  const smaller: number[] = [];
  for (const members of tiers.values()) {
    if (members.length >= fanOut) return [...smaller, ...members];
    smaller.push(...members);
  }
  return ascending.length > layersMax ? ascending.slice(0, ascending.length - layersMax + fanOut) : [];
}

function sizeAt(sizes: readonly number[], index: number): number {
  return sizes[index] as number;
}

function tierOf(bytes: number): number {
  return Math.floor(Math.log(Math.max(1, bytes / smallestBytes)) / Math.log(fanOut) + 1e-9);
}
