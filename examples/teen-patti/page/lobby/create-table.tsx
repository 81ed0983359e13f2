/** Opens a private table. Invariant: every choice offered is one the server accepts. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { SEATS_MAX, SEATS_MIN } from "../../src/rules/config.ts";
import { isVariationName, VARIATION_NAMES, VARIATIONS } from "../../src/rules/variations.ts";
import { attempt, goTo, isPending, theServer, toast } from "../state/app.ts";
import { chipsText } from "../state/words.ts";
import { Button } from "../ui/button.tsx";
import { closeDialog, Dialog } from "../ui/dialog.tsx";

const BOOTS = [10, 50, 100, 500, 1000] as const;
const SEAT_COUNTS = Array.from({ length: SEATS_MAX - SEATS_MIN + 1 }, (_, at) => SEATS_MIN + at);

export function CreateTableDialog(): JSX.Element {
  const boot = useSignal<number>(10);
  const seats = useSignal(5);
  const variation = useSignal<(typeof VARIATION_NAMES)[number]>("classic");
  const create = async (): Promise<void> => {
    // no name in it: a title is nobody's personal data, and stays when its owner is erased
    const title = "Private table";
    const reply = await attempt("createTable", () =>
      theServer().createTable({ boot: boot.value, seats: seats.value, variation: variation.value, title }),
    );
    if (reply === undefined) return;
    closeDialog();
    toast(`Give this code to your friends: ${reply.code}`);
    goTo(reply.table);
  };
  return (
    <Dialog title="Open a private table" testid="create-dialog">
      <Choices legend="Boot" name="boot" values={BOOTS} value={boot.value} onChange={(value) => (boot.value = value)} />
      <Choices
        legend="Seats"
        name="seats"
        values={SEAT_COUNTS}
        value={seats.value}
        onChange={(value) => (seats.value = value)}
      />
      <label class="field">
        <span>Variation</span>
        <select
          value={variation.value}
          data-testid="variation"
          onChange={(event) => {
            const name = event.currentTarget.value;
            if (isVariationName(name)) variation.value = name;
          }}
        >
          {VARIATION_NAMES.map((name) => (
            <option key={name} value={name}>
              {VARIATIONS[name].title}
            </option>
          ))}
        </select>
        <small>{VARIATIONS[variation.value].summary}</small>
      </label>
      <Button
        tone="gold"
        class="wide"
        testid="create-confirm"
        off={isPending("createTable")}
        onPress={() => void create()}
      >
        Open the table
      </Button>
    </Dialog>
  );
}

type ChoicesProps = {
  legend: string;
  name: string;
  values: readonly number[];
  value: number;
  onChange: (value: number) => void;
};

function Choices({ legend, name, values, value, onChange }: ChoicesProps): JSX.Element {
  return (
    <fieldset class="choices">
      <legend>{legend}</legend>
      {values.map((of) => (
        <label key={of} class="choice">
          <input type="radio" name={name} value={of} checked={of === value} onChange={() => onChange(of)} />
          <span>{chipsText(of)}</span>
        </label>
      ))}
    </fieldset>
  );
}
