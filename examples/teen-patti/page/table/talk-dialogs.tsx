/**
 * Dialogs between people: chat, emotes, gifts, tips, and the menu.
 *
 * Invariant: only what the contract lists can be said or given; there is nothing to moderate.
 */
import type { JSX } from "preact";
import {
  EMOTES,
  type Emote as EmoteName,
  GIFTS,
  type Gift as GiftName,
  PHRASES,
  type Phrase,
  type TableView,
} from "../../src/contract.ts";
import { attempt, isPending, me, mySeat, theServer, toast } from "../state/app.ts";
import { chipsText, nameWords } from "../state/words.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button } from "../ui/button.tsx";
import { closeDialog, Dialog, showDialog } from "../ui/dialog.tsx";
import { EMOTE_WORDS, Emote } from "../ui/emotes.tsx";
import { Gift } from "../ui/gifts.tsx";
import { Icon, type IconName } from "../ui/icons.tsx";

const GIFT_NAMES = Object.keys(GIFTS) as GiftName[];
const PHRASE_NAMES = Object.keys(PHRASES) as Phrase[];
const TIPS_IN_BOOTS = [1, 5, 10] as const;

export function ChatDialog({ view }: { view: TableView }): JSX.Element {
  const say = (input: { phrase: Phrase } | { emote: EmoteName }): void => {
    closeDialog();
    void attempt("say", () => theServer().say(view.table, input));
  };
  return (
    <Dialog title="Say something" testid="chat-dialog">
      <div class="emote-grid" role="group" aria-label="Emotes">
        {EMOTES.map((emote) => (
          <button
            key={emote}
            type="button"
            class="emote-button"
            aria-label={EMOTE_WORDS[emote]}
            data-testid={`emote-${EMOTES.indexOf(emote)}`}
            onClick={() => say({ emote })}
          >
            <Emote name={emote} />
          </button>
        ))}
      </div>
      <ul class="phrase-list">
        {PHRASE_NAMES.map((phrase) => (
          <li key={phrase}>
            <button type="button" class="phrase" data-testid={`phrase-${phrase}`} onClick={() => say({ phrase })}>
              {PHRASES[phrase]}
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

/** Another player: gifts and emotes that fly to that seat. */
export function PersonDialog({ view, seat }: { view: TableView; seat: number }): JSX.Element | null {
  const person = view.seats[seat] ?? null;
  if (person === null) return null;
  const isSeated = view.you !== null;
  const chips = me.value?.balance ?? 0;
  return (
    <Dialog title={nameWords(person.name)} testid="person-dialog">
      <div class="person">
        <Avatar emblem={person.avatar} of={person.player} />
        <p class="dialog-text">{chipsText(person.chips)} chips on the table</p>
      </div>
      {!isSeated && <p class="dialog-text">Take a seat to send gifts and emotes.</p>}
      {isSeated && (
        <>
          <h3>Send a gift</h3>
          <div class="gift-grid">
            {GIFT_NAMES.map((gift) => (
              <button
                key={gift}
                type="button"
                class="gift-button"
                aria-label={`${gift}, ${GIFTS[gift]} chips`}
                aria-disabled={chips < GIFTS[gift]}
                data-testid={`gift-${gift}`}
                onClick={() => {
                  if (chips < GIFTS[gift]) return;
                  closeDialog();
                  void attempt("gift", () => theServer().gift({ table: view.table, gift, toSeat: seat }));
                }}
              >
                <Gift name={gift} />
                <span>{chipsText(GIFTS[gift])}</span>
              </button>
            ))}
          </div>
          <h3>Send an emote</h3>
          <div class="emote-grid">
            {EMOTES.map((emote) => (
              <button
                key={emote}
                type="button"
                class="emote-button"
                aria-label={EMOTE_WORDS[emote]}
                onClick={() => {
                  closeDialog();
                  void attempt("say", () => theServer().say(view.table, { emote, toSeat: seat }));
                }}
              >
                <Emote name={emote} />
              </button>
            ))}
          </div>
        </>
      )}
    </Dialog>
  );
}

export function TipDialog({ view }: { view: TableView }): JSX.Element {
  const boot = view.settings?.config.boot ?? 1;
  return (
    <Dialog title="Tip the dealer" testid="tip-dialog">
      <p class="dialog-text">From your wallet. The dealer has received {chipsText(view.house)} at this table.</p>
      <div class="dialog-row">
        {TIPS_IN_BOOTS.map((boots) => (
          <Button
            key={boots}
            tone="gold"
            testid={`tip-${boots}`}
            off={isPending("tip")}
            onPress={() => {
              closeDialog();
              void attempt("tip", () => theServer().tip({ table: view.table, amount: boots * boot }));
            }}
          >
            {chipsText(boots * boot)}
          </Button>
        ))}
      </div>
    </Dialog>
  );
}

export function MenuDialog({ view }: { view: TableView }): JSX.Element {
  const isSeated = view.you !== null;
  const status = mySeat.value?.status;
  const isOut = status === "sitting-out" || status === "away";
  const sitOut = (): void => {
    closeDialog();
    if (isOut) void attempt("back", () => theServer().back(view.table));
    else
      void attempt("sitOut", () => theServer().sitOut(view.table, true)).then(
        (done) => done !== undefined && toast("You sit out from the next hand on."),
      );
  };
  return (
    <Dialog title="Table menu" testid="menu-dialog">
      <ul class="menu">
        {isSeated && <Item icon="chips" text="Add chips" onPress={() => showDialog({ name: "addChips" })} />}
        {isSeated && (
          <Item icon="gift" text="Tip the dealer" testid="menu-tip" onPress={() => showDialog({ name: "tip" })} />
        )}
        {isSeated && (
          <Item
            icon="seat"
            text={isOut ? "I'm back" : "Sit out the next hand"}
            testid="menu-sit-out"
            onPress={sitOut}
          />
        )}
        <Item icon="dice" text="Your seed" testid="menu-seed" onPress={() => showDialog({ name: "seed" })} />
        <Item icon="user" text="Name and emblem" onPress={() => showDialog({ name: "profile" })} />
        <Item
          icon="shield"
          text="Hands played, verify"
          testid="menu-history"
          onPress={() => showDialog({ name: "history" })}
        />
      </ul>
    </Dialog>
  );
}

function Item({
  icon,
  text,
  onPress,
  testid,
}: {
  icon: IconName;
  text: string;
  onPress: () => void;
  testid?: string;
}): JSX.Element {
  return (
    <li>
      <button type="button" class="menu-item" data-testid={testid} onClick={onPress}>
        <Icon name={icon} />
        {text}
      </button>
    </li>
  );
}

/** One hidden copy of every drawing that can fly: flights clone it. */
export function Drawings(): JSX.Element {
  return (
    <div class="drawings" aria-hidden="true">
      {GIFT_NAMES.map((gift) => (
        <span key={gift} data-drawing={gift}>
          <Gift name={gift} />
        </span>
      ))}
      {EMOTES.map((emote) => (
        <span key={emote} data-drawing={emote}>
          <Emote name={emote} />
        </span>
      ))}
    </div>
  );
}
