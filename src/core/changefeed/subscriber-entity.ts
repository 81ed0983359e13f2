/**
 * A durable subscriber as an entity: what was asked for, where it stands, what is wrong with it.
 *
 * Each running of it begins with an epoch of its own, and what an older running says is refused: so one of them moves the
 * cursor, whatever nodes believe. A subscriber is moved, replayed and backed up with its shard like any other entity.
 *
 * Invariant: `cursor` moves only by the running of the last epoch since the last rewind, or by an operator. `epoch` and
 * `rewinds` only grow, over deletions too.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { defineOwnEntity, type SendOutcome } from "../../model/entity.ts";
import type { FeedStart } from "../../model/feeds.ts";
import { limitsDefault } from "../../model/limits.ts";
import type { Principal } from "../../model/records.ts";
import type {
  AsideRecord,
  SubscriberConfig,
  SubscriberOrders,
  SubscriberOwner,
  SubscriberTrouble,
} from "../../model/subscribers.ts";

export const subscriberType = "holdfast-subscriber";
export const directoryType = "holdfast-subscribers";
/** The directory's one key. */
export const directoryKey = "all";

/** Of the runner: it alone begins, commits, parks. */
export const runnerPrincipal: Principal = { kind: "system", id: "subscribers" };

/** The commands of people. */
const verbs: ReadonlySet<string> = new Set(["create", "pause", "resume", "rewind", "skip", "replay", "drop", "delete"]);

interface State {
  config: SubscriberConfig | null;
  createdMs: number;
  paused: boolean;
  trouble: SubscriberTrouble | null;
  cursor: string | null;
  /** Where the sink itself stood when the cursor was recorded. Absent in states of before there was one. */
  mark?: string | null;
  cursorMs: number;
  rewinds: number;
  settled: number;
  /** Of present states, which begin again after a skip: what the sink refuses of them is set aside. */
  asideOfStates?: boolean;
  epoch: number;
  node: string;
  items: number;
  batches: number;
  aside: AsideRecord[];
  /** Records that were ever set aside. */
  asides: number;
}

type By = SubscriberOwner;

/** Who runs it, and since which rewind its cursor counts. */
interface Run {
  readonly epoch: number;
  readonly rewinds: number;
}

export interface Commit extends Run {
  readonly cursor: string;
  /** Where the sink itself stands, if it keeps that. */
  readonly mark?: string;
  readonly cursorMs: number;
  /** Taken since the last one. */
  readonly items: number;
  readonly batches: number;
}

export interface SetAside extends Run {
  readonly cursor: string;
  readonly mark?: string;
  readonly cursorMs: number;
  readonly record: Omit<AsideRecord, "id" | "atMs" | "again">;
}

export interface Trouble extends Run {
  readonly trouble: Omit<SubscriberTrouble, "sinceMs">;
}

export interface Replayed extends Run {
  readonly id: number;
  /** Null: it was taken. */
  readonly refused: string | null;
}

/** What comes is made by this code, or was checked at the door (`readSubscriberAsk`). */
function taken<Input>(): StandardSchemaV1<unknown, Input> {
  const validate = (value: unknown) =>
    typeof value === "object" && value !== null
      ? { value: value as Input }
      : { issues: [{ message: "is not an object" }] };
  return { "~standard": { version: 1, vendor: "holdfast", validate } };
}

const by = ({ kind, id }: Principal): By => ({ kind, id });

/** A running that is not the last one moves nothing. */
function isPast(state: State, run: Run): boolean {
  return state.config === null || run.epoch !== state.epoch || run.rewinds !== state.rewinds;
}

export const subscriberEntity = defineOwnEntity(subscriberType, {
  state: (): State => ({
    config: null,
    createdMs: 0,
    paused: false,
    trouble: null,
    cursor: null,
    mark: null,
    cursorMs: 0,
    rewinds: 0,
    settled: 0,
    asideOfStates: false,
    epoch: 0,
    node: "",
    items: 0,
    batches: 0,
    aside: [],
    asides: 0,
  }),
  events: {
    created: (state, event: { config: SubscriberConfig; by: By; atMs: number }) => {
      const { epoch } = state;
      // What a sink knows of one that was deleted does not count for this one.
      if (epoch > 0) state.rewinds++;
      state.asideOfStates = false;
      Object.assign(state, { config: event.config, createdMs: event.atMs, paused: false, trouble: null });
      Object.assign(state, { cursor: null, mark: null, cursorMs: event.atMs, items: 0, batches: 0, aside: [] });
    },
    changed: (state, event: { config: SubscriberConfig; by: By }) => {
      state.config = event.config;
      // What it was parked for may be what was mended.
      if (state.trouble?.kind === "parked" && state.trouble.batch === null) state.trouble = null;
    },
    paused: (state, _event: { by: By }) => {
      state.paused = true;
    },
    resumed: (state, _event: { by: By }) => {
      state.paused = false;
      if (state.trouble?.kind === "parked") state.trouble = null;
    },
    rewound: (state, event: { start: FeedStart; by: By; atMs: number }) => {
      if (state.config !== null) state.config = { ...state.config, start: event.start };
      state.asideOfStates = false;
      Object.assign(state, { cursor: null, mark: null, cursorMs: event.atMs, trouble: null });
      state.rewinds++;
    },
    skipped: (state, event: { cursor: string; by: By }) => {
      state.asideOfStates = state.trouble?.batch?.ofStates === true;
      Object.assign(state, { cursor: event.cursor, mark: null, trouble: null });
      // A sink that keeps a cursor of its own has to be told.
      state.rewinds++;
    },
    deleted: (state, _event: { by: By }) => {
      Object.assign(state, { config: null, cursor: null, mark: null, trouble: null, paused: false, aside: [] });
    },
    /** There were too many. */
    refused: (state, _event: { reason: string }) => {
      state.config = null;
    },
    begun: (state, event: { node: string }) => {
      state.epoch++;
      state.node = event.node;
    },
    committed: (state, { cursor, cursorMs, items, batches, mark }: Omit<Commit, "epoch" | "rewinds">) => {
      Object.assign(state, {
        cursor,
        mark: mark ?? null,
        cursorMs,
        items: state.items + items,
        batches: state.batches + batches,
      });
      state.settled = state.rewinds;
    },
    troubled: (state, event: { trouble: SubscriberTrouble }) => {
      state.trouble = event.trouble;
    },
    "set-aside": (state, event: { record: AsideRecord; cursor: string; cursorMs: number; mark?: string }) => {
      // A feed that begins with the present states may meet one again.
      const { shard, offset, entity } = event.record;
      state.aside = state.aside.filter((one) => one.shard !== shard || one.offset !== offset || one.entity !== entity);
      state.aside.push(event.record);
      state.asides++;
      state.cursor = event.cursor;
      state.mark = event.mark ?? null;
      state.cursorMs = event.cursorMs;
    },
    /** To be delivered again. */
    recalled: (state, event: { ids: readonly number[]; by: By }) => {
      state.aside = state.aside.map((record) => (event.ids.includes(record.id) ? { ...record, again: true } : record));
    },
    dropped: (state, event: { ids: readonly number[]; by: By }) => {
      state.aside = state.aside.filter(({ id }) => !event.ids.includes(id));
    },
    replayed: (state, { id, refused }: { id: number; refused: string | null }) => {
      if (refused === null) state.aside = state.aside.filter((record) => record.id !== id);
      else
        state.aside = state.aside.map((record) =>
          record.id === id ? { ...record, again: false, detail: refused } : record,
        );
    },
  },
  commands: (command) => ({
    create: command(taken<{ config: SubscriberConfig }>(), (state, { config }, ctx) => {
      if (state.config !== null) return ctx.reject("exists");
      ctx.emit("created", { config, by: by(ctx.principal), atMs: ctx.now });
      ctx.send({ type: directoryType, key: directoryKey }, "add", { name: ctx.key }, { reply: "listed" });
      return undefined;
    }),
    /** Of code: as it says, whatever there was; where it stands stays. */
    declare: command(taken<{ config: SubscriberConfig }>(), (state, { config }, ctx) => {
      const present = state.config;
      if (present === null) {
        ctx.emit("created", { config, by: by(ctx.principal), atMs: ctx.now });
        ctx.send({ type: directoryType, key: directoryKey }, "add", { name: ctx.key }, { reply: "listed" });
      } else {
        // Where it began is over; a rewind may have changed it since.
        const next = { ...config, start: present.start };
        if (!isSame(next, present)) ctx.emit("changed", { config: next, by: by(ctx.principal) });
      }
    }),
    listed: command(taken<SendOutcome>(), (state, outcome, ctx) => {
      if (!outcome.ok && state.config !== null) ctx.emit("refused", { reason: outcome.reason });
    }),
    pause: command((state, _input, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      if (!state.paused) ctx.emit("paused", { by: by(ctx.principal) });
      return undefined;
    }),
    resume: command((state, _input, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      if (state.trouble?.kind === "failed") return ctx.reject("rewind-needed");
      if (state.paused || state.trouble !== null) ctx.emit("resumed", { by: by(ctx.principal) });
      return undefined;
    }),
    rewind: command(taken<{ start: FeedStart }>(), (state, { start }, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      ctx.emit("rewound", { start, by: by(ctx.principal), atMs: ctx.now });
      return undefined;
    }),
    skip: command((state, _input, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      const batch = state.trouble?.batch ?? null;
      if (batch === null) return ctx.reject("nothing-to-skip");
      ctx.emit("skipped", { cursor: batch.cursor, by: by(ctx.principal) });
      return undefined;
    }),
    replay: command(taken<{ ids: readonly number[] | null }>(), (state, { ids }, ctx) => {
      const chosen = state.aside.filter(({ id }) => ids === null || ids.includes(id)).map(({ id }) => id);
      if (chosen.length === 0) return ctx.reject("not-found");
      ctx.emit("recalled", { ids: chosen, by: by(ctx.principal) });
      return undefined;
    }),
    drop: command(taken<{ ids: readonly number[] | null }>(), (state, { ids }, ctx) => {
      const chosen = state.aside.filter(({ id }) => ids === null || ids.includes(id)).map(({ id }) => id);
      if (chosen.length === 0) return ctx.reject("not-found");
      ctx.emit("dropped", { ids: chosen, by: by(ctx.principal) });
      return undefined;
    }),
    delete: command((state, _input, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      ctx.emit("deleted", { by: by(ctx.principal) });
      ctx.send({ type: directoryType, key: directoryKey }, "remove", { name: ctx.key });
      return undefined;
    }),

    begin: command(taken<{ node: string }>(), (state, { node }, ctx) => {
      if (state.config === null) return ctx.reject("not-found");
      ctx.emit("begun", { node });
      return (next: State) => ordersOf(next);
    }),
    commit: command(taken<Commit>(), (state, { epoch, rewinds, ...moved }, ctx) => {
      if (isPast(state, { epoch, rewinds })) return ctx.reject("past");
      ctx.emit("committed", moved);
      return undefined;
    }),
    trouble: command(taken<Trouble>(), (state, { trouble, ...run }, ctx) => {
      if (isPast(state, run)) return ctx.reject("past");
      ctx.emit("troubled", { trouble: { ...trouble, sinceMs: ctx.now } });
      return undefined;
    }),
    "begin-again": command(taken<Run>(), (state, run, ctx) => {
      if (isPast(state, run)) return ctx.reject("past");
      ctx.emit("rewound", { start: "beginning", by: by(ctx.principal), atMs: ctx.now });
      return undefined;
    }),
    "set-aside": command(taken<SetAside>(), (state, { record, cursor, cursorMs, mark, ...run }, ctx) => {
      if (isPast(state, run)) return ctx.reject("past");
      if (state.aside.length >= limitsDefault.subscriberAsideMax) return ctx.reject("aside-full");
      const kept = { ...record, id: state.asides + 1, atMs: ctx.now, again: false };
      ctx.emit("set-aside", { record: kept, cursor, cursorMs, ...(mark === undefined ? {} : { mark }) });
      return undefined;
    }),
    replayed: command(taken<Replayed>(), (state, { id, refused, ...run }, ctx) => {
      if (isPast(state, run)) return ctx.reject("past");
      ctx.emit("replayed", { id, refused });
      return undefined;
    }),
  }),
  queries: { aside: (state) => state.aside },
  views: { orders: (state) => ordersOf(state) },
  access: (principal, verb) =>
    principal.kind === "system" ||
    (principal.kind === "operator" && (verb.kind === "command" || verb.kind === "create") && verbs.has(verb.name)),
});

function ordersOf(state: State): SubscriberOrders {
  const { aside, asides: _, mark = null, asideOfStates = false, ...rest } = state;
  return { ...rest, mark, asideOfStates, aside: aside.length, again: aside.filter(({ again }) => again) };
}

/** Plain data that was made by the same code: members stand in the same order. */
function isSame(one: SubscriberConfig, other: SubscriberConfig): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

export const directoryEntity = defineOwnEntity(directoryType, {
  state: () => ({ names: [] as string[] }),
  events: {
    added: (state, event: { name: string }) => {
      state.names.push(event.name);
    },
    removed: (state, event: { name: string }) => {
      state.names = state.names.filter((name) => name !== event.name);
    },
  },
  commands: (command) => ({
    add: command(taken<{ name: string }>(), (state, { name }, ctx) => {
      if (state.names.includes(name)) return undefined;
      if (state.names.length >= limitsDefault.subscribersMax) return ctx.reject("too-many-subscribers");
      ctx.emit("added", { name });
      return undefined;
    }),
    remove: command(taken<{ name: string }>(), (state, { name }, ctx) => {
      if (state.names.includes(name)) ctx.emit("removed", { name });
    }),
  }),
  views: { names: (state) => state.names },
  access: (principal, verb) =>
    principal.kind === "system" ||
    (principal.kind === "entity" && principal.id.startsWith(`${subscriberType}/`) && verb.kind !== "view"),
});
