/**
 * Looks for planted bugs: runs seeds from 1 on (or from where it says) until one fails, each bug in its own worker process.
 *
 * Invariant: the seeds are those that the code without the bug passes.
 */
import { runCampaign } from "../campaign.ts";
import type { SeedReport } from "../worker.ts";
import { bugs } from "./bugs.ts";
import type { PlantedBug } from "./planted-bug.ts";

export interface PlantedResult {
  readonly name: string;
  readonly what: string;
  /** Seeds run until it was found, that one included. */
  readonly seeds: number;
  readonly elapsedMs: number;
  readonly found: SeedReport | undefined;
}

export interface HuntOptions {
  /** Names; empty for all. */
  readonly only: readonly string[];
  /** Bugs hunted at once. */
  readonly workers: number;
  readonly seedsMax: number;
}

/** @throws Error a name that no planted bug has */
export async function huntPlanted(
  options: HuntOptions,
  tell: (result: PlantedResult) => void = () => {},
): Promise<readonly PlantedResult[]> {
  const wanted = bugs.filter(({ name }) => options.only.length === 0 || options.only.includes(name));
  const unknown = options.only.find((name) => !bugs.some((bug) => bug.name === name));
  if (unknown !== undefined) throw new Error(`there is no planted bug "${unknown}"`);
  const results: PlantedResult[] = [];
  let next = 0;
  const hunt = async () => {
    for (let bug = wanted[next++]; bug !== undefined; bug = wanted[next++]) {
      const result = await huntOne(bug, options.seedsMax);
      results.push(result);
      tell(result);
    }
  };
  await Promise.all(Array.from({ length: options.workers }, hunt));
  return results;
}

async function huntOne(bug: PlantedBug, seedsMax: number): Promise<PlantedResult> {
  const { name, what, engine, from = 1 } = bug;
  const result = await runCampaign({ from, seeds: seedsMax, engine, workers: 1, untilFound: true, planted: name });
  const [found] = result.failures;
  return { name, what, seeds: result.seeds, elapsedMs: result.elapsedMs, found };
}
