/**
 * A table's decision in the making: what is emitted is at once evolved into a copy, so that every rule below reads the
 * state its predecessors lead to.
 *
 * Invariant: the draft's state is what the real state will be after the command, since both come from the same events.
 */
import type { DecideContext } from "holdfast";
import type { TableSettings } from "./contract.ts";
import { toHex } from "./rules/fairness.ts";
import { commitOf } from "./rules/shuffle.ts";
import { copyTable, type TableEvents, type TableState, tableEvents } from "./table-state.ts";

export type TableContext = DecideContext<TableEvents>;

export type TableDraft = { state: TableState; ctx: TableContext; settings: TableSettings };

/** Null when there is no such table. */
export function draftTable(state: TableState, ctx: TableContext): TableDraft | null {
  const { settings } = state;
  return settings === null ? null : { state: copyTable(state), ctx, settings };
}

export function emit<Name extends keyof TableEvents>(draft: TableDraft, name: Name, event: TableEvents[Name]): void {
  draft.ctx.emit(name, event);
  tableEvents[name](draft.state, event);
}

/** Promises the seed of the next hand. Once promised it stays until that hand is dealt: no deal can be discarded. */
export function commitNext(draft: TableDraft): void {
  const { state, ctx } = draft;
  if (state.next !== null) return;
  const serverSeed = toHex(ctx.random.bytes(32));
  const handNumber = state.hand.handNumber + 1;
  emit(draft, "committed", { handNumber, serverSeed, commit: commitOf(serverSeed) });
}

/** The seat of a player, or null. */
export function seatOfPlayer(state: TableState, player: string): number | null {
  return state.seats.find((seat) => seat?.player === player)?.seat ?? null;
}

export function takenSeats(state: TableState): number {
  return state.seats.reduce((count, seat) => count + (seat === null ? 0 : 1), 0);
}
