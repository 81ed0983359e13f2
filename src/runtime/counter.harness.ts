/** An entity that counts, for tests that need no more than that something is recorded. */
import { defineEntity } from "../model/entity.ts";

export const counter = defineEntity("counter", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, context) => {
      context.emit("counted", {});
      return (next) => next.count;
    }),
  }),
  access: () => true,
});
