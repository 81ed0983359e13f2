/**
 * What a bot wants, as a pure function of what a person in its place would see: its own account and the table's view.
 *
 * Invariants: the same views and number give the same wish; a bot knows nothing that its views do not show.
 */
import { type ActInput, type MeView, type Phrase, type TableView, TOP_UP_BELOW } from "../contract.ts";
import { type BotStyle, chooseMove } from "../rules/bots.ts";

export type Wish =
  | { want: "join" }
  | { want: "topUp" }
  | { want: "sit"; buyIn: number }
  | { want: "leave" }
  | { want: "back" }
  | { want: "act"; input: ActInput }
  | { want: "wait" };

export type BotOptions = {
  style: BotStyle;
  /** Seats it leaves to people. */
  leaveFree: number;
  /** Part of the way from the least to the largest buy-in, 0 to 1. */
  buyInShare: number;
};

const WAIT: Wish = { want: "wait" };

/** What the bot wants to do now at this table. */
export function wishOf(me: MeView, view: TableView, options: BotOptions, random: number): Wish {
  if (!me.joined) return { want: "join" };
  if (!view.open || view.settings === null) return WAIT;
  const at = me.seats.find(({ table }) => table === view.table);
  if (at === undefined) return wishToSit(me, view, options);
  if (at.status === "asking" || view.you === null) return WAIT;
  const own = view.seats[view.you];
  if (own?.status === "broke") return { want: "leave" };
  if (own?.status === "away" || own?.status === "sitting-out") return { want: "back" };
  return wishToMove(view, view.you, options.style, random);
}

function wishToSit(me: MeView, view: TableView, { leaveFree, buyInShare }: BotOptions): Wish {
  const { settings } = view;
  if (settings === null || view.seats.filter((seat) => seat === null).length <= leaveFree) return WAIT;
  const wanted = Math.floor(settings.buyInMin + buyInShare * (settings.buyInMax - settings.buyInMin));
  const buyIn = Math.min(wanted, me.balance);
  if (buyIn >= settings.buyInMin) return { want: "sit", buyIn };
  return me.balance < TOP_UP_BELOW && me.seats.length === 0 ? { want: "topUp" } : WAIT;
}

function wishToMove(view: TableView, you: number, style: BotStyle, random: number): Wish {
  const { hand, moves } = view;
  const move = moves.length === 0 ? null : chooseMove({ style, view: { ...hand, you }, moves, random });
  if (move === null) return WAIT;
  return { want: "act", input: { handNumber: hand.handNumber, turn: hand.turn, move } };
}

/** Names the moment a wish belongs to: a bot does one thing per moment. */
export function momentOf(me: MeView, view: TableView, wish: Wish): string {
  if (wish.want !== "act") return `${wish.want}|${me.sessions[0]?.endedAtMs ?? 0}|${me.refusal?.id ?? 0}`;
  const own = view.hand.seats.find(({ seat }) => seat === view.you);
  const { handNumber, turn } = wish.input;
  return `${handNumber}|${turn}|${own?.looked === true}|${view.hand.sideShow !== null}`;
}

/** What a bot says when a hand is over, if anything. */
export function phraseFor(view: TableView, random: number): Phrase | null {
  if (view.you === null || random >= 0.12) return null;
  const won = view.recentHands[0]?.winners.some(({ seat }) => seat === view.you) === true;
  const phrases: Phrase[] = won ? ["thank-you", "blind-king", "good-luck"] : ["well-played", "nice-hand", "so-close"];
  return phrases[Math.floor((random / 0.12) * phrases.length)] ?? null;
}
