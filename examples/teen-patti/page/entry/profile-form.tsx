/** Name and emblem: the entry page, and the same form in a dialog. Invariant: nothing is stored before the name is one the server takes. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { AVATARS, NAME_CHARS_MAX } from "../../src/contract.ts";
import { changeProfile, enter, profile } from "../state/app.ts";
import { newUserId } from "../state/storage.ts";
import { flutter } from "../state/time.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Button } from "../ui/button.tsx";
import { closeDialog, Dialog } from "../ui/dialog.tsx";
import { CardFace } from "../ui/playing-card.tsx";

export function EntryScreen(): JSX.Element {
  return (
    <main class="entry" data-testid="entry">
      <div class="entry-art" aria-hidden="true">
        {[25, 38, 51].map((card, at) => (
          <span key={card} class="entry-card" data-at={at}>
            <CardFace card={card} />
          </span>
        ))}
      </div>
      <h1 class="wordmark">
        Teen Patti
        <small>Three cards, one pot, a straight face</small>
      </h1>
      <ProfileForm word="Enter" onDone={(name, avatar) => enter({ userId: newUserId(), name, avatar })} />
      <p class="fine-print">Play money only. Nothing to buy, nothing to win but the pot.</p>
    </main>
  );
}

export function ProfileDialog(): JSX.Element {
  return (
    <Dialog title="Name and emblem" testid="profile-dialog">
      <ProfileForm
        word="Save"
        onDone={(name, avatar) => {
          changeProfile(name, avatar);
          closeDialog();
        }}
      />
    </Dialog>
  );
}

type Done = (name: string, avatar: (typeof AVATARS)[number]) => void;

function ProfileForm({ word, onDone }: { word: string; onDone: Done }): JSX.Element {
  const name = useSignal(profile.peek()?.name ?? "");
  const avatar = useSignal(profile.peek()?.avatar ?? AVATARS[Math.floor(flutter() * AVATARS.length)] ?? AVATARS[0]);
  const trimmed = name.value.trim();
  const done = (): void => {
    if (trimmed !== "") onDone(trimmed, avatar.value);
  };
  return (
    <form
      class="profile-form"
      onSubmit={(event) => {
        event.preventDefault();
        done();
      }}
    >
      <label class="field">
        <span>Your name</span>
        <input
          type="text"
          name="name"
          autocomplete="nickname"
          maxLength={NAME_CHARS_MAX}
          value={name.value}
          data-testid="name-input"
          onInput={(event) => (name.value = event.currentTarget.value)}
        />
      </label>
      <fieldset class="emblems">
        <legend>Your emblem</legend>
        {AVATARS.map((emblem) => (
          <label key={emblem} class="emblem" title={emblem}>
            <input
              type="radio"
              name="emblem"
              value={emblem}
              checked={avatar.value === emblem}
              aria-label={emblem}
              onChange={() => (avatar.value = emblem)}
            />
            <Avatar emblem={emblem} of={emblem} />
          </label>
        ))}
      </fieldset>
      <Button tone="gold" class="wide" off={trimmed === ""} testid="enter" onPress={done}>
        {word}
      </Button>
    </form>
  );
}
