/** Line icons on a 24 by 24 grid, in the colour of the text around them. Decoration: the button carries the name. */
import type { JSX } from "preact";

const PATHS = {
  back: "M14.5 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  chat: "M4 5.5h16v10.5H10.5L6 20v-4H4z",
  sound: "M4 9.5v5h3.5L12 18.5V5.5L7.5 9.5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  muted: "M4 9.5v5h3.5L12 18.5V5.5L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  help: "M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1.1-1.4 2.1M12 17.5v.01",
  history: "M4 12a8 8 0 1 0 2.6-5.9L4 8.5M4 4v4.5h4.5M12 8v4.5l3 1.8",
  shield: "M12 3l7.5 2.8v5.7c0 4.6-3 8-7.5 9.7-4.5-1.7-7.5-5.1-7.5-9.7V5.8zM8.5 12l2.5 2.5 4.5-5",
  gift: "M4.5 11h15v9h-15zM3.5 7.5h17V11h-17zM12 7.5V20M12 7.5c-4 0-5.5-1.3-5-3 .7-2 4-1.5 5 3zM12 7.5c4 0 5.5-1.3 5-3-.7-2-4-1.5-5 3z",
  eye: "M2.5 12C5 7.5 8.3 5.5 12 5.5s7 2 9.5 6.5c-2.5 4.5-5.8 6.5-9.5 6.5S5 16.5 2.5 12zM12 9.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4z",
  user: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM4.5 20c.7-4 3.5-6 7.5-6s6.8 2 7.5 6",
  users:
    "M9 5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM2.5 19.5c.6-3.5 3-5 6.5-5s5.9 1.5 6.5 5M15.5 5.4a3.5 3.5 0 0 1 0 6.3M17.5 14.9c2.3.5 3.6 2 4 4.6",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2.5",
  plus: "M12 5v14M5 12h14",
  chips:
    "M12 4c4.5 0 8 1.5 8 3.5S16.5 11 12 11 4 9.5 4 7.5 7.5 4 12 4zM4 7.5v4.5c0 2 3.5 3.5 8 3.5s8-1.5 8-3.5V7.5M4 12v4.5c0 2 3.5 3.5 8 3.5s8-1.5 8-3.5V12",
  dice: "M5 5h14v14H5zM9 9v.01M15 15v.01M12 12v.01M15 9v.01M9 15v.01",
  seat: "M6 4.5v8.5h12V4.5M6 13v6.5M18 13v6.5M6 16.5h12",
  bolt: "M13 3L5.5 13.5H11L10.5 21 18.5 10H13z",
  copy: "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
  menu: "M5 7h14M5 12h14M5 17h14",
  trophy:
    "M8 4h8v6a4 4 0 0 1-8 0zM8 5.5H4.5c0 3 1.2 5 3.7 5M16 5.5h3.5c0 3-1.2 5-3.7 5M12 14v3.5M8.5 20.5h7M9.5 20.5c0-2 1-3 2.5-3s2.5 1 2.5 3",
  crown: "M4 18h16M4 18L3 8l5 4 4-7 4 7 5-4-1 10",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg
      class="icon"
      viewBox="0 0 24 24"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
