/**
 * Dialogs about chips and seats: buy-in, more chips, leaving, client seed.
 *
 * Invariant: bounds come from the table's settings and the wallet; the server checks them again.
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { TableView } from "../../src/contract.ts";
import { isClientSeed } from "../../src/rules/fairness.ts";
import { attempt, isPending, me, mySeat, theServer, toast, useSeed } from "../state/app.ts";
import { randomText } from "../state/time.ts";
import { chipsText } from "../state/words.ts";
import { AmountSlider } from "../ui/amount.tsx";
import { Button } from "../ui/button.tsx";
import { closeDialog, Dialog } from "../ui/dialog.tsx";
import { leaveTable } from "./table-screen.tsx";

export function BuyInDialog({ view, seat }: { view: TableView; seat: number | null }): JSX.Element {
  const { buyInMin = 0, buyInMax = 0, config } = view.settings ?? {};
  const balance = me.value?.balance ?? 0;
  const max = Math.min(buyInMax, balance);
  const step = config?.boot ?? 1;
  const amount = useSignal(Math.min(max, Math.max(buyInMin, Math.round((buyInMin + buyInMax) / 2 / step) * step)));
  const sit = async (): Promise<void> => {
    const input = { table: view.table, buyIn: amount.value, ...(seat === null ? {} : { seat }) };
    const reply = await attempt("sit", () => theServer().sit(input));
    if (reply !== undefined) closeDialog();
  };
  return (
    <Dialog title={seat === null ? "Take a seat" : `Seat ${seat + 1}`} testid="buy-in">
      <Wallet balance={balance} />
      {max < buyInMin ? (
        <p class="dialog-text">
          This table asks for at least {chipsText(buyInMin)} chips. Top up your wallet in the lobby, or choose a smaller
          boot.
        </p>
      ) : (
        <>
          <AmountSlider
            label="Chips to bring"
            min={buyInMin}
            max={max}
            step={step}
            value={amount.value}
            onChange={(value) => (amount.value = value)}
            testid="buy-in-amount"
          />
          <Button tone="gold" class="wide" off={isPending("sit")} testid="buy-in-confirm" onPress={() => void sit()}>
            Sit down with {chipsText(amount.value)}
          </Button>
        </>
      )}
    </Dialog>
  );
}

export function AddChipsDialog({ view }: { view: TableView }): JSX.Element {
  const settings = view.settings;
  const seat = mySeat.value;
  const room = (settings?.buyInMax ?? 0) - (seat === null ? 0 : seat.chips + seat.chipsComing);
  const max = Math.min(room, me.value?.balance ?? 0);
  const step = settings?.config.boot ?? 1;
  const amount = useSignal(Math.max(Math.min(step, max), Math.floor(max / 2 / step) * step));
  const add = async (): Promise<void> => {
    const reply = await attempt("addChips", () => theServer().addChips({ table: view.table, amount: amount.value }));
    if (reply === undefined) return;
    toast(`${chipsText(amount.value)} chips arrive before the next hand.`);
    closeDialog();
  };
  return (
    <Dialog title="Add chips" testid="add-chips-dialog">
      <Wallet balance={me.value?.balance ?? 0} />
      {max < step ? (
        <p class="dialog-text">
          {room < step
            ? "You already have the most this table allows."
            : "Your wallet is empty. Top it up in the lobby."}
        </p>
      ) : (
        <>
          <AmountSlider
            label="Chips to add"
            min={step}
            max={max}
            step={step}
            value={amount.value}
            onChange={(value) => (amount.value = value)}
            testid="add-chips-amount"
          />
          <Button
            tone="gold"
            class="wide"
            off={isPending("addChips")}
            testid="add-chips-confirm"
            onPress={() => void add()}
          >
            Add {chipsText(amount.value)}
          </Button>
        </>
      )}
    </Dialog>
  );
}

export function LeaveDialog({ view }: { view: TableView }): JSX.Element {
  const inHand = view.hand.seats.find((of) => of.seat === view.you);
  const packs = inHand !== undefined && inHand.packed === null && view.hand.phase !== "over";
  return (
    <Dialog title="Leave the table?" testid="leave-dialog">
      <p class="dialog-text">
        {packs ? "Your hand is packed and what you put into the pot stays there. " : ""}
        Your {chipsText(inHand?.chips ?? mySeat.value?.chips ?? 0)} chips go back to your wallet
        {packs ? " when the hand is over" : ""}.
      </p>
      <div class="dialog-row">
        <Button onPress={closeDialog}>Stay</Button>
        <Button tone="red" testid="leave-confirm" off={isPending("leave")} onPress={() => void leaveTable(view)}>
          Leave
        </Button>
      </div>
    </Dialog>
  );
}

export function SeedDialog({ view }: { view: TableView | null }): JSX.Element {
  const seed = useSignal(me.value?.clientSeed ?? view?.yourSeed ?? "");
  const isValid = isClientSeed(seed.value);
  const save = async (): Promise<void> => {
    if (!(await useSeed(seed.value))) return;
    toast("Your seed goes into the next shuffle.");
    closeDialog();
  };
  return (
    <Dialog title="Your seed" testid="seed-dialog">
      <p class="dialog-text">
        The server commits to its secret before it knows your seed, and the shuffle is made of both. So nobody can
        choose the cards. Change it whenever you like, until the deal.
      </p>
      <label class="field">
        <span>Seed: 1 to 64 letters, digits, - and _</span>
        <input
          type="text"
          value={seed.value}
          maxLength={64}
          spellcheck={false}
          autocomplete="off"
          data-testid="seed-input"
          aria-invalid={!isValid}
          onInput={(event) => (seed.value = event.currentTarget.value)}
        />
      </label>
      {view?.nextCommit && (
        <p class="dialog-text small">
          Promise for hand {view.nextCommit.handNumber}: <code class="hash">{view.nextCommit.commit}</code>
        </p>
      )}
      <div class="dialog-row">
        <Button onPress={() => (seed.value = randomText(20))}>New one</Button>
        <Button tone="gold" off={!isValid || isPending("setSeed")} testid="seed-save" onPress={() => void save()}>
          Use it
        </Button>
      </div>
    </Dialog>
  );
}

function Wallet({ balance }: { balance: number }): JSX.Element {
  return (
    <p class="dialog-text">
      In your wallet: <b data-testid="wallet-here">{chipsText(balance)}</b>
    </p>
  );
}
