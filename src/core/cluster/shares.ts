/**
 * How many of a number of equal things each holder is to have: its share by weight, rounded down or up.
 *
 * Invariants: the quotas add up to the total; each is within floor and ceiling of its share, except that nobody has less than is fixed
 * to it, and those others share what is left. Who has more than its floor already is rounded up first, so that what is balanced
 * stays as it is, and what is not moves as little as can be.
 */

export interface Holder {
  readonly weight: number;
  /** What it has at present. */
  readonly count: number;
  /** Of these, what cannot go elsewhere. */
  readonly fixed: number;
}

/** What a division of doubles may be off by. */
const slack = 1e-9;

/** @param holders in the order in which they are rounded up when nothing else tells them apart */
export function quotasOf(total: number, holders: readonly Holder[]): number[] {
  const quotas = holders.map(() => 0);
  const { open, rest } = withoutFixed(total, holders, quotas);
  const weight = open.reduce((sum, index) => sum + (holders[index] as Holder).weight, 0);
  let left = rest;
  const claims = open.map((index) => {
    const holder = holders[index] as Holder;
    const share = (rest * holder.weight) / weight;
    const floor = Math.floor(share + slack);
    quotas[index] = floor;
    left -= floor;
    return { index, holder, floor, part: share - floor };
  });
  claims.sort(
    (one, other) =>
      Number(other.holder.fixed > other.floor) - Number(one.holder.fixed > one.floor) ||
      Number(other.part > slack) - Number(one.part > slack) ||
      Number(other.holder.count > other.floor) - Number(one.holder.count > one.floor) ||
      other.part - one.part ||
      one.index - other.index,
  );
  for (const { index } of claims.slice(0, left)) quotas[index] = (quotas[index] as number) + 1;
  return quotas;
}

/** Gives those what is fixed to them who have more of it than their share, until the others' shares hold what is fixed to them. */
function withoutFixed(
  total: number,
  holders: readonly Holder[],
  quotas: number[],
): { readonly open: readonly number[]; readonly rest: number } {
  let open = holders.map((_, index) => index);
  let rest = total;
  for (;;) {
    const weight = open.reduce((sum, index) => sum + (holders[index] as Holder).weight, 0);
    const over = open.filter((index) => {
      const { fixed, weight: own } = holders[index] as Holder;
      return fixed > Math.ceil((rest * own) / weight - slack);
    });
    if (over.length === 0) return { open, rest };
    for (const index of over) {
      quotas[index] = (holders[index] as Holder).fixed;
      rest -= quotas[index];
    }
    open = open.filter((index) => !over.includes(index));
  }
}
