/** The benchmark's entity that many look at: a board of twenty scores, the same for everybody. A point is one event. */
import { defineEntity } from "holdfast";
import { z } from "zod";

export const arena = defineEntity("arena", {
  state: () => ({
    round: 0,
    players: Array.from({ length: 20 }, (_, seat) => ({ seat, name: `Player number ${seat}`, score: 0, streak: 0 })),
  }),
  events: {
    scored: (state, event: { seat: number; points: number }) => {
      state.round++;
      const player = state.players[event.seat];
      if (player !== undefined) player.score += event.points;
    },
  },
  commands: (command) => ({
    score: command(z.object({ seat: z.int().min(0).max(19), points: z.int() }), (_state, input, ctx) => {
      ctx.emit("scored", input);
    }),
  }),
  views: { board: (state) => ({ round: state.round, players: state.players }) },
  access: () => true,
});
