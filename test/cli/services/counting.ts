/** A service as `holdfast start` takes it: entities, and options that say who is who. */
import { defineEntity } from "../../../src/model/entity.ts";
import { HoldfastError } from "../../../src/model/errors.ts";
import type { Principal } from "../../../src/model/records.ts";

const principals: Readonly<Record<string, Principal>> = {
  olga: { kind: "operator", id: "olga" },
  ann: { kind: "user", id: "ann" },
};

export const counting = defineEntity("counting", {
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      return (next) => next.count;
    }),
  }),
  access: () => true,
});

export const options = async () => ({
  authenticate: async (token: string | undefined) => {
    const principal = principals[token ?? ""];
    if (principal === undefined) throw new HoldfastError("unauthenticated", "no");
    return { principal };
  },
});
