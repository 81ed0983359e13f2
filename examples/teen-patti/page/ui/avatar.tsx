/**
 * The emblems players choose from, drawn as flat SVG on a ground whose colour follows from the player's id.
 *
 * Invariant: two players with the same emblem at one table still look different, and the same player looks the same to
 * everybody.
 */
import type { JSX } from "preact";
import type { Avatar as Emblem } from "../../src/contract.ts";

const GROUNDS = [
  ["#17645a", "#2b9383"],
  ["#74213b", "#a63f5c"],
  ["#2f3f7a", "#5468b3"],
  ["#7d4d14", "#b98134"],
  ["#533072", "#8453aa"],
  ["#215d7c", "#4591b8"],
  ["#3f5d23", "#6c9440"],
  ["#6b2f1f", "#aa5a3c"],
] as const;

/** `of`: the player's id. */
export function Avatar({ emblem, of, name }: { emblem: Emblem; of: string; name?: string }): JSX.Element {
  const [ground, glow] = GROUNDS[hashOf(of) % GROUNDS.length] ?? GROUNDS[0];
  const label = name === undefined ? { "aria-hidden": true as const } : { role: "img" as const, "aria-label": name };
  return (
    <svg class="avatar" viewBox="0 0 64 64" {...label}>
      <rect width="64" height="64" fill={ground} />
      <circle cx="32" cy="34" r="25" fill={glow} opacity="0.75" />
      <path
        d="M32 6l3 6M14 14l5 4M50 14l-5 4M6 32h5M58 32h-5"
        stroke="#fff"
        stroke-opacity="0.35"
        stroke-width="2"
        stroke-linecap="round"
      />
      {EMBLEMS[emblem] ?? EMBLEMS.tiger}
    </svg>
  );
}

const EMBLEMS: Readonly<Record<Emblem, JSX.Element>> = {
  tiger: (
    <g>
      <circle cx="17" cy="20" r="7" fill="#e9902f" />
      <circle cx="47" cy="20" r="7" fill="#e9902f" />
      <circle cx="17" cy="20" r="3.4" fill="#5a2b14" />
      <circle cx="47" cy="20" r="3.4" fill="#5a2b14" />
      <path d="M32 14c13 0 19 8 19 18 0 12-8 22-19 22S13 44 13 32c0-10 6-18 19-18z" fill="#f2a03b" />
      <path d="M32 33c9 0 14 4 14 10 0 7-6 11-14 11s-14-4-14-11c0-6 5-10 14-10z" fill="#fdeed3" />
      <path
        d="M32 14v9M26 15.5l2 7M38 15.5l-2 7M13.5 30l7 2M50.5 30l-7 2M14.5 38l6 .5M49.5 38l-6 .5"
        stroke="#4a2110"
        stroke-width="3"
        stroke-linecap="round"
      />
      <ellipse cx="24" cy="31" rx="3" ry="3.6" fill="#241009" />
      <ellipse cx="40" cy="31" rx="3" ry="3.6" fill="#241009" />
      <circle cx="25" cy="29.8" r="1" fill="#fff" />
      <circle cx="41" cy="29.8" r="1" fill="#fff" />
      <path d="M28 38h8l-4 4.5z" fill="#7b2f2c" />
      <path
        d="M32 42v3M32 45c-2 3-5 3-7 1.5M32 45c2 3 5 3 7 1.5"
        stroke="#4a2110"
        stroke-width="1.8"
        fill="none"
        stroke-linecap="round"
      />
    </g>
  ),
  peacock: (
    <g>
      {[-64, -40, -16, 16, 40, 64].map((turn) => (
        <g key={turn} transform={`rotate(${turn} 32 50)`}>
          <path d="M32 50C26 34 25 20 32 9c7 11 6 25 0 41z" fill="#1f8a6d" />
          <circle cx="32" cy="17" r="4.6" fill="#e8b53f" />
          <circle cx="32" cy="17.6" r="2.8" fill="#1c4fa0" />
        </g>
      ))}
      <path d="M27 56c-5-8-2-15 1-20 2-4 1-8 4-11 4-1 7 2 6 6-1 5 4 9 3 17-1 5-4 8-8 8z" fill="#1f57b8" />
      <circle cx="33.5" cy="29" r="1.7" fill="#fff" />
      <circle cx="33.8" cy="29" r="0.9" fill="#111" />
      <path d="M37.6 29.5l5 2-5 1.5z" fill="#f0b845" />
      <path d="M31 25l-2-5M33 24.5V19M35 25l2-5" stroke="#1f57b8" stroke-width="1.4" stroke-linecap="round" />
    </g>
  ),
  elephant: (
    <g>
      <path d="M20 22C10 18 5 24 6 33c1 8 8 12 14 9zM44 22c10-4 15 2 14 11-1 8-8 12-14 9z" fill="#8b93a8" />
      <path d="M19 26c-5-2-8 1-8 6s4 8 8 7zM45 26c5-2 8 1 8 6s-4 8-8 7z" fill="#d9a7ae" />
      <path
        d="M32 13c10 0 15 7 15 16 0 8-4 12-8 13-1 8 1 9 5 8 0 5-5 8-9 6-5-2-6-8-6-14-7-1-12-5-12-13 0-9 5-16 15-16z"
        fill="#a6adc0"
      />
      <path d="M24 15c5-4 11-4 16 0l-8 12z" fill="#c22f4d" />
      <path d="M28 15.5c3-1.6 5-1.6 8 0l-4 6z" fill="#f0c04f" />
      <circle cx="24.5" cy="30" r="2" fill="#22202b" />
      <circle cx="39.5" cy="30" r="2" fill="#22202b" />
      <path d="M24 40c-1 5-4 8-8 8 4 2 9 0 11-6zM40 41c1 4 5 6 8 5-2 3-7 3-9-1z" fill="#fbf4e4" />
      <path d="M30 45h8M31 49h7" stroke="#7d859b" stroke-width="1.4" stroke-linecap="round" />
    </g>
  ),
  lotus: (
    <g stroke="#a23463" stroke-width="1.2" stroke-linejoin="round">
      <path d="M32 50C16 50 8 41 7 31c9 0 19 6 25 19zM32 50c16 0 24-9 25-19-9 0-19 6-25 19z" fill="#e883a6" />
      <path d="M32 50C19 45 15 31 18 20c9 5 15 17 14 30zM32 50c13-5 17-19 14-30-9 5-15 17-14 30z" fill="#f2a4be" />
      <path d="M32 50c-9-11-9-27 0-38 9 11 9 27 0 38z" fill="#fbd0dc" />
      <path d="M14 53c10 5 26 5 36 0" stroke="#3f8b57" stroke-width="3" fill="none" stroke-linecap="round" />
    </g>
  ),
  mango: (
    <g>
      <path d="M36 16c12 2 18 14 13 26-5 11-19 15-28 9-9-7-7-20 2-25 6-3 7-8 13-10z" fill="#f3ac2f" />
      <path d="M36 16c12 2 18 14 13 26-2 5-6 9-11 11 8-12 8-26-2-37z" fill="#e4603a" opacity="0.8" />
      <path d="M22 33c2-4 5-6 9-7" stroke="#fff3c8" stroke-width="3" stroke-linecap="round" fill="none" />
      <path d="M36 17c-1-4 0-7 3-10" stroke="#5c3a1e" stroke-width="2.6" stroke-linecap="round" fill="none" />
      <path d="M38 11c6-6 13-5 17-1-4 5-12 6-17 1z" fill="#4f9e4b" />
    </g>
  ),
  kite: (
    <g>
      <path d="M32 8l19 20-19 22-19-22z" fill="#f4ecd8" />
      <path d="M32 8l19 20H32z" fill="#d6374f" />
      <path d="M13 28h19v22z" fill="#1f8a7d" />
      <path d="M32 8v42M13 28c12-5 26-5 38 0" stroke="#5a3c22" stroke-width="1.6" fill="none" />
      <circle cx="32" cy="28" r="4" fill="#f0c04f" />
      <path
        d="M32 50c-4 3 3 5 0 9-2 2-5 2-7 1"
        stroke="#f0c04f"
        stroke-width="2.2"
        fill="none"
        stroke-linecap="round"
      />
    </g>
  ),
  drum: (
    <g>
      <path d="M14 24c0 4 2 8 2 12s-2 8-2 12h36c0-4-2-8-2-12s2-8 2-12z" fill="#9c3f28" />
      <path d="M15 26l8 22 9-22 9 22 8-22" stroke="#f0d9a3" stroke-width="2" fill="none" stroke-linejoin="round" />
      <ellipse cx="32" cy="24" rx="18" ry="7" fill="#f6e6c6" stroke="#d0a24b" stroke-width="2.4" />
      <ellipse cx="32" cy="24" rx="7" ry="2.7" fill="#33222a" />
      <path d="M14 48c3 5 33 5 36 0" stroke="#d0a24b" stroke-width="3" fill="none" />
      <path d="M20 9l9 11M46 9l-8 11" stroke="#e9c98f" stroke-width="3" stroke-linecap="round" />
      <circle cx="19.5" cy="8.5" r="2.6" fill="#e9c98f" />
      <circle cx="46.5" cy="8.5" r="2.6" fill="#e9c98f" />
    </g>
  ),
  lamp: (
    <g>
      <path d="M32 8c6 7 8 12 5 17-2 4-8 4-10 0-3-5 0-10 5-17z" fill="#f6a52b" />
      <path d="M32 15c3 4 4 7 2 10-1 1.5-3 1.5-4 0-2-3-1-6 2-10z" fill="#fff0b0" />
      <path d="M8 31c8 3 40 3 48 0-1 12-9 19-24 19S9 43 8 31z" fill="#c0502c" />
      <path d="M8 31c8-4 40-4 48 0-8 4-40 4-48 0z" fill="#e07a45" />
      <ellipse cx="32" cy="31" rx="16" ry="2.4" fill="#5d1f17" />
      <path d="M24 50h16l3 5H21z" fill="#8e3620" />
      <g fill="#f6d37a">
        <circle cx="18" cy="39" r="1.8" />
        <circle cx="25" cy="42" r="1.8" />
        <circle cx="32" cy="43" r="1.8" />
        <circle cx="39" cy="42" r="1.8" />
        <circle cx="46" cy="39" r="1.8" />
      </g>
    </g>
  ),
};

function hashOf(text: string): number {
  let hash = 2166136261;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 16777619) >>> 0;
  return hash;
}
