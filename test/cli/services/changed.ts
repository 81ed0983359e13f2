/**
 * The kitchen sink after changes that nobody should deploy: the till counts otherwise, an order's payment throws, and the
 * command that its timer waits to run is gone.
 */
import { defineEntity } from "../../../src/model/entity.ts";
import { parcel, entities as today } from "../../golden/kitchen-sink.ts";

export const till = defineEntity("till", {
  state: () => ({ cents: 0 }),
  events: {
    deposited: (state, event: { cents: number }) => {
      state.cents += event.cents + 1;
    },
  },
  commands: () => ({}),
});

export const order = defineEntity("order", {
  version: 4,
  state: (): { lines: number; reminders: number } => ({ lines: 0, reminders: 0 }),
  events: {
    placed: { version: 3, upcast: { 1: (old) => old, 2: (old) => old }, evolve: (state) => void state.lines++ },
    payment: () => {
      throw new Error("no such account");
    },
    reminded: (state) => void state.reminders++,
  },
  commands: (command) => ({ settled: command(() => {}) }),
});

/** Unchanged. */
export { parcel };

/** Not an entity: exports of other kinds are left out. */
export const count: number = today.length;
