/** The hands played at this table, newest first; each opens its review. Invariant: a line for every hand the server still has. */
import type { JSX } from "preact";
import type { HandSummary, TableView } from "../../src/contract.ts";
import { chipsText, nameWords } from "../state/words.ts";
import { Dialog, showDialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icons.tsx";

const REASON_WORDS: Readonly<Record<HandSummary["reason"], string>> = {
  last: "All others packed",
  show: "Show",
  potLimit: "Pot limit",
};

export function HistoryDialog({ view }: { view: TableView }): JSX.Element {
  return (
    <Dialog title="Hands played" testid="history-dialog">
      {view.recentHands.length === 0 && <p class="dialog-text">No hand has ended yet.</p>}
      <ol class="hand-list">
        {view.recentHands.map((hand) => (
          <li key={hand.handNumber}>
            <button
              type="button"
              class="hand-line"
              data-testid={`review-${hand.handNumber}`}
              onClick={() => showDialog({ name: "review", handNumber: hand.handNumber })}
            >
              <span class="hand-line-number">#{hand.handNumber}</span>
              <span class="hand-line-text">
                <b>{hand.winners.map((of) => (of.seat === view.you ? "You" : nameWords(of.name))).join(" and ")}</b>
                <small>{REASON_WORDS[hand.reason]}</small>
              </span>
              <span class="hand-line-pot">{chipsText(hand.pot)}</span>
              <Icon name="shield" />
            </button>
          </li>
        ))}
      </ol>
    </Dialog>
  );
}
