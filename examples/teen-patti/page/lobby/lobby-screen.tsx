/**
 * The lobby: wallet, open tables by boot, and private tables by code.
 *
 * Invariant: everything a player owns or may join is one press away; a table that is full can still be watched.
 */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { type LobbyTable, TOP_UP_BELOW, TOP_UP_TO, tableOfCode } from "../../src/contract.ts";
import { VARIATIONS } from "../../src/rules/variations.ts";
import {
  attempt,
  goTo,
  goToLeaderboard,
  goToWatch,
  isPending,
  lobby,
  me,
  profile,
  theServer,
  toast,
} from "../state/app.ts";
import { chipsText, shortChips } from "../state/words.ts";
import { SoundButton } from "../table/table-screen.tsx";
import { Avatar } from "../ui/avatar.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { showDialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icons.tsx";

export function LobbyScreen(): JSX.Element {
  const view = lobby.value;
  return (
    <div class="lobby" data-testid="lobby">
      <Head />
      <main class="lobby-main">
        <MyTables />
        <section aria-labelledby="tables-title">
          <h2 id="tables-title">Tables</h2>
          {view === null ? <p class="muted">Looking around…</p> : <TableList tables={view.tables} />}
        </section>
        <Private />
      </main>
    </div>
  );
}

function Head(): JSX.Element {
  const mine = profile.value;
  const wallet = me.value;
  const onTables = wallet?.seats.reduce((sum, seat) => sum + seat.boughtIn, 0) ?? 0;
  const isLow = wallet?.joined === true && wallet.balance + onTables < TOP_UP_BELOW;
  const topUp = async (): Promise<void> => {
    const reply = await attempt("topUp", () => theServer().topUp());
    if (reply !== undefined) toast(`Your wallet holds ${chipsText(reply.balance)} chips again.`);
  };
  return (
    <header class="lobby-head">
      <button
        type="button"
        class="lobby-me"
        data-testid="edit-profile"
        aria-label="Name and emblem"
        onClick={() => showDialog({ name: "profile" })}
      >
        {mine !== null && <Avatar emblem={mine.avatar} of={mine.userId} />}
        <span>{mine?.name}</span>
      </button>
      <p class="wallet" title="Your wallet">
        <span class="chip-dot" aria-hidden="true" />
        <b data-testid="wallet">{wallet?.joined ? chipsText(wallet.balance) : "…"}</b>
      </p>
      {isLow && (
        <Button tone="gold" testid="top-up" off={isPending("topUp")} onPress={() => void topUp()}>
          Top up to {shortChips(TOP_UP_TO)}
        </Button>
      )}
      <span class="lobby-tools">
        <IconButton icon="trophy" label="Leaderboard" testid="open-leaderboard" onPress={goToLeaderboard} />
        <IconButton icon="dice" label="Your seed" testid="open-seed" onPress={() => showDialog({ name: "seed" })} />
        <IconButton icon="help" label="Hand ranking" testid="open-help" onPress={() => showDialog({ name: "help" })} />
        <SoundButton />
      </span>
    </header>
  );
}

/** Where the player already sits: back to the seat. */
function MyTables(): JSX.Element | null {
  const seats = me.value?.seats.filter((seat) => seat.status === "seated") ?? [];
  if (seats.length === 0) return null;
  return (
    <section aria-labelledby="mine-title">
      <h2 id="mine-title">Your seats</h2>
      <ul class="my-seats">
        {seats.map((seat) => (
          <li key={seat.table}>
            <Button tone="green" testid={`return-${seat.table}`} onPress={() => goTo(seat.table)}>
              <Icon name="seat" /> Back to{" "}
              {lobby.value?.tables.find((of) => of.table === seat.table)?.title ?? "your table"}
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function TableList({ tables }: { tables: readonly LobbyTable[] }): JSX.Element {
  const boots = [...new Set(tables.map((of) => of.boot))];
  const chosen = useSignal<number | null>(null);
  const shown = chosen.value === null ? tables : tables.filter((of) => of.boot === chosen.value);
  return (
    <>
      <div class="boots" role="group" aria-label="Boot">
        {[null, ...boots].map((boot) => (
          <button
            key={boot}
            type="button"
            class="boot"
            aria-pressed={chosen.value === boot}
            onClick={() => (chosen.value = boot)}
          >
            {boot === null ? "All" : `Boot ${shortChips(boot)}`}
          </button>
        ))}
      </div>
      {tables.length === 0 && <p class="muted">No table is open. Open one of your own below.</p>}
      <ul class="tables">
        {shown.map((of) => (
          <li key={of.table} class="tile-place">
            <TableTile of={of} />
            <IconButton
              icon="eye"
              label={`Watch ${of.title}`}
              testid={`watch-${of.table}`}
              onPress={() => goToWatch(of.table)}
            />
          </li>
        ))}
      </ul>
    </>
  );
}

function TableTile({ of }: { of: LobbyTable }): JSX.Element {
  const isFull = of.taken >= of.seats;
  return (
    <button
      type="button"
      class="tile"
      data-testid={`table-${of.table}`}
      data-full={isFull || undefined}
      onClick={() => goTo(of.table)}
      aria-label={`${of.title}, boot ${of.boot}, ${of.taken} of ${of.seats} seats taken`}
    >
      <span class="tile-felt" aria-hidden="true">
        {Array.from({ length: of.seats }, (_, seat) => (
          <span
            key={seat}
            class="tile-seat"
            data-taken={seat < of.taken || undefined}
            style={{ "--turn": `${(seat / of.seats) * 360}deg`, "--back": `${(seat / of.seats) * -360}deg` }}
          />
        ))}
        <b>{shortChips(of.boot)}</b>
      </span>
      <span class="tile-text">
        <span class="tile-title">{of.title}</span>
        <span class="tile-line">{of.variation === "classic" ? "Classic" : VARIATIONS[of.variation].title}</span>
        <span class="tile-line">
          {shortChips(of.buyInMin)} – {shortChips(of.buyInMax)}
        </span>
        <span class="tile-line tile-taken">
          {of.taken}/{of.seats} {isFull ? "full, watch" : "seated"}
        </span>
      </span>
    </button>
  );
}

function Private(): JSX.Element {
  const code = useSignal("");
  const found = tableOfCode(code.value);
  const join = (): void => {
    if (found !== null) goTo(found);
    else toast("A code has eight letters and digits.", "problem");
  };
  return (
    <section class="private" aria-labelledby="private-title">
      <h2 id="private-title">
        <Icon name="lock" /> With friends
      </h2>
      <form
        class="code-form"
        onSubmit={(event) => {
          event.preventDefault();
          join();
        }}
      >
        <label class="field">
          <span>Code of a private table</span>
          <input
            type="text"
            value={code.value}
            maxLength={8}
            autocapitalize="characters"
            autocomplete="off"
            spellcheck={false}
            data-testid="code-input"
            onInput={(event) => (code.value = event.currentTarget.value.toUpperCase())}
          />
        </label>
        <Button tone="green" testid="code-join" off={found === null} onPress={join}>
          Go
        </Button>
      </form>
      <Button tone="plain" class="wide" testid="create-table" onPress={() => showDialog({ name: "createTable" })}>
        <Icon name="plus" /> Open a private table
      </Button>
    </section>
  );
}
