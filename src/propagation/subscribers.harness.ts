/**
 * A node with subscribers, and sinks in memory whose answers the test decides.
 *
 * Invariant: what a sink took is kept over restarts of the node, as what is downstream is.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { z } from "zod";
import { openSegmentLog } from "../adapters/segments/open.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { defineEntity } from "../model/entity.ts";
import { HoldfastError } from "../model/errors.ts";
import type { FeedItem } from "../model/feeds.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, Principal } from "../model/records.ts";
import type { SubscriberDeclaration, SubscriberStatus } from "../model/subscribers.ts";
import { idOf, type Sink, type SinkBatch, type SinkIdentity } from "../ports/sink.ts";
import { type HoldfastNode, startNode } from "../runtime/node.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type OpenFeeds, openFeeds } from "./feeds.ts";
import { Subscribers } from "./subscribers.ts";

const shardCount = 4;
export const operator: Principal = { kind: "operator", id: "olga" };

export const purse = defineEntity("purse", {
  state: () => ({ balance: 0 }),
  events: { paid: (state, event: { amount: number }) => void (state.balance += event.amount) },
  commands: (command) => ({
    pay: command(z.object({ amount: z.number() }), (_state, { amount }, context) => {
      context.emit("paid", { amount });
    }),
  }),
  views: { balance: (state) => ({ balance: state.balance }) },
  access: () => true,
});

/** What is downstream. */
export class Downstream {
  readonly batches: SinkBatch[] = [];
  readonly opened: SinkIdentity[] = [];
  /** Says no to a batch, or nothing. */
  refuse: (batch: SinkBatch) => HoldfastError | undefined = () => undefined;
  /** A sink that keeps the cursor with what it was given. */
  keeps = false;
  cursor: string | undefined;
  rewound = 0;
  open = 0;
  /** Neither a delivery nor the end of the sink ever comes back. */
  hangs = false;

  get items(): readonly FeedItem[] {
    return this.batches.flatMap(({ items }) => items);
  }

  get ids(): readonly string[] {
    return this.items.map(idOf);
  }

  readonly sink = (): Sink => ({
    open: async (identity) => {
      this.open++;
      this.opened.push(identity);
      return this.keeps ? this.cursor : undefined;
    },
    deliver: async (batch) => {
      if (this.hangs) await new Promise<never>(() => {});
      const no = this.refuse(batch);
      if (no !== undefined) throw no;
      this.batches.push(batch);
      this.cursor = batch.cursor;
    },
    rewind: async (cursor) => {
      this.rewound++;
      this.cursor = cursor;
    },
    close: async () => {
      this.open--;
      if (this.hangs) await new Promise<never>(() => {});
    },
  });
}

export class SubscribedNode {
  readonly directory = mkdtempSync(join(tmpdir(), "holdfast-subscribers-"));
  readonly downstream = new Downstream();
  declared: readonly SubscriberDeclaration[] = [];
  limits: Partial<Limits> = {};
  node!: HoldfastNode;
  feeds!: OpenFeeds;
  subscribers!: Subscribers;

  async start(): Promise<void> {
    this.node = await startNode({
      entities: [purse],
      log: await openSegmentLog({ directory: this.directory, shardCount }),
      clock: systemClock,
      random: systemRandom,
      shardCount,
      limits: this.limits,
    });
    this.feeds = openFeeds(this.node.source, { service: "shop" });
    this.subscribers = this.another("one");
    this.subscribers.start();
  }

  /** Subscribers of the same node once more, as another node would run them. */
  another(node: string): Subscribers {
    const { feeds, downstream, declared } = this;
    return new Subscribers({
      service: this.node,
      feeds,
      source: this.node.source,
      random: systemRandom,
      sinks: { memory: downstream.sink },
      declared,
      node,
    });
  }

  async stop(): Promise<void> {
    await this.subscribers.stop();
    this.feeds.close();
    await this.node.stop();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Amounts 1 .. count to purses in turn. */
  async pay(count: number): Promise<void> {
    const paid: Promise<CallResult>[] = [];
    for (let amount = 1; amount <= count; amount++) {
      const call = {
        entity: { type: "purse", key: `p${amount % 7}` },
        command: "pay",
        input: { amount },
        requestId: makeUuidV7(Date.now(), systemRandom.bytes(16)),
        principal: operator,
      };
      paid.push(new Promise((done) => this.node.execute(call, done)));
    }
    for (const result of await Promise.all(paid)) if (!result.ok) throw new Error(result.detail);
  }

  /** Every item of a feed from the beginning, by its id. */
  async logged(): Promise<readonly string[]> {
    const feed = await this.feeds.open({ form: "changes", start: "beginning", principal: operator });
    const ids: string[] = [];
    for (;;) {
      const { items, lag } = await feed.next({ itemsMax: 1_000 });
      ids.push(...items.map(idOf));
      if (lag.records === 0) break;
    }
    feed.close();
    return ids;
  }

  async until(what: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await what())) await new Promise<void>((resolve) => systemClock.after(2, resolve));
  }

  untilState(name: string, state: SubscriberStatus["state"]): Promise<void> {
    return this.until(() => this.subscribers.list().find((one) => one.name === name)?.state === state);
  }
}

export async function subscribedNode(
  t: TestContext,
  { declared = [], limits = {} }: { declared?: readonly SubscriberDeclaration[]; limits?: Partial<Limits> } = {},
): Promise<SubscribedNode> {
  const place = new SubscribedNode();
  Object.assign(place, { declared, limits });
  await place.start();
  t.after(async () => {
    await place.stop();
    rmSync(place.directory, { recursive: true, force: true });
  });
  return place;
}

export function no(code: "rejected" | "unavailable" | "fenced", text = "no"): HoldfastError {
  return new HoldfastError(code, text);
}
