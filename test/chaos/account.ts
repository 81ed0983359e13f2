/**
 * An account whose whole history can be compared with what its clients were told.
 *
 * Invariant: `ids` has one item per carried-out `add`, in order, and the reply names the place of its own; so a lost
 * command is an id that is missing, a doubled one stands twice, and a reply that was never durable names a wrong place.
 */
import { z } from "zod";
import { defineEntity } from "../../src/model/entity.ts";

const id = z.string().regex(/^[a-z0-9.-]{1,40}$/);

export type AccountState = { ids: string[]; given: string[]; taken: string[] };

export const account = defineEntity("account", {
  state: (): AccountState => ({ ids: [], given: [], taken: [] }),
  events: {
    added: (state, event: { id: string }) => {
      state.ids.push(event.id);
    },
    gave: (state, event: { id: string }) => {
      state.given.push(event.id);
    },
    took: (state, event: { id: string }) => {
      state.taken.push(event.id);
    },
  },
  commands: (command) => ({
    add: command(z.object({ id }), (state, input, ctx) => {
      ctx.emit("added", input);
      const at = state.ids.length;
      return () => ({ at });
    }),
    give: command(z.object({ id, to: z.string() }), (state, input, ctx) => {
      ctx.emit("gave", { id: input.id });
      ctx.send({ type: "account", key: input.to }, "take", { id: input.id });
      const at = state.given.length;
      return () => ({ at });
    }),
    take: command(z.object({ id }), (_state, input, ctx) => {
      ctx.emit("took", input);
    }),
  }),
  queries: { history: (state) => state },
  access: (principal, verb) => principal.kind === "user" || (principal.kind === "entity" && verb.name === "take"),
});
