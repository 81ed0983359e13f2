/**
 * The page: which screen, which dialog, the banner of a lost connection, toasts, and what a screen reader is told.
 *
 * Invariant: losing the connection changes nothing on screen but the banner; the seat is kept and play goes on when it
 * is back.
 */
import type { JSX } from "preact";
import { EntryScreen, ProfileDialog } from "./entry/profile-form.tsx";
import { LeaderboardScreen } from "./leaderboard/leaderboard-screen.tsx";
import { CreateTableDialog } from "./lobby/create-table.tsx";
import { LobbyScreen } from "./lobby/lobby-screen.tsx";
import { announcement } from "./motion/choreography.ts";
import { connection, isAway, profile, screen, table, tableId, toasts } from "./state/app.ts";
import { HelpDialog } from "./table/help-dialog.tsx";
import { HistoryDialog } from "./table/history-dialog.tsx";
import { ReviewDialog } from "./table/review-dialog.tsx";
import { AddChipsDialog, BuyInDialog, LeaveDialog, SeedDialog } from "./table/seat-dialogs.tsx";
import { TableScreen } from "./table/table-screen.tsx";
import { ChatDialog, Drawings, MenuDialog, PersonDialog, TipDialog } from "./table/talk-dialogs.tsx";
import { openDialog } from "./ui/dialog.tsx";
import { WatchScreen } from "./watch/watch-screen.tsx";

export function App(): JSX.Element {
  return (
    <div class="app">
      <ConnectionBanner />
      <Shown />
      {screen.value === "play" && <OpenDialog />}
      <Toasts />
      <p class="sr-only" role="status" aria-live="polite" data-testid="announcer">
        {announcement.value}
      </p>
      <Drawings />
    </div>
  );
}

/** Looking on needs no name; playing does. */
function Shown(): JSX.Element {
  if (screen.value === "leaderboard") return <LeaderboardScreen />;
  if (screen.value === "watch") return <WatchScreen />;
  if (profile.value === null) return <EntryScreen />;
  return tableId.value === null ? <LobbyScreen /> : <TableScreen />;
}

function ConnectionBanner(): JSX.Element {
  const state = connection.value;
  const isDown = screen.value === "play" && profile.value !== null && isAway.value;
  return (
    <div class="banner" role="status" data-testid="banner" data-shown={isDown || undefined}>
      {isDown && (
        <>
          <span class="spinner" aria-hidden="true" />
          {state === "closed" ? "Signed out. Load the page again." : "Reconnecting… your seat is kept"}
        </>
      )}
    </div>
  );
}

function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <p key={toast.id} class="toast" data-kind={toast.kind} data-testid="toast">
          {toast.text}
        </p>
      ))}
    </div>
  );
}

function OpenDialog(): JSX.Element | null {
  const dialog = openDialog.value;
  const view = table.value;
  if (dialog === null) return null;
  if (dialog.name === "profile") return <ProfileDialog key="profile" />;
  if (dialog.name === "createTable") return <CreateTableDialog key="createTable" />;
  if (dialog.name === "help") return <HelpDialog key="help" view={view} />;
  if (dialog.name === "seed") return <SeedDialog key="seed" view={view} />;
  if (view === null) return null;
  switch (dialog.name) {
    case "buyIn":
      return <BuyInDialog key="buyIn" view={view} seat={dialog.seat} />;
    case "addChips":
      return <AddChipsDialog key="addChips" view={view} />;
    case "leave":
      return <LeaveDialog key="leave" view={view} />;
    case "chat":
      return <ChatDialog key="chat" view={view} />;
    case "person":
      return <PersonDialog key="person" view={view} seat={dialog.seat} />;
    case "tip":
      return <TipDialog key="tip" view={view} />;
    case "menu":
      return <MenuDialog key="menu" view={view} />;
    case "history":
      return <HistoryDialog key="history" view={view} />;
    case "review":
      return <ReviewDialog key={`review-${dialog.handNumber}`} view={view} handNumber={dialog.handNumber} />;
    default:
      return dialog satisfies never;
  }
}
