/**
 * Turns cues into movement, sound and speech.
 *
 * Invariant: the first view after arriving at a table causes nothing: who comes back to a hand finds it as it is.
 */
import { effect, signal } from "@preact/signals";
import { type FeedItem, PHRASES, type TableView } from "../../src/contract.ts";
import { serverNow, table, toast } from "../state/app.ts";
import { play, type SoundName } from "../state/sound.ts";
import { after } from "../state/time.ts";
import { actionWords, chipsText, nameWords, PACK_WORDS } from "../state/words.ts";
import { EMOTE_WORDS } from "../ui/emotes.tsx";
import { type Cue, cuesBetween, type ShownHand } from "./cues.ts";
import { flyChips, flyDrawing } from "./flights.ts";

/** What a screen reader is told; every text once. */
export const announcement = signal("");
/** The hand whose cards are to arrive from the deck; hands that were there already do not. */
export const dealtHand = signal<number | null>(null);
/** The side show that this player took part in, while it is shown. */
export const sideShowResult = signal<{ hands: ShownHand[]; loser: number } | null>(null);

const SIDE_SHOW_SHOWN_MS = 6_000;
const HURRY_MS = 5_000;
const OLD_MS = 10_000;

let previous: TableView | null = null;
let cancelHurry: () => void = () => {};

/** Begins to listen; once per page. */
export function startChoreography(): void {
  effect(() => {
    const view = table.value;
    if (view === null || previous === null || previous.table !== view.table) {
      dealtHand.value = null;
      sideShowResult.value = null;
    } else {
      perform(cuesBetween(previous, view), view);
    }
    armHurry(view);
    previous = view;
  });
}

function perform(cues: readonly Cue[], view: TableView): void {
  const isDealt = cues.some((cue) => cue.kind === "deal");
  if (isDealt) {
    dealtHand.value = view.hand.handNumber;
    sideShowResult.value = null;
  }
  const isSettled = cues.some((cue) => cue.kind === "sideShowSettled");
  if (!isSettled && cues.some((cue) => cue.kind === "won")) sideShowResult.value = null;
  const said = cues.map((cue) => wordsOf(cue, view)).filter((words) => words !== "");
  if (said.length > 0) announcement.value = said.join(" ");
  for (const cue of cues) {
    noteOf(cue);
    const sound = soundOf(cue, view);
    if (sound !== null) after(sound.delayMs, () => play(sound.name));
  }
  // The seats of this view stand only after the next paint.
  requestAnimationFrame(() => requestAnimationFrame(() => cues.forEach((cue) => move(cue, cues))));
}

function move(cue: Cue, all: readonly Cue[]): void {
  if (cue.kind === "paid") flyChips({ from: cue.seat, to: "pot", amount: cue.amount });
  if (cue.kind === "won") {
    const delayMs = all.some((of) => of.kind === "revealed") ? 1_500 : 500;
    for (const share of cue.shares) flyChips({ from: "pot", to: share.seat, amount: share.amount, delayMs });
  }
  if (cue.kind === "feed") moveFeed(cue.item);
}

function moveFeed(item: FeedItem): void {
  if (item.kind === "tip") flyChips({ from: item.seat, to: "dealer", amount: item.amount });
  if (item.kind !== "gift" && item.kind !== "emote") return;
  const name = item.kind === "gift" ? item.gift : item.emote;
  const drawing = document.querySelector(`[data-drawing="${name}"] svg`);
  if (drawing !== null && item.toSeat !== null) flyDrawing(drawing, { from: item.seat, to: item.toSeat });
}

function noteOf(cue: Cue): void {
  if (cue.kind === "packed" && cue.isMine && cue.reason === "timeout")
    toast("Time ran out, so your hand was packed.", "problem");
  if (cue.kind === "packed" && cue.isMine && cue.reason === "chips")
    toast("You could not pay the bet, so your hand was packed.", "problem");
  if (cue.kind === "feed" && cue.item.kind === "tip")
    toast(`${nameWords(cue.item.name)} tips the dealer ${chipsText(cue.item.amount)}.`);
  if (cue.kind !== "sideShowSettled" || cue.hands === null) return;
  const shown = { hands: cue.hands, loser: cue.loser };
  sideShowResult.value = shown;
  after(SIDE_SHOW_SHOWN_MS, () => {
    if (sideShowResult.peek() === shown) sideShowResult.value = null;
  });
}

function soundOf(cue: Cue, view: TableView): { name: SoundName; delayMs: number } | null {
  const sound = (name: SoundName, delayMs = 0) => ({ name, delayMs });
  switch (cue.kind) {
    case "deal":
      return sound("deal", 150);
    case "paid":
      return sound("chip", 380);
    case "looked":
    case "revealed":
      return sound("see");
    case "packed":
      return sound("pack");
    case "turn":
      return cue.isMine ? sound("turn") : null;
    case "sideShowAsked":
      return cue.target === view.you ? sound("turn") : null;
    case "won": {
      const isMine = cue.shares.some((of) => of.seat === view.you);
      const wasIn = view.hand.seats.some((of) => of.seat === view.you);
      return isMine ? sound("win", 400) : wasIn ? sound("lose", 400) : null;
    }
    case "feed":
      return sound("message");
    default:
      return null;
  }
}

function armHurry(view: TableView | null): void {
  cancelHurry();
  const deadline = view?.deadline ?? null;
  if (view === null || deadline === null || deadline.seat !== view.you) return;
  const inMs = deadline.atMs - HURRY_MS - serverNow();
  if (inMs <= 0) return;
  cancelHurry = after(inMs, () => {
    play("hurry");
    announcement.value = "Five seconds left.";
  });
}

/** What the cue is in words; empty for what needs none. */
function wordsOf(cue: Cue, view: TableView): string {
  const name = (seat: number): string => {
    const sitter = view.seats[seat] ?? null;
    return seat === view.you ? "You" : sitter === null ? `Seat ${seat + 1}` : nameWords(sitter.name);
  };
  switch (cue.kind) {
    case "deal":
      return `Hand ${cue.handNumber}. Cards are dealt. Boot ${chipsText(view.hand.boot)}.`;
    case "paid": {
      const last = view.hand.seats.find((of) => of.seat === cue.seat)?.last ?? null;
      return last === null || last.type === "boot" ? "" : `${name(cue.seat)}: ${actionWords(last)}.`;
    }
    case "looked":
      return `${name(cue.seat)} looked at the cards.`;
    case "packed":
      return `${name(cue.seat)} ${PACK_WORDS[cue.reason]}.`;
    case "turn":
      return cue.isMine ? "Your turn." : "";
    case "sideShowAsked":
      return `${name(cue.asker)} asked ${cue.target === view.you ? "you" : name(cue.target)} for a side show.`;
    case "sideShowRefused":
      return `${name(cue.target)} refused the side show.`;
    case "sideShowSettled":
      return "";
    case "revealed":
      return cue.seats.map((seat) => `${name(seat)}: ${labelOf(view, seat)}.`).join(" ");
    case "won":
      return cue.shares.map((of) => `${name(of.seat)} won ${chipsText(of.amount)}.`).join(" ");
    case "feed":
      return feedWords(cue.item);
    default:
      return cue satisfies never;
  }
}

function labelOf(view: TableView, seat: number): string {
  return view.hand.seats.find((of) => of.seat === seat)?.label ?? "hand hidden";
}

function feedWords(item: FeedItem): string {
  if (item.kind === "phrase") return `${nameWords(item.name)}: ${PHRASES[item.phrase]}`;
  if (item.kind === "emote") return `${nameWords(item.name)}: ${EMOTE_WORDS[item.emote]}.`;
  if (item.kind === "sat") return `${nameWords(item.name)} sat down.`;
  return item.kind === "left" ? `${nameWords(item.name)} left.` : "";
}

/** Whether a feed item is new enough to show beside its seat. */
export function isFresh(item: FeedItem): boolean {
  return serverNow() - item.atMs < OLD_MS;
}
