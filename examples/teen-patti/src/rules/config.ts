/**
 * The configuration of a table: every number of the game, its default and its bounds.
 *
 * Invariant: a `TableConfig` made by `tableConfig` lets every hand end. The stake can start (boot fits under the chaal
 * limit), the boots alone never reach the pot limit, and every bet adds at least one boot to the pot, so a hand has at
 * most `potLimit / boot + seats` turns.
 */
import type { AceTwoThree } from "./ranking.ts";
import { isVariationName, type VariationName } from "./variations.ts";

export const SEATS_MIN = 2;
export const SEATS_MAX = 6;
/** Keeps every product and sum of chips a safe integer. */
export const BOOT_MAX = 1_000_000_000;

export type TableConfig = {
  seats: number;
  /** Chips each dealt-in seat pays before the deal; also the first stake. */
  boot: number;
  /** Blind bets after which a seat is seen whether it looked or not. */
  maxBlindTurns: number;
  /** Largest chaal, in chips; a blind bet may reach half of it. */
  chaalLimit: number;
  /** Pot, in chips, at which all remaining hands are revealed. */
  potLimit: number;
  turnMs: number;
  /** Silent extra time after `turnMs`, for slow networks; the seat packs when it has passed too. */
  turnGraceMs: number;
  sideShowMs: number;
  betweenHandsMs: number;
  /** How long a seat waits for a player who lost the connection. */
  seatHeldMs: number;
  /** From the end of a hand until its server seed is published. */
  seedRevealMs: number;
  /** False: the traditional rule that a seen player cannot call a show against a blind one. */
  seenMayShowBlind: boolean;
  a23: AceTwoThree;
  variation: VariationName;
};

const DEFAULT_BOOT = 10;
const CHAAL_LIMIT_BOOTS = 128;
const POT_LIMIT_BOOTS = 1024;
const DURATION_MS_MAX = 7 * 24 * 60 * 60 * 1000;

/** The defaults of a table with this boot. */
export function defaultConfig(boot: number = DEFAULT_BOOT): TableConfig {
  return {
    seats: 5,
    boot,
    maxBlindTurns: 4,
    chaalLimit: CHAAL_LIMIT_BOOTS * boot,
    potLimit: POT_LIMIT_BOOTS * boot,
    turnMs: 15_000,
    turnGraceMs: 5_000,
    sideShowMs: 8_000,
    betweenHandsMs: 5_000,
    seatHeldMs: 60_000,
    seedRevealMs: 24 * 60 * 60 * 1000,
    seenMayShowBlind: true,
    a23: "second",
    variation: "classic",
  };
}

/**
 * Fills in the defaults and checks the whole.
 * @returns the configuration, or every problem found, each as "field: what it must be".
 */
export function tableConfig(given: Partial<TableConfig> = {}): { config: TableConfig } | { problems: string[] } {
  const config: TableConfig = { ...defaultConfig(given.boot), ...given };
  const problems = configProblems(config);
  return problems.length === 0 ? { config } : { problems };
}

/** What is wrong with a configuration; empty when it is valid. */
export function configProblems(config: TableConfig): string[] {
  const problems: string[] = [];
  const integer = (field: keyof TableConfig, bounds: { min: number; max: number }): void => {
    const value = config[field];
    const ok = typeof value === "number" && Number.isSafeInteger(value) && value >= bounds.min && value <= bounds.max;
    if (!ok) problems.push(`${field}: an integer from ${bounds.min} to ${bounds.max}`);
  };
  integer("seats", { min: SEATS_MIN, max: SEATS_MAX });
  integer("boot", { min: 1, max: BOOT_MAX });
  integer("maxBlindTurns", { min: 1, max: 100 });
  integer("chaalLimit", { min: 2 * config.boot, max: 1_000 * BOOT_MAX });
  integer("potLimit", { min: config.seats * config.boot + 1, max: 10_000 * BOOT_MAX });
  for (const field of ["turnMs", "sideShowMs"] as const) integer(field, { min: 100, max: DURATION_MS_MAX });
  for (const field of ["turnGraceMs", "betweenHandsMs", "seatHeldMs", "seedRevealMs"] as const) {
    integer(field, { min: 0, max: DURATION_MS_MAX });
  }
  if (typeof config.seenMayShowBlind !== "boolean") problems.push("seenMayShowBlind: true or false");
  if (!["second", "top", "low"].includes(config.a23)) problems.push("a23: second, top or low");
  if (!isVariationName(config.variation)) problems.push("variation: one of the known variations");
  return problems;
}
