/**
 * What the browser keeps between visits: who we are, whether sound is on, and what we were promised about each hand.
 *
 * Invariant: reading never throws and never trusts: whatever is not of the right shape counts as absent.
 */
import { AVATARS, type Avatar, NAME_CHARS_MAX } from "../../src/contract.ts";
import { randomText } from "./time.ts";

export type Profile = { userId: string; name: string; avatar: Avatar };

const PREFIX = "teen-patti/";

export function readStored(key: string): unknown {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

/** A full or forbidden storage loses comfort, not the game. */
export function store(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Private windows may refuse; the page then forgets at the end of the visit.
  }
}

export function readProfile(): Profile | null {
  const found = readStored("profile") as Partial<Profile> | null;
  if (typeof found?.userId !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(found.userId)) return null;
  const name = typeof found.name === "string" ? found.name.slice(0, NAME_CHARS_MAX) : "";
  const avatar = AVATARS.find((of) => of === found.avatar);
  return name === "" || avatar === undefined ? null : { userId: found.userId, name, avatar };
}

/** A user id says nothing of the person: it stands in the log in plain sight, and stays there when the name is erased. */
export function newUserId(): string {
  return `player-${randomText(16)}`;
}
