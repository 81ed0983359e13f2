/** A real node with projections, for tests: its log on a real disk, what is saved in objects that tests may keep, lose and damage. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { z } from "zod";
import { MemoryKeys, openMemoryKeys } from "../adapters/keys/memory.ts";
import { MemoryObjects, type MemorySnapshotHooks, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import { defineProjection, type ProjectionDefinition } from "../model/projection.ts";
import type { ProjectionStatus } from "../model/projection-status.ts";
import { projectionVersionOf } from "../model/projection-version.ts";
import type { CallResult, Principal } from "../model/records.ts";
import { personal, type Sealed } from "../model/sealed.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { decodeProjection } from "../wire/projection.ts";
import type { Feed, Feeds } from "./feed.ts";
import { type OpenFeeds, openFeeds } from "./feeds.ts";
import { Projections } from "./projections.ts";

const shardCount = 4;
const system: Principal = { kind: "system", id: "test" };

const purse = defineEntity("purse", {
  personal: true,
  state: () => ({ balance: 0 }),
  events: {
    paid: (state, event: { amount: number }) => void (state.balance += event.amount),
    named: (_state, _event: { name: Sealed<string> }) => {},
  },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
    }),
    name: command(z.object({ name: z.string().transform((name) => personal(name)) }), (_state, { name }, context) => {
      context.emit("named", { name });
    }),
  }),
  access: () => true,
});

export type Total = { paid: number; times: number; name: Sealed<string> | null };
export const fold = {
  from: [purse],
  document: (): Total => ({ paid: 0, times: 0, name: null }),
  on: {
    purse: {
      paid: (document: Total, { amount }: { amount: number }) => {
        if (amount < 0) throw new Error("less than nothing");
        document.paid += amount;
        document.times += 1;
      },
      named: (document: Total, { name }: { name: Sealed<string> }) => {
        document.name = name;
      },
    },
  },
  orderBy: { paid: ({ paid }: Total) => paid, times: ({ times }: Total) => times },
  access: (principal: Principal) => principal.kind === "user",
} as const;
export const totals = defineProjection("totals", fold);
/** The same changes, another text. */
export const doubled = defineProjection("totals", {
  ...fold,
  version: 2,
  on: {
    purse: {
      paid: (document, { amount }) => {
        document.paid += amount * 2;
        document.times += 1;
      },
    },
  },
});

export class Place {
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast-projections-"));
  objects = new MemoryObjects();
  readonly keys = new MemoryKeys();
  readonly reports: string[] = [];
  node!: HoldfastNode;
  feeds!: OpenFeeds;
  projections!: Projections;
  hooks: MemorySnapshotHooks = {};
  limits: Partial<Limits> = { projectionLingerMs: 1 };
  /** Changes feeds, if a test is to come between. */
  through: (feeds: Feeds) => Feeds = (feeds) => feeds;

  async startNode(): Promise<void> {
    this.node = await startNode({
      entities: [purse],
      log: await openSegmentLog({ directory: this.directory, shardCount }),
      keys: await openMemoryKeys({ store: this.keys, random: systemRandom }),
      clock: systemClock,
      random: systemRandom,
      shardCount,
      limits: this.limits,
    });
    this.feeds = openFeeds(this.node.source);
  }

  /** Projections like those of a process: what an earlier one had in memory is gone. */
  open(...definitions: ProjectionDefinition[]): Projections {
    const { source } = this.node;
    this.projections = new Projections(definitions, {
      feeds: this.through(this.feeds),
      store: openMemorySnapshots({ objects: this.objects, hooks: this.hooks }),
      clock: systemClock,
      limits: this.node.limits,
      door: source.openDoor(new Map(definitions.map((definition) => [definition.name, definition]))),
      run: () => this.node.run,
      report: (where, error) =>
        this.reports.push(`${where}: ${error instanceof Error ? error.message : String(error)}`),
    });
    this.projections.start();
    return this.projections;
  }

  send(key: string, command: string, input: unknown): Promise<CallResult> {
    const requestId = makeUuidV7(Date.now(), systemRandom.bytes(16));
    const call = { entity: { type: "purse", key }, command, input, requestId, principal: system };
    return new Promise((done) => this.node.execute(call, done));
  }

  async pay(key: string, ...amounts: number[]): Promise<void> {
    for (const amount of amounts) assert.ok((await this.send(key, "pay", { amount })).ok);
  }

  get saved(): string[] {
    return [...this.objects.objects.keys()];
  }

  /** Until the projection's status is as wanted. */
  async until(wanted: (status: ProjectionStatus) => boolean, name = "totals"): Promise<ProjectionStatus> {
    for (let tries = 0; ; tries++) {
      const status = this.projections.status().find((of) => of.name === name);
      if (status !== undefined && wanted(status)) return status;
      assert.ok(tries < 2_000, JSON.stringify(this.projections.status()));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

export async function openPlace(context: TestContext): Promise<Place> {
  const place = new Place();
  context.after(async () => {
    await place.projections?.close();
    place.feeds.close();
    await place.node.stop();
    rmSync(place.directory, { recursive: true, force: true });
  });
  await place.startNode();
  return place;
}

export const serving = ({ phase }: ProjectionStatus) => phase === "serving";
export const folded = (changes: number) => (status: ProjectionStatus) => serving(status) && status.changes >= changes;
export const codeOf = (work: () => unknown): string => {
  try {
    work();
    return "none";
  } catch (error) {
    return isHoldfastError(error) ? error.code : String(error);
  }
};

/** Feeds that give so many batches, and no more until they may. */
export function held(batches = 0): { readonly through: (feeds: Feeds) => Feeds; release: () => void } {
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const through = (feeds: Feeds): Feeds => ({
    service: feeds.service,
    open: async (ask) => {
      const feed = await feeds.open(ask);
      return {
        get cursor() {
          return feed.cursor;
        },
        next: async (limits) => {
          if (batches-- <= 0) await gate;
          return await feed.next(limits);
        },
        forget: (entity) => feed.forget(entity),
        close: () => feed.close(),
      } satisfies Feed;
    },
  });
  return { through, release };
}

export function savedHead(place: Place, definition: ProjectionDefinition) {
  const name = place.saved.find((of) => of.endsWith(projectionVersionOf(definition))) ?? "";
  return decodeProjection(place.objects.objects.get(name)?.bytes ?? new Uint8Array(), name);
}
