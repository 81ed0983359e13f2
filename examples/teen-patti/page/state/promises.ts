/**
 * What the server promised about each hand, noted when it was said: the commit before the deal, root and context at the
 * deal, our client seed, and the cards we saw.
 *
 * Invariant: the first word counts. A later view never replaces a note, since a server that lies would change its words.
 */
import type { TableView } from "../../src/contract.ts";
import { type PublicView, shownCards } from "../../src/rules/projection.ts";
import type { Evidence, ShownCard } from "../../src/rules/verify.ts";
import { readStored, store } from "./storage.ts";

type HandNote = {
  handNumber: number;
  commit?: string;
  seed?: { seat: number; clientSeed: string };
  merkleRoot?: string;
  context?: string;
  shown?: ShownCard[];
};

const HANDS_KEPT = 40;

/** Takes down what this view says for the first time. */
export function notePromises(view: TableView): void {
  const notes = readNotes(view.table);
  const before = JSON.stringify(notes);
  if (view.nextCommit !== null) {
    const next = noteOf(notes, view.nextCommit.handNumber);
    next.commit ??= view.nextCommit.commit;
    if (view.you !== null && view.yourSeed !== null) next.seed = { seat: view.you, clientSeed: view.yourSeed };
  }
  if (view.hand.merkleRoot !== "") noteHand(noteOf(notes, view.hand.handNumber), view.hand);
  if (JSON.stringify(notes) !== before) store(keyOf(view.table), notes.slice(-HANDS_KEPT));
}

/** The server's evidence, with our own notes in place of its words. */
export function withOwnNotes(table: string, handNumber: number, evidence: Evidence): Evidence {
  const note = readNotes(table).find((of) => of.handNumber === handNumber);
  if (note === undefined) return evidence;
  const seeded = note.seed !== undefined && evidence.order.includes(note.seed.seat);
  return {
    ...evidence,
    commit: note.commit ?? evidence.commit,
    merkleRoot: note.merkleRoot ?? evidence.merkleRoot,
    context: note.context ?? evidence.context,
    ownSeed: seeded && note.seed !== undefined ? note.seed : evidence.ownSeed,
    shown: mergeShown(note.shown ?? [], evidence.shown),
  };
}

function noteHand(note: HandNote, hand: PublicView): void {
  note.merkleRoot ??= hand.merkleRoot;
  note.context ??= hand.context;
  note.shown = mergeShown(note.shown ?? [], shownCards(hand));
}

function mergeShown(first: readonly ShownCard[], later: readonly ShownCard[]): ShownCard[] {
  return [
    ...first,
    ...later.filter((card) => !first.some((of) => of.position === card.position && of.seat === card.seat)),
  ];
}

function noteOf(notes: HandNote[], handNumber: number): HandNote {
  const found = notes.find((of) => of.handNumber === handNumber);
  if (found !== undefined) return found;
  const note: HandNote = { handNumber };
  notes.push(note);
  return note;
}

function readNotes(table: string): HandNote[] {
  const found = readStored(keyOf(table));
  return Array.isArray(found) ? found.filter((of) => typeof of?.handNumber === "number") : [];
}

function keyOf(table: string): string {
  return `promises/${table}`;
}
