/**
 * The middle of the table: pot and stake while a hand runs, the result when it is over, what comes next.
 *
 * Invariant: it keeps its size whatever it shows, so that nothing on the table jumps.
 */
import type { JSX } from "preact";
import type { TableView } from "../../src/contract.ts";
import { VARIATIONS } from "../../src/rules/variations.ts";
import { chipsText } from "../state/words.ts";
import { PlayingCard } from "../ui/playing-card.tsx";
import { nameOf } from "./places.ts";
import { CountdownBar } from "./turn-ring.tsx";

export function Centre({ view }: { view: TableView }): JSX.Element {
  const { hand } = view;
  return (
    <div class="centre">
      <span class="deck" data-anchor="deck" aria-hidden="true">
        <span class="card-back" />
        <span class="card-back" />
        <span class="card-back" />
      </span>
      <div class="centre-body">
        <Body view={view} />
      </div>
      {hand.jokerCard !== null && (
        <span class="joker" data-testid="joker">
          <PlayingCard card={hand.jokerCard} class="joker-card" />
          <span>Joker</span>
        </span>
      )}
    </div>
  );
}

function Body({ view }: { view: TableView }): JSX.Element | null {
  if (view.hidden) return <Hidden />;
  if (view.hand.phase === "idle") return <Waiting view={view} />;
  return view.hand.result !== null ? <Result view={view} /> : <Pot view={view} />;
}

function Hidden(): JSX.Element {
  return (
    <div class="pot" data-testid="hidden-table">
      <span class="pot-word" data-anchor="pot">
        Private table
      </span>
      <span class="pot-stake">Take a seat to see the game</span>
    </div>
  );
}

function Pot({ view }: { view: TableView }): JSX.Element {
  return (
    <div class="pot" data-testid="pot">
      <span class="pot-stack" data-anchor="pot" aria-hidden="true">
        <span data-colour="crimson" />
        <span data-colour="teal" />
        <span data-colour="brass" />
        <span data-colour="indigo" />
      </span>
      <span class="pot-word">Pot</span>
      <strong class="pot-amount" key={view.hand.pot}>
        {chipsText(view.hand.pot)}
      </strong>
      <span class="pot-stake">
        Stake <b data-testid="stake">{chipsText(view.hand.stake)}</b>
      </span>
      <HandNumber view={view} />
    </div>
  );
}

function Result({ view }: { view: TableView }): JSX.Element | null {
  const result = view.hand.result;
  if (result === null) return null;
  const isMine = result.shares.some((of) => of.seat === view.you);
  const names = result.shares.map((of) => nameOf(of.seat, view)).join(" and ");
  const label = view.hand.seats.find((of) => of.seat === result.shares[0]?.seat)?.label ?? null;
  const why = { last: "everyone else packed", show: "at the show", potLimit: "at the pot limit" }[result.reason];
  return (
    <div class="result" data-testid="result" data-mine={isMine || undefined} data-anchor="pot">
      <span class="result-names">
        {names} {result.shares.length > 1 ? "split" : isMine ? "win" : "wins"}
      </span>
      <strong class="result-amount">{chipsText(result.pot)}</strong>
      <span class="result-why">
        {label !== null && <span class="result-label">{label}, </span>}
        {why}
      </span>
      {view.nextHandAtMs === null ? (
        <span class="countdown-label">Waiting for players</span>
      ) : (
        <CountdownBar atMs={view.nextHandAtMs} label="Next hand" />
      )}
      <HandNumber view={view} />
    </div>
  );
}

function Waiting({ view }: { view: TableView }): JSX.Element {
  return (
    <div class="pot" data-testid="waiting">
      <span class="pot-word" data-anchor="pot">
        {view.nextHandAtMs === null ? "Waiting for players" : "Cards are coming"}
      </span>
      <strong class="pot-amount">{chipsText(view.settings?.config.boot ?? 0)}</strong>
      <span class="pot-stake">boot</span>
      {view.nextHandAtMs !== null && <CountdownBar atMs={view.nextHandAtMs} label="First hand" />}
    </div>
  );
}

function HandNumber({ view }: { view: TableView }): JSX.Element {
  const { variation, handNumber } = view.hand;
  const name = variation === "classic" ? "" : ` · ${VARIATIONS[variation].title}`;
  return (
    <span class="hand-number" data-testid="hand-number" data-hand={handNumber}>
      Hand {handNumber}
      {name}
    </span>
  );
}
