/**
 * The player's moves, as buttons and keys.
 *
 * Invariant: a move is sent exactly as the server listed it, amount included, with the hand and turn of the view that
 * listed it; the page computes no amount.
 */
import { computed } from "@preact/signals";
import type { TableView } from "../../src/contract.ts";
import type { Move } from "../../src/rules/moves.ts";
import { attempt, table, theServer } from "../state/app.ts";

export type MoveOf<Type extends Move["type"]> = Extract<Move, { type: Type }>;
export type Bet = MoveOf<"blind"> | MoveOf<"chaal">;

export type Choices = {
  pack: MoveOf<"pack"> | null;
  see: MoveOf<"see"> | null;
  show: MoveOf<"show"> | MoveOf<"sideShow"> | null;
  bet: Bet | null;
  raise: Bet | null;
  accept: MoveOf<"acceptSideShow"> | null;
  refuse: MoveOf<"refuseSideShow"> | null;
};

/** The moves of the newest view, by the button they belong to. */
export const choices = computed(() => choicesOf(table.value?.moves ?? []));

/** Which key does what; `B` and `C` both bet, since the same button is blind or chaal. */
export const KEYS: Readonly<Record<string, keyof Choices>> = {
  p: "pack",
  s: "see",
  b: "bet",
  c: "bet",
  r: "raise",
  d: "show",
  a: "accept",
  x: "refuse",
};

export function choicesOf(moves: readonly Move[]): Choices {
  const find = <Type extends Move["type"]>(type: Type): MoveOf<Type> | null =>
    (moves.find((move) => move.type === type) as MoveOf<Type> | undefined) ?? null;
  const bets = moves.filter((move): move is Bet => move.type === "blind" || move.type === "chaal");
  return {
    pack: find("pack"),
    see: find("see"),
    show: find("show") ?? find("sideShow"),
    bet: bets[0] ?? null,
    raise: bets[1] ?? null,
    accept: find("acceptSideShow"),
    refuse: find("refuseSideShow"),
  };
}

export function act(move: Move | null): void {
  const view = table.peek();
  if (move === null || view === null || !view.moves.includes(move)) return;
  void attempt("act", () =>
    theServer().act(view.table, { handNumber: view.hand.handNumber, turn: view.hand.turn, move }),
  );
}

/** Keys work anywhere on the table except where text is typed, in dialogs, and together with Ctrl, Alt or Meta. */
export function onTableKey(event: KeyboardEvent): void {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const target = event.target as HTMLElement | null;
  if (target?.closest("input, textarea, select, dialog") || document.querySelector("dialog[open]") !== null) return;
  const choice = KEYS[event.key.toLowerCase()];
  if (choice === undefined) return;
  event.preventDefault();
  act(choices.peek()[choice]);
}

/** Whose turn it is, for the line over the buttons. */
export function waitsFor(view: TableView): number | null {
  return view.deadline?.seat ?? view.hand.turnSeat;
}
