/**
 * What the server promised about each hand, noted when it was said: the commit before the deal, root and context at the
 * deal, our client seed, and the cards we saw.
 *
 * Invariant: the first word counts. A later view never replaces a note, since a server that lies would change its words.
 */
import type { TableView } from "../../src/contract.ts";
import { type ClientSeed, clientSeedsOf } from "../../src/rules/fairness.ts";
import { type PublicView, shownCards } from "../../src/rules/projection.ts";
import type { Evidence, ShownCard } from "../../src/rules/verify.ts";
import { readStored, store } from "./storage.ts";

type HandNote = {
  handNumber: number;
  commit?: string;
  seed?: ClientSeed;
  merkleRoot?: string;
  context?: string;
  shown?: ShownCard[];
};

const HANDS_KEPT = 40;
const SEEDS_KEPT = 20;

/** A seed that this page chose: whichever of them the deal used, it was ours. */
export function noteOwnSeed(clientSeed: string): void {
  store("own-seeds", [...ownSeeds().filter((of) => of !== clientSeed), clientSeed].slice(-SEEDS_KEPT));
}

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
  const context = note.context ?? evidence.context;
  return {
    ...evidence,
    commit: note.commit ?? evidence.commit,
    merkleRoot: note.merkleRoot ?? evidence.merkleRoot,
    context,
    ownSeed: ownSeedIn(context, note) ?? evidence.ownSeed,
    shown: mergeShown(note.shown ?? [], evidence.shown),
  };
}

/** The seed of ours to look for. A change just before the deal may have passed unseen; then it is one that we chose. */
function ownSeedIn(context: string, note: HandNote): ClientSeed | null {
  const { seed } = note;
  const dealt = seed === undefined ? undefined : clientSeedsOf(context).find((of) => of.seat === seed.seat);
  if (seed === undefined || dealt === undefined) return null;
  return ownSeeds().includes(dealt.clientSeed) ? dealt : seed;
}

function ownSeeds(): string[] {
  const found = readStored("own-seeds");
  return Array.isArray(found) ? found.filter((of) => typeof of === "string") : [];
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
