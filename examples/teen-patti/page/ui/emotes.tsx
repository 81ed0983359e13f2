/**
 * Emotes as drawings, so that they look the same on every device and need no colour font.
 *
 * Invariant: every emote of the contract has a drawing and a name for screen readers; the compiler checks it.
 */
import type { JSX } from "preact";
import type { Emote as EmoteName } from "../../src/contract.ts";

export const EMOTE_WORDS: Readonly<Record<EmoteName, string>> = {
  "👍": "thumbs up",
  "👏": "applause",
  "😂": "laughing",
  "😎": "cool",
  "😮": "surprised",
  "😢": "crying",
  "😡": "angry",
  "🤔": "thinking",
  "🔥": "fire",
  "🎉": "party",
  "🙏": "namaste",
  "❤️": "heart",
};

const FACE_SHAPES: Readonly<Partial<Record<EmoteName, JSX.Element>>> = {
  "😂": (
    <g>
      <path d="M8 13.5c2.5-3 5-3 7 0M17 13.5c2-3 4.5-3 7 0" />
      <path d="M8 18h16c0 5-3.5 8-8 8s-8-3-8-8z" fill="#5a1a22" stroke="none" />
      <path d="M11 23.5c3-2 7-2 10 0-2.5 3.3-7.5 3.3-10 0z" fill="#e8566a" stroke="none" />
    </g>
  ),
  "😎": (
    <g>
      <path d="M5 11h22l-1.5 5.5c-3 2.5-6.5 1.5-8-2h-3c-1.5 3.5-5 4.5-8 2z" fill="#221620" stroke="none" />
      <path d="M11 22c3.5 2.5 7 2.3 11-.5" />
    </g>
  ),
  "😢": (
    <g>
      <path d="M8 14c2 1.8 4.5 1.8 6.5 0M17.5 14c2 1.8 4.5 1.8 6.5 0M11 24c2.5-3.5 7.5-3.5 10 0" />
      <path d="M9.5 17c-2.5 4-2.5 6 0 6s2.5-2 0-6zM22.5 17c-2.5 4-2.5 6 0 6s2.5-2 0-6z" fill="#57b5e6" stroke="none" />
    </g>
  ),
  "😡": (
    <g>
      <path d="M7.5 10.5l6 3M24.5 10.5l-6 3M10.5 24c3.5-3.5 7.5-3.5 11 0" />
      <circle cx="11" cy="15.5" r="1.7" fill="#3b1d10" stroke="none" />
      <circle cx="21" cy="15.5" r="1.7" fill="#3b1d10" stroke="none" />
    </g>
  ),
  "😮": (
    <g>
      <circle cx="11" cy="13" r="2.2" fill="#3b1d10" stroke="none" />
      <circle cx="21" cy="13" r="2.2" fill="#3b1d10" stroke="none" />
      <ellipse cx="16" cy="22" rx="3.5" ry="4.5" fill="#5a1a22" stroke="none" />
    </g>
  ),
  "🤔": (
    <g>
      <circle cx="11.5" cy="14" r="1.7" fill="#3b1d10" stroke="none" />
      <circle cx="21" cy="14" r="1.7" fill="#3b1d10" stroke="none" />
      <path d="M8 10.5c2-1.5 4-1.5 6 0M18 9.5c2-1 4-.5 5.5.8M12 23c3-1.5 5.5-1.5 8-.5" />
    </g>
  ),
};

const DRAWN: Readonly<Partial<Record<EmoteName, JSX.Element>>> = {
  "👏": (
    <g>
      <path
        d="M9 29l-4-9c-1-3 1-4 3-2l1 2-2-8c-1-3 2-4 3-1l2 5V8c0-3 3-3 3.5 0L17 17l2 5-4 7z"
        fill="#d99a6c"
        stroke="#7d4a2a"
        stroke-linejoin="round"
      />
      <path
        d="M23 29l4-9c1-3-1-4-3-2l-1 2 2-8c1-3-2-4-3-1l-2 5V8c0-3-3-3-3.5 0L15 17l-2 5 4 7z"
        fill="#efb98c"
        stroke="#7d4a2a"
        stroke-linejoin="round"
      />
      <path d="M7 5l2 3M25 5l-2 3M16 1.5V4" stroke="#f6c445" stroke-width="1.8" stroke-linecap="round" />
    </g>
  ),
  "🙏": (
    <g>
      <path
        d="M15.6 3c-3 4-4.6 8-4.6 12l-3 6 4 7c2.5-1.5 3.6-4 3.6-8z"
        fill="#d99a6c"
        stroke="#7d4a2a"
        stroke-linejoin="round"
      />
      <path
        d="M16.4 3c3 4 4.6 8 4.6 12l3 6-4 7c-2.5-1.5-3.6-4-3.6-8z"
        fill="#efb98c"
        stroke="#7d4a2a"
        stroke-linejoin="round"
      />
      <path d="M5 6l2.5 2.5M27 6l-2.5 2.5M3 14h3M29 14h-3" stroke="#f6c445" stroke-width="1.6" stroke-linecap="round" />
    </g>
  ),
  "👍": (
    <path
      d="M5 15h5v13H5zM11 15l4-6c1-2 .5-5 2-6 2-.5 3.5 1.5 3.5 4 0 2-.5 4-1 5h6c3 0 3.5 2.5 2.5 4 1 1 1 3-.5 4 .5 1.5 0 3-1.5 3.5 0 2-1 3.5-3 3.5h-8c-2 0-3-1-4-1.5z"
      fill="#efb98c"
      stroke="#7d4a2a"
      stroke-width="1.3"
      stroke-linejoin="round"
    />
  ),
  "🔥": (
    <g>
      <path d="M17 2c1 5 9 9 9 18a10 10 0 0 1-20 0c0-5 3-7 4-11 2 1 3 3 3 5 3-3 4-7 4-12z" fill="#f0662f" />
      <path
        d="M16.5 14c1 3 5 5 5 10a5.5 5.5 0 0 1-11 0c0-3 2-4 2.5-6 1 .5 1.5 1.5 1.5 2.5 1.5-1.5 2-4 2-6.5z"
        fill="#fbc843"
      />
    </g>
  ),
  "🎉": (
    <g>
      <path d="M4 28l7-17 10 10z" fill="#e6b243" stroke="#8f6215" stroke-linejoin="round" />
      <path d="M8.5 18l5.5 6M6.5 23l3 3" stroke="#c22f4d" stroke-width="2" />
      <path
        d="M15 9c1-3 3-4 2-7M22 16c3-1 5 0 7-2M18 13l6-6"
        stroke="#3fa58f"
        stroke-width="2"
        fill="none"
        stroke-linecap="round"
      />
      <g fill="#e0324f">
        <circle cx="23" cy="3.5" r="1.6" />
        <circle cx="28.5" cy="8.5" r="1.6" />
        <circle cx="26" cy="20.5" r="1.6" />
        <circle cx="10" cy="5" r="1.6" />
      </g>
    </g>
  ),
  "❤️": (
    <path
      d="M16 28C10 22.5 3.5 17.5 3.5 11 3.5 7 6.5 4.5 9.8 4.5c2.7 0 4.9 1.5 6.2 4 1.3-2.5 3.5-4 6.2-4 3.3 0 6.3 2.5 6.3 6.5 0 6.5-6.5 11.5-12.5 17z"
      fill="#e0324f"
    />
  ),
};

export function Emote({ name }: { name: EmoteName }): JSX.Element {
  return (
    <svg class="emote" viewBox="0 0 32 32" aria-hidden="true">
      {DRAWN[name] ?? (
        <g>
          <circle cx="16" cy="16" r="14.5" fill="#f6c445" />
          <path d="M3 12a14.5 14.5 0 0 1 26 0C23 6 9 6 3 12z" fill="#ffe28d" opacity="0.8" />
          <g fill="none" stroke="#3b1d10" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">
            {FACE_SHAPES[name] ?? FACE_SHAPES["🤔"]}
          </g>
        </g>
      )}
    </svg>
  );
}
