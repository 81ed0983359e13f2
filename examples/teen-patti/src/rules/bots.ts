/**
 * Bot players: four styles that pick one of the legal moves from what their seat may see.
 *
 * Invariants:
 * 1. A bot knows what a player in its seat knows: it is given a `SeatView`, never a hand.
 * 2. It answers with one of the moves it was given, or null when the hand does not wait for it.
 * 3. The same view, moves and random number give the same move.
 */
import { rankOf } from "./cards.ts";
import type { Move } from "./moves.ts";
import type { SeatInView, SeatView } from "./projection.ts";
import { CATEGORIES, type HandRank } from "./ranking.ts";
import { rankHand } from "./variations.ts";

export const BOT_STYLES = ["caller", "raiser", "cautious", "random"] as const;
export type BotStyle = (typeof BOT_STYLES)[number];

export type BotTurn = {
  style: BotStyle;
  view: SeatView;
  moves: readonly Move[];
  /** In [0, 1). */
  random: number;
};

/** Hands are judged by their quality: the share of all hands they beat, 0 to 1. */
type Temper = {
  /** Looks at its cards after this many blind bets. */
  blindBets: number;
  blindRaiseChance: number;
  /** Packs hands below this, most of the time; rises with the stake. */
  packBelow: number;
  raiseAbove: number;
  raiseChance: number;
  showChance: number;
  sideShowChance: number;
  acceptAbove: number;
};

const TEMPERS: Readonly<Record<Exclude<BotStyle, "random">, Temper>> = {
  caller: {
    blindBets: 2,
    blindRaiseChance: 0,
    packBelow: 0.2,
    raiseAbove: 2,
    raiseChance: 0,
    showChance: 0.25,
    sideShowChance: 0.1,
    acceptAbove: 0.3,
  },
  raiser: {
    blindBets: 3,
    blindRaiseChance: 0.4,
    packBelow: 0.3,
    raiseAbove: 0.65,
    raiseChance: 0.7,
    showChance: 0.15,
    sideShowChance: 0.25,
    acceptAbove: 0.4,
  },
  cautious: {
    blindBets: 0,
    blindRaiseChance: 0,
    packBelow: 0.5,
    raiseAbove: 0.93,
    raiseChance: 0.3,
    showChance: 0.5,
    sideShowChance: 0.4,
    acceptAbove: 0.7,
  },
};

/** How often a bad hand is packed at once rather than played on as a bluff. */
const PACK_CHANCE = 0.85;
/** By how much a stake ten times the boot raises the bar for staying in. */
const PRESSURE_PER_DECADE = 0.12;
/** Share of the 22,100 hands below each category, in the order of `CATEGORIES`; then 1. */
const SHARE_BELOW = [0, 0.7439, 0.9133, 0.9629, 0.9955, 0.9976, 1] as const;

/** The bot's move at this moment; null when it should wait. */
export function chooseMove(turn: BotTurn): Move | null {
  const { style, view, moves, random } = turn;
  const answer = moves.some(({ type }) => type === "acceptSideShow");
  if (!answer && !moves.some(({ type }) => type === "pack")) return null;
  if (style === "random") return randomMove(moves, random);
  const own = view.seats.find(({ seat }) => seat === view.you);
  if (own === undefined) return null;
  const temper = TEMPERS[style];
  if (answer) return pick(moves, quality(view, own) > temper.acceptAbove ? "acceptSideShow" : "refuseSideShow");
  return own.looked ? playSeen(turn, temper, quality(view, own)) : playBlind(turn, temper, own);
}

/** The share of all plain hands a visible hand beats, roughly; one half while it is hidden. */
export function quality(view: SeatView, seat: SeatInView): number {
  if (seat.cards === null) return 0.5;
  const jokerRank = view.jokerCard === null ? null : rankOf(view.jokerCard);
  const rank = rankHand(view.variation, seat.cards, { a23: view.a23, jokerRank });
  if (rank.category === "number") return rank.strength / 1000;
  const share = shareOf(rank, rank.category);
  if (view.variation === "muflis") return 1 - share;
  return view.variation === "classic" ? share : share ** 2;
}

function shareOf(rank: HandRank, category: (typeof CATEGORIES)[number]): number {
  const at = CATEGORIES.indexOf(category);
  const below = SHARE_BELOW[at] ?? 0;
  const above = SHARE_BELOW[at + 1] ?? 1;
  const high = Math.max(...rank.playsAs.map(rankOf));
  // High cards crowd at the top: the share below high rank r grows about as its square.
  return below + (above - below) * (high / 12.5) ** 2;
}

function playBlind({ moves, random, view }: BotTurn, temper: Temper, own: SeatInView): Move | null {
  const [first, second] = rolls(random);
  const see = moves.find(({ type }) => type === "see");
  if (see !== undefined && own.blindBets >= temper.blindBets) return see;
  if (first < temper.blindRaiseChance) return raise(moves) ?? call(moves);
  const canShow = own.blindBets > 1 && view.turn > 2 * view.seats.length;
  return (canShow && second < temper.showChance ? pick(moves, "show") : null) ?? call(moves);
}

function playSeen({ moves, random, view }: BotTurn, temper: Temper, share: number): Move | null {
  const [first, second, third] = rolls(random);
  const pressure = PRESSURE_PER_DECADE * Math.log10(view.stake / view.boot);
  const show = pick(moves, "show");
  if (share < temper.packBelow + pressure && first < PACK_CHANCE) return pick(moves, "pack");
  if (share > temper.raiseAbove && second < temper.raiseChance) return raise(moves) ?? show ?? call(moves);
  if (show !== null && third < temper.showChance) return show;
  if (third < temper.sideShowChance) return pick(moves, "sideShow") ?? call(moves);
  return call(moves);
}

/** Any legal move, packing a quarter as often as another. */
function randomMove(moves: readonly Move[], random: number): Move | null {
  const [first, second] = rolls(random);
  const others = moves.filter(({ type }) => type !== "pack");
  const packChance = 0.25 / (others.length + 0.25);
  const chosen = others[Math.floor(second * others.length)];
  return first < packChance || chosen === undefined ? (pick(moves, "pack") ?? chosen ?? null) : chosen;
}

/** Bets are listed smallest first. */
function call(moves: readonly Move[]): Move | null {
  return moves.find(isBet) ?? pick(moves, "show") ?? pick(moves, "pack");
}

function raise(moves: readonly Move[]): Move | null {
  return moves.filter(isBet)[1] ?? null;
}

function isBet({ type }: Move): boolean {
  return type === "blind" || type === "chaal";
}

function pick(moves: readonly Move[], type: Move["type"]): Move | null {
  return moves.find((move) => move.type === type) ?? null;
}

/** Three numbers in [0, 1) from one, independent enough for a bot. */
function rolls(random: number): [number, number, number] {
  return [random, (random * 7919) % 1, (random * 104_729) % 1];
}
