/**
 * The entity of the test that cuts a process inside the loss window: relaxed `count`, durable `seal`.
 *
 * Invariant: `ids` has one item per carried-out command, in order; so one that was lost is missing, a doubled one stands
 * twice.
 */
import { z } from "zod";
import { defineEntity } from "../../src/model/entity.ts";

export const windowMs = 1_000;

const input = z.object({ id: z.string().max(40) });

export const meter = defineEntity("meter", {
  state: () => ({ ids: [] as string[] }),
  events: {
    counted: (state, event: { id: string }) => {
      state.ids.push(event.id);
    },
  },
  commands: (command) => ({
    count: command(
      input,
      (state, { id }, ctx) => {
        ctx.emit("counted", { id });
        const at = state.ids.length;
        return () => ({ at });
      },
      { durability: { relaxed: { windowMs } } },
    ),
    seal: command(input, (state, { id }, ctx) => {
      ctx.emit("counted", { id });
      const at = state.ids.length;
      return () => ({ at });
    }),
  }),
  queries: { ids: (state) => [...state.ids] },
  access: () => true,
});
