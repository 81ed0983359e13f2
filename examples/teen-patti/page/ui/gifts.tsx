/** Gifts as drawings. Invariant: every gift of the contract has one; the compiler checks it. */
import type { JSX } from "preact";
import type { Gift as GiftName } from "../../src/contract.ts";

const GIFT_SHAPES: Readonly<Record<GiftName, JSX.Element>> = {
  rose: (
    <g>
      <path
        d="M16 17v12M16 24c-4 0-6-2-6.5-4.5 3.5 0 6 1.5 6.5 4.5zM16 26.5c3.5 0 5.5-1.5 6-4-3 0-5.5 1-6 4z"
        fill="#3f9a57"
        stroke="#2b6f3d"
        stroke-width="1.2"
      />
      <path
        d="M16 18c-6 0-8-4-7-9 2 0 3 .5 4 1.5C13.5 7 15 5 16 4c1 1 2.5 3 3 6.5 1-1 2-1.5 4-1.5 1 5-1 9-7 9z"
        fill="#d22e4e"
      />
      <path d="M13 10.5c0 3 1 4.5 3 4.5s3-1.5 3-4.5" fill="none" stroke="#8b1230" stroke-width="1.3" />
    </g>
  ),
  chai: (
    <g>
      <path d="M8 12h14l-2 15H10z" fill="#e9dcc0" stroke="#b79a63" />
      <path d="M9 15h12l-.9 6.5H9.9z" fill="#b5713a" />
      <path
        d="M12 8c-1.5-2 1.5-3 0-5M16 8c-1.5-2 1.5-3 0-5M20 8c-1.5-2 1.5-3 0-5"
        fill="none"
        stroke="#fff"
        stroke-opacity=".7"
        stroke-width="1.4"
        stroke-linecap="round"
      />
    </g>
  ),
  laddu: (
    <g>
      <circle cx="16" cy="17" r="9.5" fill="#e79a2d" />
      <g fill="#f7c668">
        <circle cx="12" cy="13" r="1.5" />
        <circle cx="17" cy="11" r="1.4" />
        <circle cx="20" cy="16" r="1.5" />
        <circle cx="14" cy="18" r="1.5" />
        <circle cx="18" cy="21.5" r="1.4" />
        <circle cx="10.5" cy="20" r="1.3" />
      </g>
      <path d="M15 6.5c1-2.5 3-2.5 4-1-1 1.5-2.5 1.8-4 1z" fill="#5fa84b" />
    </g>
  ),
  crown: (
    <path
      d="M6 24L4.5 11l6.5 5 5-9 5 9 6.5-5L26 24zM6 27h20"
      fill="#f0c04f"
      stroke="#8f6215"
      stroke-width="1.4"
      stroke-linejoin="round"
    />
  ),
  garland: (
    <g>
      <path d="M6 4c-4 14 0 24 10 24S30 18 26 4" fill="none" stroke="#4c8a3a" stroke-width="2" />
      {[
        [6, 5],
        [4.8, 11],
        [5.5, 17],
        [8.5, 23],
        [13, 27],
        [19, 27],
        [23.5, 23],
        [26.5, 17],
        [27.2, 11],
        [26, 5],
      ].map(([x, y], at) => (
        <circle
          key={at}
          cx={x}
          cy={y}
          r="3"
          fill={at % 2 === 0 ? "#f2941f" : "#f7c331"}
          stroke="#b5620c"
          stroke-width="0.7"
        />
      ))}
    </g>
  ),
};

export function Gift({ name }: { name: GiftName }): JSX.Element {
  return (
    <svg class="emote" viewBox="0 0 32 32" aria-hidden="true">
      {GIFT_SHAPES[name]}
    </svg>
  );
}
