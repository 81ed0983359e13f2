/**
 * An entity whose code changes between restarts, in generations as an author would deploy them:
 *
 *   0  version 1: event `grew` version 1
 *   1  version 1: `grew` version 2 with an upcast; the state means what it meant, so kept states hold
 *   2  version 2: the state has `tallest` more, which a kept state cannot know: `migrate` says null
 *   3  version 3: the state is of another shape, and there is an event that older code does not know
 *
 * Invariant: `saplingStates` says what each generation may show, without any of the entities' code.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type AnyEntity, defineEntity } from "../model/entity.ts";
import type { EventBody, Principal } from "../model/records.ts";

export const newestGeneration = 3;

interface Grow {
  readonly by: number;
}

const grow: StandardSchemaV1<unknown, Grow> = {
  "~standard": {
    version: 1,
    vendor: "holdfast-sim",
    validate: (value) =>
      typeof (value as Grow | null)?.by === "number" ? { value: value as Grow } : { issues: [{ message: "no" }] },
  },
};

const access = (principal: Principal) => ["user", "entity", "system"].includes(principal.kind);

const seed = defineEntity("sapling", {
  state: () => ({ height: 0, days: 0 }),
  events: {
    grew: (state, event: { by: number }) => {
      state.height += event.by;
      state.days++;
    },
  },
  commands: (command) => ({
    grow: command(grow, (_state, { by }, ctx) => {
      ctx.emit("grew", { by });
      return (next) => ({ days: next.days });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access,
});

interface Grew {
  by: number;
  kind: string;
}

const upcast = { 1: (old: { by: number }): Grew => ({ by: old.by, kind: "plain" }) };

const sprout = defineEntity("sapling", {
  state: () => ({ height: 0, days: 0 }),
  events: {
    grew: {
      version: 2,
      upcast,
      evolve: (state, event: Grew) => {
        if (event.kind !== "plain") throw new Error("an event that was not upcast");
        state.height += event.by;
        state.days += 1;
      },
    },
  },
  commands: (command) => ({
    grow: command(grow, (_state, { by }, ctx) => {
      ctx.emit("grew", { by, kind: "plain" });
      return (next) => ({ days: next.days });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access,
});

interface Young {
  height: number;
  days: number;
  tallest: number | null;
}

const young = defineEntity("sapling", {
  version: 2,
  migrate: (old: { height: number; days: number }): Young => ({ ...old, tallest: null }),
  state: (): Young => ({ height: 0, days: 0, tallest: 0 }),
  events: {
    grew: {
      version: 2,
      upcast,
      evolve: (state, event: Grew) => {
        state.height += event.by;
        state.days += 1;
        if (state.tallest !== null) state.tallest = Math.max(state.tallest, event.by);
      },
    },
  },
  commands: (command) => ({
    grow: command(grow, (_state, { by }, ctx) => {
      ctx.emit("grew", { by, kind: "plain" });
      return (next) => ({ days: next.days });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access,
});

interface Tree {
  size: { height: number; days: number };
  tallest: number | null;
  watered: number;
}

const tree = defineEntity("sapling", {
  version: 3,
  migrate: ({ height, days, tallest }: Omit<Young, "tallest"> & { tallest?: number | null }): Tree => ({
    size: { height, days },
    tallest: tallest ?? null,
    watered: 0,
  }),
  state: (): Tree => ({ size: { height: 0, days: 0 }, tallest: 0, watered: 0 }),
  events: {
    grew: {
      version: 2,
      upcast,
      evolve: (state, event: Grew) => {
        state.size.height += event.by;
        state.size.days += 1;
        if (state.tallest !== null && event.by > state.tallest) state.tallest = event.by;
      },
    },
    watered: (state) => {
      state.watered++;
    },
  },
  commands: (command) => ({
    grow: command(grow, (_state, { by }, ctx) => {
      ctx.emit("grew", { by, kind: "plain" });
      if (by % 3 === 0) ctx.emit("watered", {});
      return (next) => ({ days: next.size.days });
    }),
  }),
  queries: { state: (state) => ({ ...state }) },
  access,
});

const generations = [seed, sprout, young, tree] as const;

export function saplingOf(generation: number): AnyEntity {
  return generations[generation] as AnyEntity;
}

/** The generation that is needed to evolve this. */
export function neededFor({ name, version }: EventBody): number {
  return name === "watered" ? 3 : version > 1 ? 1 : 0;
}

/** What a sapling is by its whole log. */
export interface SaplingFacts {
  readonly height: number;
  readonly days: number;
  readonly tallest: number;
  readonly watered: number;
}

/** JSON of the states that a generation may show: evolved afresh, and if the log is trimmed the migrated one. */
export function saplingStates(generation: number, facts: SaplingFacts, trimmed: boolean): string[] {
  const { height, days, watered } = facts;
  if (generation < 2) return [JSON.stringify({ height, days })];
  return (trimmed ? [facts.tallest, null] : [facts.tallest]).map((tallest) =>
    JSON.stringify(generation === 2 ? { height, days, tallest } : { size: { height, days }, tallest, watered }),
  );
}
