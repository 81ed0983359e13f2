/**
 * The bar under the table: what to do now.
 *
 * Invariant: same height in every state, so that the table never jumps; the buttons are always the same, in the same
 * order, and those that cannot be used say so.
 */
import type { JSX } from "preact";
import type { TableView } from "../../src/contract.ts";
import type { Move } from "../../src/rules/moves.ts";
import { attempt, isPending, theServer } from "../state/app.ts";
import { chipsText } from "../state/words.ts";
import { Button } from "../ui/button.tsx";
import { showDialog } from "../ui/dialog.tsx";
import { act, choices, waitsFor } from "./actions.ts";
import { nameOf } from "./places.ts";

export function Controls({ view }: { view: TableView }): JSX.Element {
  return (
    <footer class="controls" data-testid="controls">
      <p class="prompt" data-testid="prompt" data-yours={isMyMove(view) || undefined}>
        {promptOf(view)}
      </p>
      <div class="control-row">
        <Choice view={view} />
      </div>
    </footer>
  );
}

function Choice({ view }: { view: TableView }): JSX.Element {
  if (view.you === null) return <Spectating view={view} />;
  const status = view.seats[view.you]?.status;
  if (status === "sitting-out" || status === "away") return <Absent view={view} />;
  if (status === "broke") return <Broke />;
  if (choices.value.accept !== null) return <SideShowAnswer view={view} />;
  return <Moves view={view} />;
}

function Moves({ view }: { view: TableView }): JSX.Element {
  const { pack, see, show, bet, raise } = choices.value;
  const looked = view.hand.seats.find((of) => of.seat === view.you)?.looked ?? false;
  const betWord = bet === null ? (looked ? "Chaal" : "Blind") : bet.type === "chaal" ? "Chaal" : "Blind";
  const showWord = show?.type === "sideShow" ? "Side show" : "Show";
  return (
    <>
      <MoveButton move={pack} word="Pack" hint="P" tone="red" testid="act-pack" />
      <MoveButton move={see} word="See" hint="S" tone="plain" testid="act-see" />
      <MoveButton move={show} word={showWord} hint="D" tone="plain" testid="act-show" />
      <MoveButton move={bet} word={betWord} hint={betWord === "Blind" ? "B" : "C"} tone="green" testid="act-bet" />
      <MoveButton move={raise} word={raise === null ? "Raise" : betWord} hint="R" tone="gold" testid="act-raise" />
    </>
  );
}

type MoveButtonProps = {
  move: Move | null;
  word: string;
  hint: string;
  tone: "plain" | "red" | "green" | "gold";
  testid: string;
};

function MoveButton({ move, word, hint, tone, testid }: MoveButtonProps): JSX.Element {
  const amount = move !== null && "amount" in move ? move.amount : null;
  return (
    <Button
      tone={tone}
      off={move === null || isPending("act")}
      hint={hint}
      testid={testid}
      class="move"
      onPress={() => act(move)}
      label={amount === null ? word : `${word} ${amount} chips`}
    >
      <span class="move-word">{word}</span>
      {amount !== null && <span class="move-amount">{chipsText(amount)}</span>}
    </Button>
  );
}

function SideShowAnswer({ view }: { view: TableView }): JSX.Element {
  const { accept, refuse, see } = choices.value;
  return (
    <>
      <MoveButton move={refuse} word="Refuse" hint="X" tone="red" testid="act-refuse" />
      {see !== null && <MoveButton move={see} word="See" hint="S" tone="plain" testid="act-see" />}
      <MoveButton
        move={accept}
        word={`Show ${view.hand.sideShow === null ? "" : nameOf(view.hand.sideShow.asker, view)}`}
        hint="A"
        tone="green"
        testid="act-accept"
      />
    </>
  );
}

function Spectating({ view }: { view: TableView }): JSX.Element {
  const isFull = !view.hidden && view.seats.every((seat) => seat !== null);
  return (
    <Button
      tone="gold"
      class="wide"
      testid="take-seat"
      off={isFull || isPending("sit")}
      onPress={() => showDialog({ name: "buyIn", seat: null })}
    >
      {isFull ? "Every seat is taken" : "Take a seat"}
    </Button>
  );
}

function Absent({ view }: { view: TableView }): JSX.Element {
  return (
    <Button
      tone="gold"
      class="wide"
      testid="im-back"
      off={isPending("back")}
      onPress={() => void attempt("back", () => theServer().back(view.table))}
    >
      I'm back
    </Button>
  );
}

function Broke(): JSX.Element {
  return (
    <Button tone="gold" class="wide" testid="add-chips" onPress={() => showDialog({ name: "addChips" })}>
      Add chips
    </Button>
  );
}

export function isMyMove(view: TableView): boolean {
  return view.you !== null && view.deadline?.seat === view.you;
}

function promptOf(view: TableView): string {
  if (view.you === null) return "You are watching this table";
  const status = view.seats[view.you]?.status;
  if (status === "away") return "You missed your turns. Your seat is held for a minute";
  if (status === "sitting-out") return "You are sitting out";
  if (status === "broke") return "Not enough chips for the boot";
  if (status === "leaving") return "You leave when this hand is over";
  const { sideShow, phase, result } = view.hand;
  if (sideShow !== null) {
    if (sideShow.target === view.you) return `${nameOf(sideShow.asker, view)} asks you for a side show`;
    return `${nameOf(sideShow.asker, view)} asked ${nameOf(sideShow.target, view)} for a side show`;
  }
  if (isMyMove(view)) return "Your turn";
  if (phase === "idle") return view.nextHandAtMs === null ? "Waiting for another player" : "The first hand starts soon";
  if (result !== null) return view.nextHandAtMs === null ? "Waiting for another player" : "The next hand starts soon";
  const seat = waitsFor(view);
  const who = seat === null ? "" : `${nameOf(seat, view)} to act`;
  if (status === "waiting") return `You join with the next hand. ${who}`;
  return status === "packed" ? `You packed. ${who}` : who;
}
