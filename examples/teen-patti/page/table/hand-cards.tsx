/**
 * The cards in front of a seat.
 *
 * Invariant: as many cards as were dealt, in the places they were dealt to; a card turns over when the server shows it,
 * and arrives from the deck only in the hand that this page saw being dealt.
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { TableView } from "../../src/contract.ts";
import type { SeatInView } from "../../src/rules/projection.ts";
import { dealtHand } from "../motion/choreography.ts";
import { dealIn } from "../motion/flights.ts";
import { PlayingCard } from "../ui/playing-card.tsx";

export function HandCards({ of, view, own }: { of: SeatInView; view: TableView; own: boolean }): JSX.Element {
  const fan = useRef<HTMLDivElement>(null);
  const { handNumber, seats, result } = view.hand;
  useLayoutEffect(() => {
    if (dealtHand.peek() !== handNumber || fan.current === null) return;
    dealIn([...fan.current.querySelectorAll(".card")], {
      place: seats.findIndex((seat) => seat.seat === of.seat),
      seatCount: seats.length,
    });
  }, [handNumber]);
  const hasWon = result?.shares.some((share) => share.seat === of.seat) ?? false;
  const cards = of.cards ?? Array.from({ length: of.cardCount }, () => null);
  return (
    <div
      ref={fan}
      class="fan"
      data-testid={`cards-${of.seat}`}
      data-own={own || undefined}
      data-revealed={of.revealed || undefined}
      data-packed={of.packed !== null || undefined}
      style={{ "--count": String(of.cardCount) }}
    >
      {cards.map((card, at) => (
        <PlayingCard key={`${handNumber}-${at}`} card={card} at={at} won={hasWon && of.revealed} />
      ))}
    </div>
  );
}
