/**
 * Owners: who takes over what has none, and which moves are begun.
 *
 * Invariant: a node gets no move beyond its quota, and none gives one away but what is above its quota, pinned elsewhere, or all of it when
 * it drains. So as few shards move as can be.
 */
import { type Draft, nobody, nodeAt, takesMoves, takesStandbys, type World } from "./placement-world.ts";
import { quotasOf } from "./shares.ts";

/** What each node is to own, and what it owns when all that is under way has come through. */
interface Ledger {
  readonly quotas: readonly number[];
  readonly counts: number[];
  readonly loads: number[];
  /** Moves that may still be begun. */
  moves: number;
}

export function settleOwners(world: World): void {
  for (const draft of world.drafts) repair(world, draft);
  const ledger = openLedger(world);
  for (const draft of world.drafts) if (draft.owner === nobody) placeCold(world, ledger, draft);
  for (const draft of world.drafts) leaveDraining(world, ledger, draft);
  for (const draft of world.drafts) obeyPin(world, ledger, draft);
  balance(world, ledger);
}

/** Ends a move that cannot come through, and promotes where the owner is gone or suspected. */
function repair(world: World, draft: Draft): void {
  const stayPinned = draft.owner !== nobody && heardPin(world, draft) === draft.owner;
  if (draft.to !== nobody && (stayPinned || !takesStandbys(world, draft.to))) takeBack(draft);
  const suspected = draft.owner !== nobody && nodeAt(world, draft.owner).suspected;
  if (draft.owner !== nobody && !suspected) return;
  const next = promotable(world, draft, suspected);
  if (next === nobody) return;
  if (draft.to !== nobody) takeBack(draft);
  draft.owner = next;
  draft.standbys = draft.standbys.filter((place) => place !== next);
}

/** The move is off. Its target may have been a standby before, so it is one again, if there is need of one more. */
function takeBack(draft: Draft): void {
  draft.standbys = [draft.to, ...draft.standbys];
  draft.to = nobody;
}

/** Whoever is ready; unless a suspicion is all there is, also whoever follows. Nodes that drain come last. */
function promotable(world: World, draft: Draft, readyOnly: boolean): number {
  const following = readyOnly ? [] : [...draft.standbys, ...(draft.to === nobody ? [] : [draft.to])];
  const isThere = (place: number): boolean => place !== draft.owner && !nodeAt(world, place).suspected;
  const stays = (place: number): boolean => isThere(place) && !nodeAt(world, place).draining;
  return (
    draft.ready.find(stays) ?? draft.ready.find(isThere) ?? following.find(stays) ?? following.find(isThere) ?? nobody
  );
}

function openLedger(world: World): Ledger {
  const counts = world.nodes.map(() => 0);
  const loads = world.nodes.map(() => 0);
  const fixed = world.nodes.map(() => 0);
  let total = 0;
  let underWay = 0;
  for (const draft of world.drafts) {
    const home = homeOf(world, draft);
    if (draft.to !== nobody) underWay++;
    if (home === nobody || takesMoves(world, home)) total++;
    if (home === nobody) continue;
    counts[home] = (counts[home] as number) + 1;
    loads[home] = (loads[home] as number) + draft.asked.load;
    if (heardPin(world, draft) === home) fixed[home] = (fixed[home] as number) + 1;
  }
  const takers = world.nodes.map((_, place) => place).filter((place) => takesMoves(world, place));
  const shares = quotasOf(
    total,
    takers.map((place) => ({
      weight: nodeAt(world, place).weight,
      count: counts[place] as number,
      fixed: fixed[place] as number,
    })),
  );
  const quotas = world.nodes.map(() => 0);
  takers.forEach((place, index) => {
    quotas[place] = shares[index] as number;
  });
  return { quotas, counts, loads, moves: Math.max(0, world.options.movesMax - underWay) };
}

/** The node that a pin asks for, if it can be heard. */
function heardPin(world: World, draft: Draft): number {
  return takesMoves(world, draft.pin) ? draft.pin : nobody;
}

/** Where the shard is when what is asked for has come through; nobody, while that is open. */
function homeOf(world: World, draft: Draft): number {
  const pin = heardPin(world, draft);
  if (pin !== nobody) return pin;
  if (draft.to !== nobody) return draft.to;
  return draft.owner === nobody || nodeAt(world, draft.owner).draining ? nobody : draft.owner;
}

function placeCold(world: World, ledger: Ledger, draft: Draft): void {
  const pin = heardPin(world, draft);
  if (pin !== nobody) draft.owner = pin;
  else {
    const place = roomiest(world, ledger, draft);
    draft.owner = place === nobody ? leastOwning(world, ledger) : place;
    if (draft.owner !== nobody) enter(ledger, draft, draft.owner);
  }
  draft.standbys = draft.standbys.filter((standby) => standby !== draft.owner);
  draft.to = nobody;
}

/** The one that owns least for its weight, of those with room for one more. */
function roomiest(world: World, { quotas, counts }: Ledger, draft: Draft): number {
  let best = nobody;
  let least = Number.POSITIVE_INFINITY;
  for (let place = 0; place < quotas.length; place++) {
    const count = counts[place] as number;
    if (count >= (quotas[place] as number) || place === draft.owner || place === draft.avoid) continue;
    const filled = (count + 1) / nodeAt(world, place).weight;
    if (filled < least) [best, least] = [place, filled];
  }
  return best;
}

/** Of those that are there at all. One that rests is better than nobody. */
function leastOwning(world: World, { counts }: Ledger): number {
  let best = nobody;
  let least = Number.POSITIVE_INFINITY;
  world.nodes.forEach(({ weight }, place) => {
    const filled = ((counts[place] as number) + 1) / weight;
    if (takesStandbys(world, place) && filled < least) [best, least] = [place, filled];
  });
  return best;
}

/** Its ready standby if that has room: then only roles are exchanged, and nobody has to catch up. */
function exchange(ledger: Ledger, draft: Draft): number {
  const hasRoom = (place: number): boolean =>
    place !== draft.owner &&
    place !== draft.avoid &&
    (ledger.counts[place] as number) < (ledger.quotas[place] as number);
  return draft.ready.find(hasRoom) ?? nobody;
}

function leaveDraining(world: World, ledger: Ledger, draft: Draft): void {
  if (ledger.moves === 0 || draft.to !== nobody || homeOf(world, draft) !== nobody || draft.owner === nobody) return;
  let place = exchange(ledger, draft);
  if (place === nobody) place = roomiest(world, ledger, draft);
  if (place === nobody && ledger.quotas.every((quota) => quota === 0)) place = leastOwning(world, ledger);
  if (place === nobody || place === draft.avoid) return;
  enter(ledger, draft, place);
  begin(ledger, draft, place);
}

function obeyPin(world: World, ledger: Ledger, draft: Draft): void {
  const pin = heardPin(world, draft);
  if (pin === nobody || pin === draft.owner || pin === draft.to || pin === draft.avoid) return;
  if (draft.to !== nobody) {
    takeBack(draft);
    ledger.moves++;
  }
  if (ledger.moves > 0) begin(ledger, draft, pin);
}

/** The node's quota counts it from now on. */
function enter(ledger: Ledger, draft: Draft, place: number): void {
  ledger.counts[place] = (ledger.counts[place] as number) + 1;
  ledger.loads[place] = (ledger.loads[place] as number) + draft.asked.load;
}

function begin(ledger: Ledger, draft: Draft, place: number): void {
  ledger.moves--;
  draft.to = place;
  draft.standbys = draft.standbys.filter((standby) => standby !== place);
}

/** Nodes above their quota give away what is too many, those with the most first. */
function balance(world: World, ledger: Ledger): void {
  const excess = (place: number): number => (ledger.counts[place] as number) - (ledger.quotas[place] as number);
  const donors = world.nodes
    .map((_, place) => place)
    .filter((place) => takesMoves(world, place) && excess(place) > 0)
    .sort((one, other) => excess(other) - excess(one) || one - other);
  if (donors.length === 0 || ledger.moves === 0) return;
  const owned = byOwner(world);
  const loadPerWeight = sumOf(ledger.loads) / sumOf(world.nodes.map(({ weight }) => weight));
  for (const donor of donors) {
    const surplus = (ledger.loads[donor] as number) - loadPerWeight * nodeAt(world, donor).weight;
    const each = Math.max(0, surplus) / excess(donor);
    const movable = inOrderOfLoad(owned[donor] ?? [], each);
    for (const receiverOf of [exchange, (_: Ledger, draft: Draft) => roomiest(world, ledger, draft)])
      for (const draft of movable) {
        if (ledger.moves === 0 || excess(donor) <= 0) break;
        const place = draft.to === nobody ? receiverOf(ledger, draft) : nobody;
        if (place === nobody) continue;
        ledger.counts[donor] = (ledger.counts[donor] as number) - 1;
        enter(ledger, draft, place);
        begin(ledger, draft, place);
      }
  }
}

/** What each node owns that may be moved away from it for balance. */
function byOwner(world: World): readonly Draft[][] {
  const owned: Draft[][] = world.nodes.map(() => []);
  for (const draft of world.drafts)
    if (draft.to === nobody && draft.pin === nobody && !draft.asked.hold) owned[draft.owner]?.push(draft);
  return owned;
}

/** Those first whose load is nearest to what each that moves should take along. */
function inOrderOfLoad(drafts: readonly Draft[], each: number): readonly Draft[] {
  const distance = ({ asked }: Draft): number => Math.abs(asked.load - each);
  return [...drafts].sort((one, other) => distance(one) - distance(other) || one.asked.shard - other.asked.shard);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}
