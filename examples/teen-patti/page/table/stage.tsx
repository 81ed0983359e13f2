/**
 * The table itself: felt, seats around it, the middle, and the layer on which things fly.
 *
 * Invariant: the layer of flights covers the stage exactly, so that places can be measured against it.
 */
import type { JSX } from "preact";
import type { TableView } from "../../src/contract.ts";
import { sideShowResult } from "../motion/choreography.ts";
import { PlayingCard } from "../ui/playing-card.tsx";
import { Centre } from "./centre.tsx";
import { nameOf } from "./places.ts";
import { Seat } from "./seat.tsx";

export function Stage({ view }: { view: TableView }): JSX.Element {
  return (
    <main
      class="stage"
      data-testid="stage"
      data-seats={view.seats.length}
      data-seated={view.you !== null || undefined}
      data-hand={view.hand.handNumber}
      data-phase={view.hand.phase}
    >
      <div class="felt" aria-hidden="true">
        <span class="felt-line" />
      </div>
      <span class="house" data-anchor="dealer" aria-hidden="true" />
      <Centre view={view} />
      {view.seats.map((_, seat) => (
        <Seat key={seat} seat={seat} view={view} />
      ))}
      <SideShowPanel view={view} />
      <div class="flights" aria-hidden="true" />
    </main>
  );
}

/** What the two of a side show see, and nobody else. */
function SideShowPanel({ view }: { view: TableView }): JSX.Element | null {
  const shown = sideShowResult.value;
  if (shown === null) return null;
  const youLost = shown.loser === view.you;
  return (
    <div class="side-show" role="status" data-testid="side-show-result">
      <strong>{youLost ? "You lost the side show" : "You won the side show"}</strong>
      <div class="side-show-hands">
        {shown.hands.map((hand) => (
          <figure key={hand.seat} data-lost={hand.seat === shown.loser || undefined}>
            <div class="side-show-cards">
              {hand.cards.map((card) => (
                <PlayingCard key={card} card={card} />
              ))}
            </div>
            <figcaption>
              <b>{nameOf(hand.seat, view)}</b> {hand.label}
            </figcaption>
          </figure>
        ))}
      </div>
      <small>Only the two of you see these cards</small>
    </div>
  );
}
