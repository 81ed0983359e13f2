/**
 * A seat at the table: who sits there, with which chips and cards, whose turn it is, and what was just said or done.
 *
 * Invariant: everything shown comes from the view; an empty seat is a button only for those who may sit.
 */
import type { JSX } from "preact";
import type { FeedItem, TableSeat, TableView } from "../../src/contract.ts";
import { PHRASES } from "../../src/contract.ts";
import type { SeatInView } from "../../src/rules/projection.ts";
import { isFresh } from "../motion/choreography.ts";
import { goTo, isPending, screen, tableId } from "../state/app.ts";
import { actionWords, chipsText, nameWords, STATUS_WORDS, shortChips } from "../state/words.ts";
import { Avatar } from "../ui/avatar.tsx";
import { showDialog } from "../ui/dialog.tsx";
import { EMOTE_WORDS, Emote } from "../ui/emotes.tsx";
import { Gift } from "../ui/gifts.tsx";
import { Icon } from "../ui/icons.tsx";
import { HandCards } from "./hand-cards.tsx";
import { placeOf } from "./places.ts";
import { TurnRing } from "./turn-ring.tsx";

export function Seat({ seat, view }: { seat: number; view: TableView }): JSX.Element {
  const sitter = view.seats[seat] ?? null;
  const inHand = view.hand.seats.find((of) => of.seat === seat) ?? null;
  const place = placeOf(seat, view);
  const own = seat === view.you;
  const share = view.hand.result?.shares.find((of) => of.seat === seat);
  return (
    <section
      class="seat"
      aria-label={seatWords(seat, view)}
      data-testid={`seat-${seat}`}
      data-place={place}
      data-own={own || undefined}
      data-empty={sitter === null || undefined}
      data-turn={view.deadline?.seat === seat || undefined}
      data-packed={(inHand !== null && inHand.packed !== null) || undefined}
      data-won={share !== undefined || undefined}
    >
      {sitter === null ? <EmptySeat seat={seat} view={view} /> : <Sitter of={sitter} inHand={inHand} view={view} />}
      {inHand !== null && inHand.cardCount > 0 && sitter !== null && <HandCards of={inHand} view={view} own={own} />}
      {inHand?.label && <HandLabel of={inHand} won={share !== undefined} />}
      {inHand !== null && inHand.paid > 0 && view.hand.phase !== "over" && (
        <span class="wager" title="Put into the pot in this hand">
          <span class="chip-dot" aria-hidden="true" />
          {shortChips(inHand.paid)}
        </span>
      )}
      {share !== undefined && (
        <span class="winnings" data-testid={`winnings-${seat}`}>
          +{chipsText(share.amount)}
        </span>
      )}
      <Bubbles seat={seat} view={view} inHand={inHand} />
    </section>
  );
}

function EmptySeat({ seat, view }: { seat: number; view: TableView }): JSX.Element {
  if (view.you !== null) {
    return (
      <span class="empty-seat">
        <span class="empty-ring" data-anchor={`seat-${seat}`} />
        <span class="empty-word">Free</span>
      </span>
    );
  }
  return (
    <button
      type="button"
      class="empty-seat"
      aria-disabled={isPending("sit")}
      data-testid={`sit-${seat}`}
      aria-label={`Sit at seat ${seat + 1}`}
      onClick={() => (screen.value === "watch" ? goTo(tableId.value) : showDialog({ name: "buyIn", seat }))}
    >
      <span class="empty-ring" data-anchor={`seat-${seat}`}>
        <Icon name="plus" />
      </span>
      <span class="empty-word">Sit</span>
    </button>
  );
}

function Sitter({ of, inHand, view }: { of: TableSeat; inHand: SeatInView | null; view: TableView }): JSX.Element {
  const running = view.hand.phase !== "over" && view.hand.phase !== "idle";
  const chips = inHand !== null && running ? inHand.chips : of.chips;
  const isMine = of.seat === view.you;
  return (
    <div class="sitter">
      <button
        type="button"
        class="portrait"
        data-anchor={`seat-${of.seat}`}
        aria-label={isMine ? "Your seat: profile" : `${nameWords(of.name)}: gifts and emotes`}
        aria-disabled={screen.value === "watch"}
        onClick={() => showDialog(isMine ? { name: "profile" } : { name: "person", seat: of.seat })}
      >
        <Avatar emblem={of.avatar} of={of.player} />
        {view.deadline?.seat === of.seat && (
          <TurnRing
            key={`${view.deadline.handNumber}-${view.deadline.turn}-${view.deadline.kind}`}
            deadline={view.deadline}
          />
        )}
      </button>
      {view.hand.dealer === of.seat && view.hand.handNumber > 0 && (
        <span class="dealer-button" role="img" aria-label="Dealer" title="Dealer">
          D
        </span>
      )}
      {of.gift !== null && (
        <span class="seat-gift" key={of.gift} role="img" aria-label={`Gift: ${of.gift}`}>
          <Gift name={of.gift} />
        </span>
      )}
      <div class="plate">
        <span class="plate-name" data-testid={`name-${of.seat}`}>
          {isMine ? "You" : nameWords(of.name)}
        </span>
        <span class="plate-chips" data-testid={`chips-${of.seat}`}>
          <span class="chip-dot" aria-hidden="true" />
          {shortChips(chips)}
        </span>
      </div>
      <StatusTag of={of} inHand={inHand} running={running} />
    </div>
  );
}

function StatusTag({
  of,
  inHand,
  running,
}: {
  of: TableSeat;
  inHand: SeatInView | null;
  running: boolean;
}): JSX.Element | null {
  const words = STATUS_WORDS[of.status];
  if (inHand === null || !running || inHand.packed !== null) {
    if (words === "" || words === "Ready") return null;
    return (
      <span class="tag" data-kind={of.status}>
        {words}
      </span>
    );
  }
  const isSeen = inHand.looked;
  return (
    <span class="tag" data-kind={isSeen ? "seen" : "blind"}>
      {isSeen ? "Seen" : "Blind"}
    </span>
  );
}

function HandLabel({ of, won }: { of: SeatInView; won: boolean }): JSX.Element {
  return (
    <span class="hand-label" data-won={won || undefined} data-testid={`label-${of.seat}`}>
      {of.label}
    </span>
  );
}

function Bubbles({ seat, view, inHand }: { seat: number; view: TableView; inHand: SeatInView | null }): JSX.Element {
  const said = view.feed.findLast((item) => item.seat === seat && (item.kind === "phrase" || item.kind === "emote"));
  const last = inHand?.last ?? null;
  const shown = said !== undefined && isFresh(said) ? said : null;
  return (
    <div class="bubbles" aria-hidden="true">
      {last !== null && last.type !== "boot" && view.hand.phase !== "over" && (
        <span
          class="bubble action-bubble"
          data-kind={last.type}
          key={`${view.hand.handNumber}-${last.type}-${inHand?.paid}-${inHand?.blindBets}`}
        >
          {actionWords(last)}
        </span>
      )}
      {shown !== null && <Speech key={shown.id} item={shown} />}
    </div>
  );
}

function Speech({ item }: { item: FeedItem }): JSX.Element | null {
  if (item.kind === "phrase") return <span class="bubble speech">{PHRASES[item.phrase]}</span>;
  if (item.kind !== "emote") return null;
  return (
    <span class="speech-emote" title={EMOTE_WORDS[item.emote]}>
      <Emote name={item.emote} />
    </span>
  );
}

function seatWords(seat: number, view: TableView): string {
  const sitter = view.seats[seat] ?? null;
  if (sitter === null) return `Seat ${seat + 1}, free`;
  const inHand = view.hand.seats.find((of) => of.seat === seat);
  const parts = [
    seat === view.you ? "Your seat" : nameWords(sitter.name),
    `${chipsText(inHand?.chips ?? sitter.chips)} chips`,
  ];
  if (view.hand.dealer === seat) parts.push("dealer");
  if (inHand?.packed) parts.push("packed");
  else if (inHand !== undefined) parts.push(inHand.looked ? "seen" : "blind");
  if (view.deadline?.seat === seat) parts.push("to act");
  if (inHand?.label) parts.push(inHand.label);
  return parts.join(", ");
}
