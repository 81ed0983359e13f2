/**
 * The leaderboard: what each player won at the public tables, folded from the hands that were settled.
 *
 * Invariant: each document is a sum over hands, so it does not depend on the order in which tables finish them. Private tables do
 * not count: friends could hand each other chips there all day.
 */
import { defineProjection } from "holdfast";
import { type KeptName, NO_AVATAR, type Standing } from "./contract.ts";
import { player } from "./player.ts";
import { table } from "./table.ts";

export const leaderboard = defineProjection("leaderboard", {
  from: [table, player],
  document: (): Standing<KeptName> => ({
    name: "",
    avatar: NO_AVATAR,
    chips: 0,
    hands: 0,
    handsWon: 0,
    biggestPot: 0,
    atMs: 0,
  }),
  key: (change) => {
    if (change.event !== "handSettled") return change.key;
    return change.payload.isPrivate ? undefined : change.payload.results.map((result) => result.player);
  },
  on: {
    table: {
      handSettled: (standing, { results, pot, atMs }, { documentKey }) => {
        const result = results.find((of) => of.player === documentKey);
        if (result === undefined) return;
        standing.chips += result.won - result.paid;
        standing.hands += 1;
        if (result.won > 0) {
          standing.handsWon += 1;
          standing.biggestPot = Math.max(standing.biggestPot, pot);
        }
        if (atMs < standing.atMs) return;
        Object.assign(standing, { name: result.name, avatar: result.avatar, atMs });
      },
    },
    player: { "@erased": () => null },
  },
  orderBy: {
    chips: ({ chips }) => chips,
    handsWon: ({ handsWon }) => handsWon,
    biggestPot: ({ biggestPot }) => biggestPot,
  },
  access: (_principal, verb) => verb.kind === "list",
});
