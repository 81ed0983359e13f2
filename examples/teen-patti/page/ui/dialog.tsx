/**
 * Dialogs over the page, on the browser's own `<dialog>`: it keeps the focus inside, closes on Escape and gives the focus
 * back.
 *
 * Invariant: at most one is open (`openDialog`), and going to another place closes it.
 */
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { IconButton } from "./button.tsx";

type Plain = "profile" | "help" | "history" | "chat" | "menu" | "seed" | "tip" | "addChips" | "createTable" | "leave";

export type DialogName =
  | { [Name in Plain]: { name: Name } }[Plain]
  | { name: "buyIn"; seat: number | null }
  | { name: "review"; handNumber: number }
  | { name: "person"; seat: number };

export const openDialog = signal<DialogName | null>(null);

export function showDialog(dialog: DialogName): void {
  openDialog.value = dialog;
}

export function closeDialog(): void {
  openDialog.value = null;
}

export function Dialog({
  title,
  children,
  testid,
  wide = false,
}: {
  title: string;
  children: ComponentChildren;
  testid: string;
  wide?: boolean;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = dialog.current;
    if (shown !== null && !shown.open) shown.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="dialog"
      data-wide={wide || undefined}
      aria-label={title}
      data-testid={testid}
      onCancel={(event) => {
        event.preventDefault();
        closeDialog();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) closeDialog();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2>{title}</h2>
          <IconButton icon="close" label="Close" onPress={closeDialog} testid="close-dialog" />
        </header>
        {children}
      </div>
    </dialog>
  );
}
