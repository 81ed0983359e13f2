/**
 * The leaderboard: who won most at the public tables, as it changes.
 *
 * Invariant: it shows the projection as the server has it, and needs no name: anybody may look.
 */
import type { JSX } from "preact";
import type { Standing, StandingsOrder } from "../../src/contract.ts";
import { goTo, orderStandings, profile, standings, standingsOrder } from "../state/app.ts";
import { chipsText, nameWords, shortChips } from "../state/words.ts";
import { Avatar } from "../ui/avatar.tsx";
import { IconButton } from "../ui/button.tsx";

const ORDERS: readonly (readonly [StandingsOrder, string])[] = [
  ["chips", "Chips won"],
  ["handsWon", "Hands won"],
  ["biggestPot", "Biggest pot"],
];

type Row = { key: string; value: Standing };

export function LeaderboardScreen(): JSX.Element {
  const rows = standings.value?.documents ?? null;
  return (
    <div class="board" data-testid="leaderboard">
      <header class="board-head">
        <IconButton icon="back" label="To the lobby" testid="leave-leaderboard" onPress={() => goTo(null)} />
        <h1>Leaderboard</h1>
        <span class="live" data-on={rows !== null || undefined}>
          Live
        </span>
      </header>
      <div class="board-orders" role="group" aria-label="Order">
        {ORDERS.map(([order, words]) => (
          <button
            key={order}
            type="button"
            class="boot"
            data-testid={`order-${order}`}
            aria-pressed={standingsOrder.value === order}
            onClick={() => orderStandings(order)}
          >
            {words}
          </button>
        ))}
      </div>
      <main>
        {rows === null && <p class="muted board-note">Counting chips…</p>}
        {rows?.length === 0 && <p class="muted board-note">No hand was played at a public table yet.</p>}
        {rows !== null && rows.length > 0 && (
          <>
            <ol class="podium">
              {rows.slice(0, 3).map((row, at) => (
                <Podium key={row.key} row={row} rank={at + 1} />
              ))}
            </ol>
            <ol class="board-rows" start={4}>
              {rows.slice(3).map((row, at) => (
                <Line key={row.key} row={row} rank={at + 4} />
              ))}
            </ol>
          </>
        )}
      </main>
    </div>
  );
}

function Podium({ row, rank }: { row: Row; rank: number }): JSX.Element {
  const { key, value } = row;
  return (
    <li class="podium-place" data-rank={rank} data-testid={`standing-${rank}`} data-player={key} data-own={isOwn(key)}>
      <span class="podium-rank">{rank}</span>
      <span class="podium-portrait">
        <Avatar emblem={value.avatar} of={key} />
      </span>
      <b class="podium-name">{nameWords(value.name)}</b>
      <Figure value={value} />
      <Hands value={value} />
    </li>
  );
}

function Line({ row, rank }: { row: Row; rank: number }): JSX.Element {
  const { key, value } = row;
  return (
    <li class="board-row" data-testid={`standing-${rank}`} data-player={key} data-own={isOwn(key)}>
      <span class="board-rank">{rank}</span>
      <span class="board-portrait">
        <Avatar emblem={value.avatar} of={key} />
      </span>
      <span class="board-name">
        <b>{nameWords(value.name)}</b>
        <Hands value={value} />
      </span>
      <Figure value={value} />
    </li>
  );
}

/** Blinks when it changes: the key makes it another element. */
function Figure({ value }: { value: Standing }): JSX.Element {
  const order = standingsOrder.value;
  const amount = value[order];
  if (order === "handsWon") {
    return (
      <strong class="board-figure" key={amount} data-testid="figure" data-amount={amount}>
        {amount}
      </strong>
    );
  }
  const sign = order === "chips" && amount > 0 ? "+" : amount < 0 ? "−" : "";
  return (
    <strong
      class="board-figure"
      key={amount}
      data-testid="figure"
      data-amount={amount}
      data-low={amount < 0 || undefined}
      title={`${sign}${chipsText(Math.abs(amount))} chips`}
    >
      <span class="chip-dot" aria-hidden="true" />
      {sign}
      {shortChips(Math.abs(amount))}
    </strong>
  );
}

function isOwn(player: string): boolean | undefined {
  return profile.value?.userId === player || undefined;
}

/** Beside the figure: what it is made of. */
function Hands({ value }: { value: Standing }): JSX.Element {
  const { hands, handsWon, biggestPot } = value;
  if (standingsOrder.value === "handsWon") return <small>of {hands} hands</small>;
  return (
    <small>
      {handsWon} of {hands} hands
      {standingsOrder.value === "chips" && biggestPot > 0 && (
        <span class="board-more"> · best pot {shortChips(biggestPot)}</span>
      )}
    </small>
  );
}
