/**
 * What happened between two views of a table, as cues for movement, sound and speech.
 *
 * Invariant: pure, and right for any two views: the server may skip views in between (after a lost connection it sends the
 * newest one only), so a cue is drawn from the difference and never from counting.
 */
import type { FeedItem, TableView } from "../../src/contract.ts";
import type { PackReason, Share, WinReason } from "../../src/rules/hand-state.ts";
import type { PublicView, SeatInView } from "../../src/rules/projection.ts";

export type ShownHand = { seat: number; cards: number[]; label: string | null };

export type Cue =
  | { kind: "deal"; handNumber: number }
  | { kind: "paid"; seat: number; amount: number }
  | { kind: "looked"; seat: number; isMine: boolean }
  | { kind: "packed"; seat: number; reason: PackReason; isMine: boolean }
  | { kind: "turn"; seat: number; isMine: boolean }
  | { kind: "sideShowAsked"; asker: number; target: number }
  | { kind: "sideShowRefused"; asker: number; target: number }
  /** `hands`: both, for the two; null for the others. */
  | { kind: "sideShowSettled"; asker: number; target: number; loser: number; hands: ShownHand[] | null }
  | { kind: "revealed"; seats: number[] }
  | { kind: "won"; reason: WinReason; pot: number; shares: Share[] }
  | { kind: "feed"; item: FeedItem };

export function cuesBetween(before: TableView, after: TableView): Cue[] {
  if (before.table !== after.table) return [];
  const cues = before.hand.handNumber === after.hand.handNumber ? [] : dealCues(after.hand);
  const previous = cues.length === 0 ? before.hand : null;
  for (const seat of after.hand.seats) {
    cues.push(
      ...seatCues(
        previous?.seats.find((of) => of.seat === seat.seat),
        seat,
        after.you,
      ),
    );
  }
  if (previous !== null) cues.push(...sideShowCues(previous, after.hand));
  cues.push(...endCues(previous, after.hand));
  if (after.hand.turnSeat !== null && after.hand.sideShow === null && !isSameTurn(previous, after.hand)) {
    cues.push({ kind: "turn", seat: after.hand.turnSeat, isMine: after.hand.turnSeat === after.you });
  }
  const feedSeen = before.feed.at(-1)?.id ?? 0;
  for (const item of after.feed) if (item.id > feedSeen) cues.push({ kind: "feed", item });
  return cues;
}

function dealCues(hand: PublicView): Cue[] {
  return hand.seats.length === 0 ? [] : [{ kind: "deal", handNumber: hand.handNumber }];
}

function seatCues(before: SeatInView | undefined, after: SeatInView, you: number | null): Cue[] {
  const cues: Cue[] = [];
  const { seat } = after;
  const paid = after.paid - (before?.paid ?? 0);
  if (paid > 0) cues.push({ kind: "paid", seat, amount: paid });
  if (after.looked && before?.looked === false) cues.push({ kind: "looked", seat, isMine: seat === you });
  if (after.packed !== null && (before === undefined || before.packed === null)) {
    cues.push({ kind: "packed", seat, reason: after.packed, isMine: seat === you });
  }
  return cues;
}

function sideShowCues(before: PublicView, after: PublicView): Cue[] {
  if (after.sideShow !== null && before.sideShow === null) return [{ kind: "sideShowAsked", ...after.sideShow }];
  if (before.sideShow === null || after.sideShow !== null) return [];
  const { asker, target } = before.sideShow;
  const pair = [asker, target].map((seat) => after.seats.find((of) => of.seat === seat));
  const loser = pair.find((of) => of?.packed === "sideShow");
  if (loser === undefined) return [{ kind: "sideShowRefused", asker, target }];
  const hands = pair.flatMap((of) => (of?.cards ? [{ seat: of.seat, cards: of.cards, label: of.label }] : []));
  return [{ kind: "sideShowSettled", asker, target, loser: loser.seat, hands: hands.length === 2 ? hands : null }];
}

function endCues(before: PublicView | null, after: PublicView): Cue[] {
  const cues: Cue[] = [];
  const revealed = after.seats.filter(
    (of) => of.revealed && before?.seats.find((old) => old.seat === of.seat)?.revealed !== true,
  );
  if (revealed.length > 0) cues.push({ kind: "revealed", seats: revealed.map((of) => of.seat) });
  if (after.result !== null && (before === null || before.result === null)) cues.push({ kind: "won", ...after.result });
  return cues;
}

function isSameTurn(before: PublicView | null, after: PublicView): boolean {
  return (
    before?.turn === after.turn &&
    before.turnSeat === after.turnSeat &&
    (before.sideShow === null) === (after.sideShow === null)
  );
}
