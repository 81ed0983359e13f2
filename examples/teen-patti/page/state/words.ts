/** How the page words what the server says: reasons, moves, amounts. Invariant: every reason has a sentence a player understands. */
import { isHoldfastError, rejectionOf } from "holdfast/client";
import { ERASED_NAME, type SeatStatus, type ShownName } from "../../src/contract.ts";
import type { LastAction, PackReason } from "../../src/rules/hand-state.ts";

const REASONS: Readonly<Record<string, string>> = {
  "no-hand": "No hand is being played.",
  "not-in-hand": "You are not in this hand.",
  "already-packed": "You have already packed.",
  "already-seen": "You have already seen your cards.",
  "not-your-turn": "It is not your turn.",
  "no-side-show": "There is no side show to answer.",
  "side-show-pending": "A side show is being decided.",
  "not-enough-chips": "You do not have enough chips.",
  "wrong-amount": "The stake has changed.",
  "not-allowed": "That is not possible now.",
  "not-joined": "Please enter your name first.",
  "insufficient-chips": "Your wallet does not hold enough chips.",
  "not-broke": "You still have enough chips.",
  "too-soon": "A little early. Try again in a minute.",
  "too-many-seats": "You sit at too many tables already.",
  "already-seated": "You already sit at this table.",
  "not-seated": "You do not sit at this table.",
  "no-such-table": "There is no such table.",
  "table-closed": "This table has closed.",
  "table-full": "This table is full.",
  "seat-taken": "Somebody was faster: the seat is taken.",
  "no-such-seat": "There is no such seat.",
  "buy-in-out-of-range": "That buy-in is outside the table's limits.",
  late: "Too late: the turn has passed.",
  "too-many-messages": "Slow down a little.",
  "too-many-tables": "You have opened too many tables.",
  "invalid-config": "The table cannot be opened with these settings.",
};

export function nameWords(name: ShownName): string {
  return name ?? ERASED_NAME;
}

export function reasonWords(reason: string): string {
  return REASONS[reason] ?? `That did not work (${reason}).`;
}

export function errorWords(error: unknown): string {
  const rejection = rejectionOf(error);
  if (rejection !== undefined) return reasonWords(rejection.reason);
  if (!isHoldfastError(error)) return "Something went wrong in the page.";
  if (error.code === "invalid-input") return "That is not a valid value.";
  if (error.code === "outcome-unknown") return "No answer in time. Look whether it happened before you repeat it.";
  return `The server could not do that (${error.code}).`;
}

/** 1234567 as 12,34,567: the way chips are counted in India. */
export function chipsText(amount: number): string {
  return amount.toLocaleString("en-IN");
}

/** Short form for narrow places: 12.5K, 3.2L, 1.1Cr. */
export function shortChips(amount: number): string {
  if (amount < 100_000) return chipsText(amount);
  const [unit, name] = amount < 10_000_000 ? [100_000, "L"] : [10_000_000, "Cr"];
  return `${(amount / unit).toFixed(2).replace(/\.?0+$/, "")}${name}`;
}

export function actionWords(last: LastAction): string {
  const amount = chipsText(last.amount);
  switch (last.type) {
    case "boot":
      return `Boot ${amount}`;
    case "blind":
      return `Blind ${amount}`;
    case "chaal":
      return `Chaal ${amount}`;
    case "pack":
      return "Packed";
    case "show":
      return `Show ${amount}`;
    case "sideShow":
      return `Side show ${amount}`;
    case "acceptSideShow":
      return "Accepts";
    case "refuseSideShow":
      return "Refuses";
    default:
      return last.type satisfies never;
  }
}

export const PACK_WORDS: Readonly<Record<PackReason, string>> = {
  chosen: "packed",
  timeout: "ran out of time and packed",
  chips: "could not pay and packed",
  left: "left the table",
  sideShow: "lost the side show and packed",
};

export const STATUS_WORDS: Readonly<Record<SeatStatus, string>> = {
  waiting: "Joins next hand",
  ready: "Ready",
  playing: "",
  packed: "Packed",
  "sitting-out": "Sitting out",
  away: "Away",
  broke: "Out of chips",
  leaving: "Leaving",
};
