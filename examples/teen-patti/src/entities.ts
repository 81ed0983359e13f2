/**
 * The entities of the service. The page uses the type only: `connect<Entities>(...)`.
 */
import { leaderboard } from "./leaderboard.ts";
import { lobby } from "./lobby.ts";
import { player } from "./player.ts";
import { table } from "./table.ts";

export const entities = [player, table, lobby] as const;

export const projections = [leaderboard] as const;

export type Entities = { player: typeof player; table: typeof table; lobby: typeof lobby };
