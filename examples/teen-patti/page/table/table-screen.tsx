/**
 * The table screen: head line, stage, controls.
 *
 * Invariant: it takes exactly the height of the window and never scrolls; dialogs do.
 */
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { codeOfTable, type TableView } from "../../src/contract.ts";
import { attempt, goTo, table, theServer } from "../state/app.ts";
import { muted, wakeSound } from "../state/sound.ts";
import { chipsText } from "../state/words.ts";
import { IconButton } from "../ui/button.tsx";
import { closeDialog, showDialog } from "../ui/dialog.tsx";
import { onTableKey } from "./actions.ts";
import { Controls } from "./controls.tsx";
import { Stage } from "./stage.tsx";

export function TableScreen(): JSX.Element {
  useEffect(() => {
    document.addEventListener("keydown", onTableKey);
    return () => {
      document.removeEventListener("keydown", onTableKey);
      closeDialog();
    };
  }, []);
  const view = table.value;
  if (view === null) return <Empty title="Walking to the table…" />;
  if (view.settings === null) return <Empty title="No such table, or it is just being laid." back />;
  return (
    <div class="table-screen" data-testid="table-screen" data-table={view.table}>
      <Head view={view} />
      <Stage view={view} />
      <Controls view={view} />
    </div>
  );
}

function Empty({ title, back = false }: { title: string; back?: boolean }): JSX.Element {
  return (
    <main class="empty-screen">
      <h1>{title}</h1>
      {back && (
        <button type="button" class="button" data-tone="gold" onClick={() => goTo(null)}>
          Back to the lobby
        </button>
      )}
    </main>
  );
}

function Head({ view }: { view: TableView }): JSX.Element {
  const code = codeOfTable(view.table);
  return (
    <header class="table-head">
      <IconButton icon="back" label="Leave the table" testid="leave-table" onPress={() => leave(view)} />
      <div class="table-title">
        <h1>{view.settings?.title}</h1>
        <p>
          {code !== null && (
            <span>
              Code <b data-testid="table-code">{code}</b> ·{" "}
            </span>
          )}
          Boot {chipsText(view.settings?.config.boot ?? 0)}
        </p>
      </div>
      <nav class="table-tools" aria-label="Table">
        <IconButton
          icon="history"
          label="Hands played"
          testid="open-history"
          onPress={() => showDialog({ name: "history" })}
        />
        <IconButton icon="help" label="Hand ranking" testid="open-help" onPress={() => showDialog({ name: "help" })} />
        {view.you !== null && (
          <IconButton icon="chat" label="Chat" testid="open-chat" onPress={() => showDialog({ name: "chat" })} />
        )}
        <SoundButton />
        <IconButton icon="menu" label="More" testid="open-menu" onPress={() => showDialog({ name: "menu" })} />
      </nav>
    </header>
  );
}

export function SoundButton(): JSX.Element {
  return (
    <IconButton
      icon={muted.value ? "muted" : "sound"}
      label="Mute"
      pressed={muted.value}
      testid="mute"
      onPress={() => {
        muted.value = !muted.value;
        wakeSound();
      }}
    />
  );
}

/** Watching: away at once. Seated: asks first when a hand would be packed by it. */
function leave(view: TableView): void {
  if (view.you === null) return goTo(null);
  showDialog({ name: "leave" });
}

export async function leaveTable(view: TableView): Promise<void> {
  const reply = await attempt("leave", () => theServer().leave(view.table));
  if (reply === undefined) return;
  closeDialog();
  goTo(null);
}
