/** How hands rank and what the moves cost. Invariant: the examples are ranked by the rules themselves, so help cannot contradict the game. */
import type { JSX } from "preact";
import type { TableView } from "../../src/contract.ts";
import { cardOf } from "../../src/rules/cards.ts";
import { type Category, rankThree } from "../../src/rules/ranking.ts";
import { VARIATIONS } from "../../src/rules/variations.ts";
import { Dialog } from "../ui/dialog.tsx";
import { PlayingCard } from "../ui/playing-card.tsx";

const CATEGORY_WORDS: Readonly<Record<Category, { title: string; text: string }>> = {
  trail: { title: "Trail", text: "Three of a kind" },
  pureSequence: { title: "Pure sequence", text: "In a row, one suit. A-K-Q is best, then A-2-3" },
  sequence: { title: "Sequence", text: "In a row, any suits" },
  colour: { title: "Colour", text: "One suit, highest card counts" },
  pair: { title: "Pair", text: "Two of a kind, then the third card" },
  highCard: { title: "High card", text: "Nothing else" },
};

/** [rank, suit] of three cards, from 0; sorted below by what they are worth. */
const EXAMPLES = [
  [
    [12, 3],
    [12, 2],
    [12, 0],
  ],
  [
    [12, 2],
    [11, 2],
    [10, 2],
  ],
  [
    [9, 3],
    [8, 1],
    [7, 0],
  ],
  [
    [11, 1],
    [8, 1],
    [4, 1],
  ],
  [
    [10, 3],
    [10, 2],
    [6, 0],
  ],
  [
    [12, 0],
    [9, 1],
    [5, 3],
  ],
] as const;

export function HelpDialog({ view }: { view: TableView | null }): JSX.Element {
  const a23 = view?.settings?.config.a23 ?? "second";
  const variation = VARIATIONS[view?.settings?.config.variation ?? "classic"];
  const hands = EXAMPLES.map((cards) => cards.map(([rank, suit]) => cardOf({ rank, suit })))
    .map((cards) => ({ cards, rank: rankThree(cards, a23) }))
    .sort((a, b) => b.rank.strength - a.rank.strength);
  return (
    <Dialog title="Hand ranking" testid="help-dialog" wide>
      <p class="dialog-text">
        <b>{variation.title}.</b> {variation.summary}
      </p>
      <ol class="ranking">
        {hands.map(({ cards, rank }, at) => {
          const words = CATEGORY_WORDS[rank.category as Category];
          return (
            <li key={rank.category}>
              <span class="ranking-number">{at + 1}</span>
              <span class="ranking-cards">
                {cards.map((card) => (
                  <PlayingCard key={card} card={card} />
                ))}
              </span>
              <span class="ranking-text">
                <b>{words.title}</b>
                <small>{words.text}</small>
              </span>
            </li>
          );
        })}
      </ol>
      <h3>Moves</h3>
      <dl class="moves">
        <Entry keys="S" word="See">
          Look at your cards, at any time. From then on you bet double.
        </Entry>
        <Entry keys="B" word="Blind">
          Bet the stake, or twice of it (R), without having looked.
        </Entry>
        <Entry keys="C" word="Chaal">
          Bet twice the stake, or four times (R), having looked.
        </Entry>
        <Entry keys="D" word="Side show">
          With three or more left: compare with the seen player before you. The lower hand packs; if equal, who asked.
        </Entry>
        <Entry keys="D" word="Show">
          With two left: both show. If equal, who paid for the show loses.
        </Entry>
        <Entry keys="P" word="Pack">
          Give up the hand.
        </Entry>
      </dl>
      <p class="dialog-text small">Play money only: chips have no value and cannot be bought or cashed out.</p>
    </Dialog>
  );
}

function Entry({ keys, word, children }: { keys: string; word: string; children: string }): JSX.Element {
  return (
    <div>
      <dt>
        {word} <kbd>{keys}</kbd>
      </dt>
      <dd>{children}</dd>
    </div>
  );
}
