/**
 * A finished hand once more, and the check that the shuffle was fair.
 *
 * Invariant: the check runs in this page, on what this page noted when it was promised (`promises.ts`), not on what the
 * server says now.
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { ReviewReply, TableView } from "../../src/contract.ts";
import type { SeatInView } from "../../src/rules/projection.ts";
import { type Check, type CheckName, type Verdict, verifyHand } from "../../src/rules/verify.ts";
import { attempt, isPending, theServer } from "../state/app.ts";
import { withOwnNotes } from "../state/promises.ts";
import { chipsText, nameWords, PACK_WORDS } from "../state/words.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button } from "../ui/button.tsx";
import { Dialog, showDialog } from "../ui/dialog.tsx";
import { PlayingCard } from "../ui/playing-card.tsx";

type Review = NonNullable<ReviewReply>;

const CHECK_WORDS: Readonly<Record<CheckName, string>> = {
  clientSeed: "Your own seed went into the shuffle",
  deal: "The cards were dealt in order from the dealer's left",
  openings: "Every card you saw was in the deck that was sealed at the deal",
  commit: "The server's seed is the one it promised before the hand",
  deck: "Both seeds together give exactly this deck",
};
const OUTCOME_WORDS: Readonly<Record<Check["outcome"], string>> = {
  passed: "Passed",
  failed: "Failed",
  "not-yet": "Later",
};

export function ReviewDialog({ view, handNumber }: { view: TableView; handNumber: number }): JSX.Element {
  const review = useSignal<Review | null | undefined>(undefined);
  useEffect(() => {
    void attempt(`review-${handNumber}`, () => theServer().review(view.table, handNumber)).then(
      (found) => (review.value = found ?? null),
    );
  }, [handNumber]);
  return (
    <Dialog title={`Hand ${handNumber}`} testid="review-dialog" wide>
      {review.value === undefined && <p class="dialog-text">Fetching the hand…</p>}
      {review.value === null && <p class="dialog-text">The server no longer has this hand.</p>}
      {review.value && <ReviewBody view={view} review={review.value} />}
    </Dialog>
  );
}

function ReviewBody({ view, review }: { view: TableView; review: Review }): JSX.Element {
  const verdict = useSignal<Verdict | null>(null);
  const verify = async (): Promise<void> => {
    const evidence = withOwnNotes(view.table, review.handNumber, review.evidence);
    verdict.value = (await attempt("verify", () => verifyHand(evidence))) ?? null;
  };
  return (
    <>
      <p class="dialog-text">
        Pot <b>{chipsText(review.hand.result?.pot ?? 0)}</b>, boot {chipsText(review.hand.boot)}
      </p>
      <ul class="review-seats">
        {review.hand.seats.map((seat) => (
          <ReviewSeat key={seat.seat} review={review} seat={seat} isYou={seat.seat === view.you} />
        ))}
      </ul>
      <Button tone="gold" class="wide" testid="verify" off={isPending("verify")} onPress={() => void verify()}>
        Verify shuffle
      </Button>
      {verdict.value !== null && <VerdictView verdict={verdict.value} seedAtMs={review.seedAtMs} />}
      <details class="proof">
        <summary>What was promised</summary>
        <Hash name="Commit, before the hand" value={review.evidence.commit} />
        <Hash name="Seal of the deck, at the deal" value={review.evidence.merkleRoot} />
        <Hash name="Seeds of the players" value={review.evidence.context} />
        <Hash name="Server seed" value={review.evidence.serverSeed ?? "not published yet"} />
      </details>
      <Button tone="quiet" onPress={() => showDialog({ name: "history" })}>
        All hands
      </Button>
    </>
  );
}

function ReviewSeat({ review, seat, isYou }: { review: Review; seat: SeatInView; isYou: boolean }): JSX.Element {
  const person = review.players.find((of) => of.seat === seat.seat);
  const won = review.hand.result?.shares.find((of) => of.seat === seat.seat)?.amount ?? 0;
  const gain = won - seat.paid;
  const words = seat.label ?? (seat.packed === null ? "not shown" : PACK_WORDS[seat.packed]);
  return (
    <li class="review-seat" data-won={won > 0 || undefined}>
      <Avatar emblem={person?.avatar ?? "tiger"} of={person?.player ?? ""} />
      <span class="review-name">
        <b>{isYou ? "You" : person === undefined ? `Seat ${seat.seat + 1}` : nameWords(person.name)}</b>
        <small>{words}</small>
      </span>
      <span class="review-cards">
        {(seat.cards ?? Array.from({ length: seat.cardCount }, () => null)).map((card, at) => (
          <PlayingCard key={at} card={card} />
        ))}
      </span>
      <span class="review-gain" data-sign={gain > 0 ? "plus" : "minus"}>
        {gain > 0 ? "+" : gain < 0 ? "−" : ""}
        {chipsText(Math.abs(gain))}
      </span>
    </li>
  );
}

function VerdictView({ verdict, seedAtMs }: { verdict: Verdict; seedAtMs: number }): JSX.Element {
  const title = !verdict.ok
    ? "This hand does not hold up"
    : verdict.complete
      ? "Everything holds"
      : "Everything that can be checked now holds";
  return (
    <section class="verdict" data-ok={verdict.ok} role="status" data-testid="verdict">
      <strong>{title}</strong>
      <ul>
        {verdict.checks.map((check) => (
          <li key={check.name} data-outcome={check.outcome} data-testid={`check-${check.name}`}>
            <span class="outcome">{OUTCOME_WORDS[check.outcome]}</span>
            {CHECK_WORDS[check.name]}
          </li>
        ))}
      </ul>
      {!verdict.complete && (
        <small>
          The server publishes its seed {new Date(seedAtMs).toLocaleString()}: check again then. Earlier it would show
          the cards of those who packed.
        </small>
      )}
    </section>
  );
}

function Hash({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <p>
      <small>{name}</small>
      <code class="hash">{value}</code>
    </p>
  );
}
