/**
 * Things that fly over the table: chips from seat to pot and to the winner, gifts and emotes from seat to seat.
 *
 * Invariant: a flight is decoration on a layer of its own and removes itself; the numbers under it are already right.
 * Who asked for less movement sees no flights.
 */
import { flutter, wantsStillness } from "../state/time.ts";

export type Place = number | "pot" | "dealer";

const CHIP_COLOURS = ["crimson", "brass", "teal", "indigo", "ivory"] as const;

export function flyChips(of: { from: Place; to: Place; amount: number; delayMs?: number }): void {
  const chips = Math.max(2, Math.min(7, Math.round(Math.log2(of.amount + 1) / 1.6)));
  for (let at = 0; at < chips; at++) {
    const chip = document.createElement("span");
    chip.className = "flying-chip";
    chip.dataset["colour"] = CHIP_COLOURS[at % CHIP_COLOURS.length] ?? "brass";
    fly(chip, { ...of, delayMs: (of.delayMs ?? 0) + at * 55, spread: 26, ms: 520 });
  }
}

/** Sends a copy of a drawing, for example a gift's, from one seat to another. */
export function flyDrawing(drawing: Element, of: { from: Place; to: Place }): void {
  const copy = document.createElement("span");
  copy.className = "flying-gift";
  copy.append(drawing.cloneNode(true));
  fly(copy, { ...of, delayMs: 0, spread: 0, ms: 1100 });
}

type Flight = { from: Place; to: Place; delayMs: number; spread: number; ms: number };

function fly(thing: HTMLElement, { from, to, delayMs, spread, ms }: Flight): void {
  const layer = document.querySelector(".flights");
  const start = middleOf(from, layer);
  const end = middleOf(to, layer);
  if (layer === null || start === null || end === null || wantsStillness() || document.hidden) return;
  const wobble = (): number => (flutter() - 0.5) * spread;
  const [fromX, fromY, toX, toY] = [start.x + wobble(), start.y + wobble(), end.x + wobble(), end.y + wobble()];
  layer.append(thing);
  const lift = Math.min(60, Math.hypot(toX - fromX, toY - fromY) * 0.16);
  const flight = thing.animate(
    [
      { transform: `translate(${fromX}px, ${fromY}px) scale(.55)`, opacity: 0 },
      { transform: `translate(${fromX}px, ${fromY}px) scale(1)`, opacity: 1, offset: 0.12 },
      {
        transform: `translate(${(fromX + toX) / 2}px, ${(fromY + toY) / 2 - lift}px) scale(1.12)`,
        opacity: 1,
        offset: 0.55,
      },
      { transform: `translate(${toX}px, ${toY}px) scale(.9)`, opacity: 1, offset: 0.94 },
      { transform: `translate(${toX}px, ${toY}px) scale(.7)`, opacity: 0 },
    ],
    { duration: ms, delay: delayMs, easing: "cubic-bezier(.3,.1,.25,1)", fill: "both" },
  );
  const remove = (): void => thing.remove();
  flight.finished.then(remove, remove);
}

function middleOf(place: Place, layer: Element | null): { x: number; y: number } | null {
  const found = document.querySelector(
    typeof place === "number" ? `[data-anchor="seat-${place}"]` : `[data-anchor="${place}"]`,
  );
  if (found === null || layer === null) return null;
  const box = found.getBoundingClientRect();
  const origin = layer.getBoundingClientRect();
  return { x: box.left + box.width / 2 - origin.left, y: box.top + box.height / 2 - origin.top };
}

/** Lets the cards of a seat arrive from the deck, one round after the other, as they are dealt. */
export function dealIn(cards: readonly Element[], of: { place: number; seatCount: number }): void {
  const deck = document.querySelector('[data-anchor="deck"]')?.getBoundingClientRect();
  if (deck === undefined || wantsStillness()) return;
  for (const [round, card] of cards.entries()) {
    const box = card.getBoundingClientRect();
    const x = deck.left + deck.width / 2 - (box.left + box.width / 2);
    const y = deck.top + deck.height / 2 - (box.top + box.height / 2);
    card.animate(
      [
        { translate: `${x}px ${y}px`, rotate: "-140deg", scale: "0.5", opacity: 0 },
        { translate: `${x * 0.9}px ${y * 0.9}px`, rotate: "-120deg", scale: "0.55", opacity: 1, offset: 0.1 },
        { translate: "0 0", rotate: "0deg", scale: "1", opacity: 1 },
      ],
      {
        duration: 430,
        delay: 120 + (round * of.seatCount + of.place) * 85,
        easing: "cubic-bezier(.2,.7,.25,1)",
        fill: "backwards",
      },
    );
  }
}
