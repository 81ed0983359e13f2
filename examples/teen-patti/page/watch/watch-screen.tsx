/**
 * A table for those who only look on: what everybody may see, and what it costs to send only what changes.
 *
 * Invariant: takes exactly the height of the window; nothing here can change the game.
 */
import type { JSX } from "preact";
import { goTo, table, tableId, traffic } from "../state/app.ts";
import type { Traffic } from "../state/public-server.ts";
import { chipsText } from "../state/words.ts";
import { Stage } from "../table/stage.tsx";
import { Button, IconButton } from "../ui/button.tsx";

export function WatchScreen(): JSX.Element {
  const view = table.value;
  const isThere = view !== null && view.settings !== null && view.open;
  if (view === null || !isThere) {
    return (
      <main class="empty-screen">
        <h1>{view === null ? "Walking to the table…" : "No such table."}</h1>
        {view !== null && (
          <Button tone="gold" onPress={() => goTo(null)}>
            To the lobby
          </Button>
        )}
      </main>
    );
  }
  return (
    <div class="table-screen watch" data-testid="watch-screen" data-table={view.table}>
      <header class="table-head">
        <IconButton icon="back" label="To the lobby" testid="leave-watch" onPress={() => goTo(null)} />
        <div class="table-title">
          <h1>{view.settings?.title}</h1>
          <p>Watching · Boot {chipsText(view.settings?.config.boot ?? 0)}</p>
        </div>
        {!view.hidden && (
          <Button tone="green" testid="watch-to-table" onPress={() => goTo(tableId.value)}>
            To the table
          </Button>
        )}
      </header>
      <Stage view={view} />
      {traffic.value !== null && <Cost of={traffic.value} />}
    </div>
  );
}

function Cost({ of }: { of: Traffic }): JSX.Element {
  const { updates, received, whole } = of;
  const share = whole === 0 ? 100 : (received / whole) * 100;
  return (
    <footer class="cost" data-testid="cost" data-received={received} data-whole={whole} data-updates={updates}>
      <p>
        <b>{bytesText(received)}</b> for {updates} {updates === 1 ? "view" : "views"} of the table
        <span class="cost-whole"> · whole each time {bytesText(whole)}</span>
      </p>
      <span class="cost-bar" style={{ "--share": `${Math.min(100, share).toFixed(1)}%` }} aria-hidden="true">
        <span />
      </span>
      <strong data-testid="saved">{Math.max(0, 100 - share).toFixed(0)} % saved</strong>
    </footer>
  );
}

function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return bytes < 1_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}
