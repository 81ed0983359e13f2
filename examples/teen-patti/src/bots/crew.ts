/**
 * A crew of bots: so many for each table, with names, styles and chance that follow from one seed.
 *
 * Invariant: the same seed and tables give the same bots, under the same users, so a restarted crew takes its seats again.
 */
import { BOT_STYLES } from "../rules/bots.ts";
import type { Clock } from "../system.ts";
import { Bot, type BotSetup, type Speed } from "./bot.ts";
import { seededChance } from "./chance.ts";
import type { Door } from "./door.ts";

export interface CrewOptions {
  readonly tables: readonly string[];
  readonly botsPerTable: number;
  /** Seats left to people. */
  readonly leaveFree: number;
  readonly speed: Speed;
  readonly seed: number;
  readonly clock: Clock;
  readonly openDoor: (user: string) => Door;
  /** Begins the users' names; letters, digits, dashes. */
  readonly prefix?: string;
  readonly buyInShare?: number;
  readonly onAnswer?: BotSetup["onAnswer"];
}

const NAMES = [
  "Aarav",
  "Diya",
  "Kabir",
  "Meera",
  "Rohan",
  "Anaya",
  "Vikram",
  "Isha",
  "Arjun",
  "Tara",
  "Dev",
  "Leela",
  "Farhan",
  "Nisha",
  "Jai",
  "Pooja",
  "Imran",
  "Kavya",
  "Neel",
  "Rani",
  "Om",
  "Sana",
  "Yash",
  "Zoya",
] as const;

export function startCrew(options: CrewOptions): { bots: Bot[]; stop(): Promise<void> } {
  const { tables, botsPerTable } = options;
  const bots = tables.flatMap((table, at) =>
    Array.from({ length: botsPerTable }, (_, place) => makeBot(options, table, at * botsPerTable + place)),
  );
  for (const bot of bots) bot.start();
  return {
    bots,
    async stop() {
      await Promise.all(bots.map((bot) => bot.stop()));
    },
  };
}

function makeBot(options: CrewOptions, table: string, number: number): Bot {
  const { speed, seed, clock, leaveFree, buyInShare = 0.2, onAnswer } = options;
  const user = `${options.prefix ?? "bot"}-${number + 1}`;
  return new Bot({
    user,
    name: NAMES[number % NAMES.length] ?? "Bot",
    table,
    speed,
    clock,
    door: options.openDoor(user),
    chance: seededChance(seed * 7919 + number),
    options: { style: BOT_STYLES[number % BOT_STYLES.length] ?? "random", leaveFree, buyInShare },
    ...(onAnswer === undefined ? {} : { onAnswer }),
  });
}
