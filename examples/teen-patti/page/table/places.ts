/** Where seats stand around the table, seen from the viewer. Invariant: the viewer's own seat is place 0, at the bottom; clockwise from there. */
import type { TableView } from "../../src/contract.ts";

export function placeOf(seat: number, view: TableView): number {
  const count = view.seats.length;
  return (seat - (view.you ?? 0) + count) % count;
}

/** The name to show for a seat: the player's own is "You". */
export function nameOf(seat: number, view: TableView): string {
  return seat === view.you ? "You" : (view.seats[seat]?.name ?? `Seat ${seat + 1}`);
}
