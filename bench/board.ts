/** A board with the points of 50 lines, about 2 KB: what is followed by `feed-patterns.ts`. */
import { defineEntity } from "holdfast";
import { z } from "zod";

const lines = Array.from({ length: 50 }, (_, line) => ({ name: `Player number ${line}`, points: 0 }));

export const board = defineEntity("board", {
  state: () => ({ title: "Board", lines: structuredClone(lines) }),
  events: {
    scored: (state, event: { line: number; points: number }) => {
      const line = state.lines[event.line];
      if (line !== undefined) line.points += event.points;
    },
  },
  commands: (command) => ({
    score: command(z.object({ line: z.int().min(0).max(49), points: z.int() }), (_state, input, context) => {
      context.emit("scored", input);
    }),
  }),
  views: {
    top: (state) => ({ top: state.lines.toSorted((left, right) => right.points - left.points).slice(0, 3) }),
  },
  access: () => true,
});
