/**
 * One playing card: two faces on one turning body. The face is drawn only when the card is known, so a card that the
 * server did not send is nowhere in the document.
 *
 * Invariant: a screen reader hears the card's name when it is face up, and "face down" otherwise; never both.
 */
import type { ComponentChildren, JSX } from "preact";
import { cardWords, rankName, rankOf, suitOf } from "../../src/rules/cards.ts";
import { isRed, suitPath } from "./suits.ts";

export type PlayingCardProps = {
  /** Null while hidden. */
  card: number | null;
  /** Shown although known: `false` keeps it turned down, as before a reveal. */
  up?: boolean;
  class?: string;
  won?: boolean;
  at?: number;
};

export function PlayingCard({
  card,
  up = true,
  class: extra = "",
  won = false,
  at = 0,
}: PlayingCardProps): JSX.Element {
  const isUp = card !== null && up;
  return (
    <span
      class={`card ${extra}`}
      role="img"
      aria-label={isUp ? cardWords(card) : "face-down card"}
      data-testid="card"
      data-card={isUp ? card : undefined}
      data-up={isUp}
      data-won={won || undefined}
      style={{ "--at": String(at) }}
    >
      <span class="card-body">
        <span class="card-side card-back" />
        <span class="card-side card-front">{isUp && <CardFace card={card} />}</span>
      </span>
    </span>
  );
}

/** The face alone, for help and history. */
export function CardFace({ card }: { card: number }): JSX.Element {
  const rank = rankName(rankOf(card));
  const suit = suitOf(card);
  const ink = isRed(suit) ? "#b5152f" : "#1a141d";
  return (
    <svg class="card-face" viewBox="0 0 100 140" aria-hidden="true">
      <rect x="0.5" y="0.5" width="99" height="139" rx="9" fill="#fbf5e7" stroke="#d9c9a3" />
      <Corner rank={rank} suit={suit} ink={ink} />
      <g transform="rotate(180 50 70)">
        <Corner rank={rank} suit={suit} ink={ink} />
      </g>
      <Middle rank={rank} suit={suit} ink={ink} />
    </svg>
  );
}

type Print = { rank: string; suit: number; ink: string };

function Corner({ rank, suit, ink }: Print): JSX.Element {
  return (
    <g fill={ink}>
      <text
        x="18"
        y="35"
        text-anchor="middle"
        class="card-rank"
        textLength={rank === "10" ? 27 : undefined}
        lengthAdjust="spacingAndGlyphs"
      >
        {rank}
      </text>
      <path d={suitPath(suit)} transform="translate(8 41) scale(.84)" />
    </g>
  );
}

function Middle({ rank, suit, ink }: Print): JSX.Element {
  switch (rank) {
    case "A":
      return (
        <g>
          <Mandala ink={ink} />
          <path d={suitPath(suit)} fill={ink} transform="translate(32.6 52) scale(1.45)" />
        </g>
      );
    case "K":
      return (
        <Court suit={suit} ink={ink}>
          <path
            d="M30 76V55l10 8 10-15 10 15 10-8v21z"
            fill="#e8b64c"
            stroke={ink}
            stroke-width="2"
            stroke-linejoin="round"
          />
          <circle cx="50" cy="46" r="3.4" fill={ink} />
          <circle cx="29" cy="53" r="2.6" fill={ink} />
          <circle cx="71" cy="53" r="2.6" fill={ink} />
          <path d="M30 80h40" stroke={ink} stroke-width="3" />
          <circle cx="50" cy="68" r="3" fill={ink} />
        </Court>
      );
    case "Q":
      return (
        <Court suit={suit} ink={ink}>
          <g fill="#f3b7a6" stroke={ink} stroke-width="1.8" stroke-linejoin="round">
            <path d="M50 80C30 78 27 66 27 58c9 0 18 6 23 22z" />
            <path d="M50 80c20-2 23-14 23-22-9 0-18 6-23 22z" />
            <path d="M50 80C38 70 37 56 40 48c8 4 11 16 10 32z" />
            <path d="M50 80c12-10 13-24 10-32-8 4-11 16-10 32z" />
            <path d="M50 80c-7-12-7-26 0-37 7 11 7 25 0 37z" fill="#fbdccb" />
          </g>
        </Court>
      );
    case "J":
      return (
        <Court suit={suit} ink={ink}>
          <path
            d="M32 76c-4-18 6-26 18-26s22 8 18 26c-6-5-12-7-18-7s-12 2-18 7z"
            fill="#7fa7a0"
            stroke={ink}
            stroke-width="2"
            stroke-linejoin="round"
          />
          <path d="M35 64c8-6 20-8 31-5M36 70c8-5 17-6 29-2" stroke={ink} stroke-width="1.5" fill="none" />
          <path d="M50 51c-3-7 0-12 6-16 1 7-1 12-6 16z" fill="#e8b64c" stroke={ink} stroke-width="1.6" />
          <circle cx="50" cy="58" r="3.4" fill="#e8b64c" stroke={ink} stroke-width="1.4" />
        </Court>
      );
    default:
      return <path d={suitPath(suit)} fill={ink} transform="translate(22 42) scale(2.34)" />;
  }
}

function Court({ suit, ink, children }: { suit: number; ink: string; children: ComponentChildren }): JSX.Element {
  return (
    <g>
      <rect x="24" y="28" width="52" height="84" rx="6" fill="#f4e6c4" stroke="#c9a24a" stroke-width="1.4" />
      <path d="M27 98h46M27 42h46" stroke="#c9a24a" stroke-width="0.8" opacity="0.7" />
      <g transform="translate(0 -4)">{children}</g>
      <path d={suitPath(suit)} fill={ink} transform="translate(38.6 81) scale(.95)" />
    </g>
  );
}

function Mandala({ ink }: { ink: string }): JSX.Element {
  return (
    <g transform="translate(50 70)" fill="none" stroke="#c9a24a" stroke-width="1.2">
      <circle r="25" />
      {[0, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 330].map((turn) => (
        <path
          key={turn}
          d="M0-25c3-3 3-6 0-8-3 2-3 5 0 8z"
          fill={ink}
          fill-opacity="0.14"
          transform={`rotate(${turn})`}
        />
      ))}
    </g>
  );
}
