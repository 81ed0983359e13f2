/**
 * Standbys: which are missing, which are one too many, and which stand on nodes that have more than their share.
 *
 * A list that is longer than what is wanted is a replacement under way: those that leave stand first, and go when all that stay are
 * ready. Invariant: who stays is a function of the list and the nodes alone, so a replacement never changes its mind halfway.
 */
import { type Draft, nobody, nodeAt, takesStandbys, type World } from "./placement-world.ts";
import { quotasOf } from "./shares.ts";

/** What is wanted of one shard. */
interface Want {
  readonly standbys: number;
  /** Of these, in other zones than the owner's. */
  readonly apart: number;
}

interface Followers {
  /** Nodes that do not drain. One that is suspected keeps what it follows. */
  readonly stayers: number;
  /** Nodes that may take standbys: all of them, and how many by zone. */
  readonly takers: readonly number[];
  readonly zones: ReadonlyMap<string | undefined, number>;
  /** What each node follows when all that is under way has come through. */
  readonly counts: number[];
  /** By owner: of its shards, how many each node follows. */
  readonly pairs: Map<number, Int32Array>;
  quotas: readonly number[];
  /** Replacements that may still be begun. */
  replacements: number;
}

export function settleStandbys(world: World): void {
  const followers = openFollowers(world);
  for (const draft of world.drafts) if (draft.owner !== nobody) fill(world, followers, draft);
  for (const draft of world.drafts) if (draft.owner !== nobody) letLeave(world, followers, draft);
  followers.quotas = followerQuotas(world, followers, 0);
  while (spread(world, followers));
}

function openFollowers(world: World): Followers {
  const zones = new Map<string | undefined, number>();
  const takers = world.nodes.map((_, place) => place).filter((place) => takesStandbys(world, place));
  for (const place of takers) {
    const { zone } = nodeAt(world, place);
    zones.set(zone, (zones.get(zone) ?? 0) + 1);
  }
  const followers: Followers = {
    takers,
    stayers: world.nodes.filter(({ draining }) => !draining).length,
    zones,
    counts: world.nodes.map(() => 0),
    pairs: new Map(),
    quotas: [],
    replacements: world.options.movesMax,
  };
  let missing = 0;
  for (const draft of world.drafts) {
    if (draft.owner === nobody) continue;
    const staying = stayingOf(world, followers, draft, draft.standbys);
    for (const place of staying) count(world, followers, draft, place, 1);
    missing += missingOf(world, followers, draft, staying);
    if (isUnderWay(world, followers, draft, draft.standbys)) followers.replacements--;
  }
  followers.quotas = followerQuotas(world, followers, missing);
  return followers;
}

/** Quotas of all standbys there are and `missing` more, over the nodes that may take some. */
function followerQuotas(world: World, { takers, counts }: Followers, missing: number): number[] {
  const total = takers.reduce((sum, place) => sum + (counts[place] as number), missing);
  const shares = quotasOf(
    total,
    takers.map((place) => ({ weight: nodeAt(world, place).weight, count: counts[place] as number, fixed: 0 })),
  );
  const quotas = world.nodes.map(() => 0);
  takers.forEach((place, index) => {
    quotas[place] = shares[index] as number;
  });
  return quotas;
}

/** The owner that standbys are to be apart from. */
function ownerToBe(draft: Draft): number {
  return draft.to === nobody ? draft.owner : draft.to;
}

function wantOf(world: World, { stayers, takers, zones }: Followers, draft: Draft): Want {
  const owner = nodeAt(world, ownerToBe(draft));
  const standbys = Math.min(world.options.standbys, stayers - (owner.draining ? 0 : 1));
  return { standbys, apart: Math.min(standbys, takers.length - (zones.get(owner.zone) ?? 0)) };
}

/** Those of a list that stay: in other zones before others, and of equals the last that came. */
function stayingOf(world: World, followers: Followers, draft: Draft, list: readonly number[]): readonly number[] {
  const fit = list.filter((place) => !nodeAt(world, place).draining);
  const want = wantOf(world, followers, draft);
  if (want.standbys === 0) return [];
  const isApart = (place: number): boolean => areApart(world, place, ownerToBe(draft));
  const apart = fit.filter(isApart).slice(-want.standbys);
  const near = want.standbys - Math.max(want.apart, apart.length);
  const staying = near <= 0 ? apart : [...apart, ...fit.filter((place) => !isApart(place)).slice(-near)];
  return list.filter((place) => staying.includes(place));
}

function areApart(world: World, one: number, other: number): boolean {
  return nodeAt(world, one).zone !== nodeAt(world, other).zone;
}

/** How many are to be added. The owner of a shard that moves becomes a standby, if it can. */
function missingOf(world: World, followers: Followers, draft: Draft, staying: readonly number[]): number {
  const want = wantOf(world, followers, draft);
  const credit = draft.to !== nobody && takesStandbys(world, draft.owner) ? 1 : 0;
  return Math.max(0, want.standbys - staying.length - credit);
}

function isReady(draft: Draft, place: number): boolean {
  return draft.ready.includes(place);
}

/** Not enough of those that stay are ready, so whoever leaves is still needed. */
function areNeeded(world: World, followers: Followers, draft: Draft, staying: readonly number[]): boolean {
  const want = wantOf(world, followers, draft);
  return staying.length < want.standbys || !staying.every((place) => isReady(draft, place));
}

/** The list is longer than what is wanted, and somebody ready waits for somebody who is not. */
function isUnderWay(world: World, followers: Followers, draft: Draft, list: readonly number[]): boolean {
  const staying = stayingOf(world, followers, draft, list);
  return (
    list.length > wantOf(world, followers, draft).standbys &&
    list.some((place) => !staying.includes(place) && isReady(draft, place)) &&
    areNeeded(world, followers, draft, staying)
  );
}

function count(world: World, { counts, pairs }: Followers, draft: Draft, place: number, by: 1 | -1): void {
  counts[place] = (counts[place] as number) + by;
  const owner = ownerToBe(draft);
  let row = pairs.get(owner);
  if (row === undefined) pairs.set(owner, (row = new Int32Array(world.nodes.length)));
  row[place] = (row[place] as number) + by;
}

function pairsOf({ pairs }: Followers, draft: Draft, place: number): number {
  return pairs.get(ownerToBe(draft))?.[place] ?? 0;
}

/** Adds what is missing. What replaces somebody who is ready is bounded, what stands where nobody is is not. */
function fill(world: World, followers: Followers, draft: Draft): void {
  let staying = stayingOf(world, followers, draft, draft.standbys);
  const missing = missingOf(world, followers, draft, staying);
  let underWay = missing > 0 && isUnderWay(world, followers, draft, draft.standbys);
  for (let added = 0; added < missing; added++) {
    const { apart } = wantOf(world, followers, draft);
    const isApart = (place: number): boolean => areApart(world, place, ownerToBe(draft));
    const place = bestFollower(world, followers, draft, staying.filter(isApart).length < apart);
    if (place === nobody) return;
    const list = [...draft.standbys, place];
    const begins = !underWay && isUnderWay(world, followers, draft, list);
    if (begins && followers.replacements <= 0) return;
    if (begins) followers.replacements--;
    underWay ||= begins;
    draft.standbys = list;
    staying = [...staying, place];
    count(world, followers, draft, place, 1);
  }
}

/**
 * With room in its quota before others, then the one that follows least of this owner's shards for its weight, so that what one node
 * owns goes to many when it dies; then the one that follows least.
 */
function bestFollower(world: World, followers: Followers, draft: Draft, apartOnly: boolean): number {
  const { takers, counts, quotas } = followers;
  const { owner, to, standbys } = draft;
  const home = ownerToBe(draft);
  const paired = followers.pairs.get(home);
  let best = nobody;
  let bestRank = { full: true, paired: Number.POSITIVE_INFINITY, filled: Number.POSITIVE_INFINITY };
  for (const place of takers) {
    const following = counts[place] as number;
    const full = following >= (quotas[place] as number);
    if (full && !bestRank.full) continue;
    const { weight } = nodeAt(world, place);
    const rank = { full, paired: ((paired?.[place] ?? 0) + 1) / weight, filled: (following + 1) / weight };
    if (best !== nobody && !isBetter(rank, bestRank)) continue;
    if (place === owner || place === to || standbys.includes(place)) continue;
    if (apartOnly && !areApart(world, place, home)) continue;
    [best, bestRank] = [place, rank];
  }
  return best;
}

interface Rank {
  readonly full: boolean;
  readonly paired: number;
  readonly filled: number;
}

function isBetter(one: Rank, other: Rank): boolean {
  if (one.full !== other.full) return other.full;
  return one.paired !== other.paired ? one.paired < other.paired : one.filled < other.filled;
}

/** Replaces standbys on nodes that follow more than their quota, by such on nodes that follow less. @returns whether any */
function spread(world: World, followers: Followers): boolean {
  const { counts, quotas } = followers;
  const excess = (place: number): number => (counts[place] as number) - (quotas[place] as number);
  const donors = world.nodes
    .map((_, place) => place)
    .filter((place) => takesStandbys(world, place) && excess(place) > 0)
    .sort((one, other) => excess(other) - excess(one) || one - other);
  if (donors.length === 0) return false;
  let any = false;
  const followed = byFollower(world, followers);
  for (const donor of donors) {
    const drafts = (followed[donor] ?? []).sort(
      (one, other) => pairsOf(followers, other, donor) - pairsOf(followers, one, donor),
    );
    for (const draft of drafts) {
      if (excess(donor) <= 0) break;
      if (replace(world, followers, draft, donor)) any = true;
    }
  }
  return any;
}

/** What each node follows, of shards where nothing else is under way. */
function byFollower(world: World, followers: Followers): Draft[][] {
  const followed: Draft[][] = world.nodes.map(() => []);
  for (const draft of world.drafts) {
    if (draft.owner === nobody || draft.to !== nobody) continue;
    const staying = stayingOf(world, followers, draft, draft.standbys);
    if (staying.length < draft.standbys.length) continue;
    for (const place of staying) followed[place]?.push(draft);
  }
  return followed;
}

function replace(world: World, followers: Followers, draft: Draft, donor: number): boolean {
  const before = draft.standbys;
  if (isReady(draft, donor) && followers.replacements <= 0) return false;
  const apartOnly = areApart(world, donor, ownerToBe(draft));
  const place = bestFollower(world, followers, draft, apartOnly);
  if (place === nobody || (followers.counts[place] as number) >= (followers.quotas[place] as number)) return false;
  const list = [donor, ...before.filter((standby) => standby !== donor), place];
  const staying = stayingOf(world, followers, draft, list);
  if (staying.includes(donor) || staying.length < before.length) return false;
  draft.standbys = list;
  count(world, followers, draft, donor, -1);
  count(world, followers, draft, place, 1);
  letLeave(world, followers, draft);
  if (draft.standbys.includes(donor)) followers.replacements--;
  return true;
}

/** Those that leave stand first, as long as they are needed. */
function letLeave(world: World, followers: Followers, draft: Draft): void {
  const staying = stayingOf(world, followers, draft, draft.standbys);
  if (staying.length === draft.standbys.length) return;
  const want = wantOf(world, followers, draft);
  const needed = areNeeded(world, followers, draft, staying);
  const leaving = draft.standbys.filter(
    (place) => !staying.includes(place) && needed && (isReady(draft, place) || staying.length < want.standbys),
  );
  draft.standbys = [...leaving, ...staying];
}
