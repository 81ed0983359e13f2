/**
 * Runs the events of a world one after the other: until something is so, for a time, until everything has come to rest.
 *
 * Invariant: between two events everything that follows from the first has happened; a run that goes in circles ends.
 */
import { settle } from "../adapters/virtual/drive.ts";
import type { World } from "./world.ts";

export interface Rest {
  /** Nothing is under way. */
  readonly isQuiet: () => boolean;
  /** What is, for the violation. */
  readonly open: () => string;
  readonly withinMs: number;
}

export class Pace {
  readonly #world: World;
  readonly #eventsMax: number;
  #events = 0;

  /** @param eventsMax a run that makes more events than this goes round in circles */
  constructor(world: World, eventsMax: number) {
    this.#world = world;
    this.#eventsMax = eventsMax;
  }

  /** Runs events until `enough`. @returns false if there is nothing more to run, or the run goes in circles */
  async until(enough: () => boolean): Promise<boolean> {
    const { timeline } = this.#world;
    await settle();
    while (!enough()) {
      if (this.#world.violations.length > 0 || this.#events++ > this.#eventsMax) return false;
      if (!timeline.runNext()) return false;
      await settle();
    }
    return true;
  }

  async pass(ms: number): Promise<void> {
    let passed = false;
    this.#world.timeline.after(ms, () => {
      passed = true;
    });
    await this.until(() => passed);
  }

  /** Lets everything that is under way come to its end. @returns whether it has */
  async rest(when: string, { isQuiet, open, withinMs }: Rest): Promise<boolean> {
    const world = this.#world;
    const deadlineMs = world.timeline.nowMs + withinMs;
    let resting = false;
    await this.until(() => {
      resting = isQuiet();
      return resting || world.timeline.nowMs > deadlineMs;
    });
    if (!resting && world.violations.length === 0) {
      const why = this.#events > this.#eventsMax ? "too many events" : `${withinMs} ms`;
      world.violated("everything comes to rest", `${when}, after ${why} still open: ${open()}`);
    }
    return resting && world.violations.length === 0;
  }
}

/** Runs it; what breaks meanwhile where nobody waits is a violation. */
export async function guarded(world: World, run: () => Promise<void>): Promise<void> {
  const broken = (error: unknown) => {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    world.violated("every promise is kept by somebody", detail);
  };
  process.on("unhandledRejection", broken);
  process.on("uncaughtException", broken);
  try {
    await run();
  } finally {
    process.off("unhandledRejection", broken);
    process.off("uncaughtException", broken);
  }
}
