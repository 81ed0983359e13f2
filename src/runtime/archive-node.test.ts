/** A node whose log is trimmed: what holds a trim up, and what is replayed through the archive, migrated, refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { MemoryObjects, openMemorySnapshots } from "../adapters/memory/snapshot-store.ts";
import { MemoryState, openMemoryStateStore } from "../adapters/memory/state-store.ts";
import { systemClock } from "../adapters/system/clock.ts";
import { systemRandom } from "../adapters/system/random.ts";
import { type AnyEntity, defineEntity } from "../model/entity.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { CallResult } from "../model/records.ts";
import type { Retention } from "../model/retention.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

interface Held {
  cents: number;
  currency?: string;
  payments?: number;
}

const upcast = {
  1: (old: { amount: number }) => ({ cents: old.amount * 100 }),
  2: (old: { cents: number }) => ({ ...old, currency: "INR" }),
};

/** The event `paid` as each generation of the code has it, and what a command emits. */
const generations = {
  1: {
    version: 1,
    paid: (state: Held, event: { amount: number }) => void (state.cents += event.amount * 100),
    payload: (amount: number) => ({ amount }),
  },
  2: {
    version: 1,
    paid: {
      version: 2,
      upcast: { 1: upcast[1] },
      evolve: (state: Held, event: { cents: number }) => void (state.cents += event.cents),
    },
    payload: (amount: number) => ({ cents: amount * 100 }),
  },
  3: {
    version: 1,
    paid: {
      version: 3,
      upcast,
      evolve: (state: Held, event: { cents: number; currency: string }) => {
        state.cents += event.cents;
        state.currency = event.currency;
        state.payments = (state.payments ?? 0) + 1;
      },
    },
    payload: (amount: number) => ({ cents: amount * 100, currency: "INR" }),
  },
} as const;

type Generation = keyof typeof generations;
interface Change {
  readonly version?: number;
  readonly migrate?: (state: unknown) => Held;
  /** Another name for the event: the code does not know the old one. */
  readonly event?: "paid" | "settled";
}

function walletOf(generation: Generation, { version = 1, migrate, event = "paid" }: Change = {}): AnyEntity {
  const { paid, payload } = generations[generation];
  return defineEntity("wallet", {
    version,
    state: (): Held => ({ cents: 0 }),
    events: { [event]: paid } as never,
    commands: (command) => ({
      pay: command(z.object({ amount: z.int() }), (_state, { amount }, ctx) => {
        (ctx.emit as (name: string, payload: unknown) => void)(event, payload(amount));
      }),
    }),
    queries: { state: (state) => ({ ...state }) },
    access: () => true,
    ...(migrate === undefined ? {} : { migrate }),
  }) as AnyEntity;
}

const principal = { kind: "user", id: "ann" } as const;
const wallets = Array.from({ length: 12 }, (_, index) => `w${index}`);
const shardCount = 2;

/** A service over several deployments: its log and its stores stay, a day passes between two of them. */
class Service {
  readonly store = createMemoryStore(shardCount);
  readonly objects = new MemoryObjects();
  readonly told: string[] = [];
  /** Where trimmed ranges go, if not to the objects. */
  archive: SnapshotStore | undefined;
  #days = 0;

  async run(
    wallet: AnyEntity,
    options: { retention?: Retention; replayMax?: number; checkpointMs?: number } = {},
    work: (node: HoldfastNode) => Promise<void> = async () => {},
  ): Promise<void> {
    this.#days++;
    const shiftMs = this.#days * 86_400_000;
    const clock = { ...systemClock, now: () => systemClock.now() + shiftMs };
    const { retention, replayMax = 250_000, checkpointMs = 300_000 } = options;
    await using node = await startNode({
      entities: [wallet],
      log: openMemoryLog({ store: this.store }),
      // Lost with the machine each time, so that the snapshots and the log have to do.
      state: openMemoryStateStore({ state: new MemoryState() }),
      snapshots: openMemorySnapshots({ objects: this.objects }),
      ...(this.archive === undefined ? {} : { archive: this.archive }),
      clock,
      random: systemRandom,
      shardCount,
      limits: { archiveRecordsMin: 1, archiveReplayRecordsMax: replayMax, checkpointMs },
      ...(retention === undefined ? {} : { retention }),
      onFault: (where) => this.told.push(where),
    });
    await work(node);
  }

  async pay(wallet: AnyEntity, retention?: Retention): Promise<void> {
    await this.run(wallet, retention === undefined ? {} : { retention }, async (node) => {
      for (const key of wallets) {
        const requestId = makeUuidV7(Date.now() + this.#days * 86_400_000, systemRandom.bytes(16));
        const call = { entity: { type: "wallet", key }, command: "pay", input: { amount: 1 }, requestId, principal };
        const result = await new Promise<CallResult>((resolve) => node.execute(call, resolve));
        assert.ok(result.ok, JSON.stringify(result));
      }
    });
  }

  get trimmed(): boolean {
    return this.store.shards.every(({ trimmed }) => trimmed > 1);
  }

  get records(): number {
    return this.store.shards.reduce((sum, { tail }) => sum + tail - 1, 0);
  }

  damageArchive(): void {
    for (const name of [...this.objects.objects.keys()]) if (name.startsWith("archive/")) this.objects.flip(name, 500);
  }
}

async function statesOf(node: HoldfastNode): Promise<Held[]> {
  return Promise.all(
    wallets.map(async (key) => {
      const call = { entity: { type: "wallet", key }, query: "state", input: undefined, principal };
      const result = await new Promise<CallResult>((resolve) => node.query(call, resolve));
      assert.ok(result.ok, JSON.stringify(result));
      return result.value as unknown as Held;
    }),
  );
}

/** Four days of the first generation, then two of the second; trimmed. */
async function trimmedService(retention?: Retention): Promise<Service> {
  const service = new Service();
  for (const generation of [1, 1, 1, 1, 2, 2] as const) await service.pay(walletOf(generation), retention);
  assert.ok(service.trimmed, "the log is trimmed");
  return service;
}

const none: Retention = { archive: "none" };
const refused = (error: unknown) => isHoldfastError(error) && error.code === "unknown-event";

test("the same code replays what came since the snapshot and nothing of the archive", async () => {
  const service = await trimmedService();
  await service.run(walletOf(2), {}, async (node) => {
    assert.ok(node.health().recovered <= 2 * wallets.length);
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600 });
  });
});

test("other code replays archived records of every version through its upcasts, without a gap at the seam", async () => {
  const service = await trimmedService();
  const { records } = service;
  await service.run(walletOf(3), {}, async (node) => {
    assert.equal(node.health().recovered, records, "all of them");
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600, currency: "INR", payments: 6 });
  });
  // What the archive gave is in the next snapshots: nothing is replayed again.
  await service.run(walletOf(3), {}, async (node) => {
    assert.ok(node.health().recovered <= shardCount);
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600, currency: "INR", payments: 6 });
  });
});

test("without an archive, states of the same version are taken as they are", async () => {
  const service = await trimmedService(none);
  await service.run(walletOf(3), { retention: none }, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual([state.cents, (state.payments ?? 0) < 6], [600, true]);
  });
});

const migrate = (state: unknown) => ({ ...(state as Held), currency: "migrated" });

test("a raised version goes through `migrate` where the archive is not whole, or too long", async () => {
  for (const [retention, replayMax] of [
    [none, 250_000],
    [{ archive: "all" }, 1],
  ] as const) {
    const service = await trimmedService(retention);
    await service.run(walletOf(2, { version: 2, migrate }), { retention, replayMax }, async (node) => {
      for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600, currency: "migrated" });
    });
  }
});

test("a raised version without `migrate` is replayed through the archive however long it is, and refused without one", async () => {
  const service = await trimmedService();
  await service.run(walletOf(3, { version: 2 }), { replayMax: 1 }, async (node) => {
    for (const state of await statesOf(node)) assert.equal(state.payments, 6);
  });
  const bare = await trimmedService(none);
  await assert.rejects(() => bare.run(walletOf(3, { version: 2 }), { retention: none }), refused);
  await bare.run(walletOf(2), { retention: none }, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600 }, "the code of before starts");
  });
});

test("code that does not know an archived event is refused, and nothing is skipped or changed", async () => {
  const service = await trimmedService();
  const { records } = service;
  const objects = new Map(service.objects.objects);
  await assert.rejects(() => service.run(walletOf(3, { event: "settled" })), refused);
  assert.equal(service.records, records, "not even claimed");
  assert.deepEqual([...service.objects.objects.keys()], [...objects.keys()]);
  await service.run(walletOf(2), {}, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600 });
  });
});

test("an archive that is damaged is told, and the kept states are used if they can be", async () => {
  const service = await trimmedService();
  service.damageArchive();
  await service.run(walletOf(2, { version: 2, migrate }), {}, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600, currency: "migrated" });
  });
  assert.ok(service.told.some((where) => /^the archive of shard/.test(where)));
  const other = await trimmedService();
  other.damageArchive();
  await assert.rejects(() => other.run(walletOf(3, { version: 2 })), refused);
});

test("a shard whose snapshots are all gone is recovered through the archive", async () => {
  const service = await trimmedService();
  for (const name of [...service.objects.objects.keys()])
    if (name.startsWith("shards/")) service.objects.objects.delete(name);
  await service.run(walletOf(2), {}, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600 });
  });
});

test("an archive that was deleted beyond its time is not whole: kept states are used", async () => {
  const retention: Retention = { archive: { keepMs: 86_400_000 } };
  const service = await trimmedService(retention);
  await service.run(walletOf(2, { version: 2, migrate }), { retention }, async (node) => {
    for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 600, currency: "migrated" });
  });
});

test("a snapshot that another process publishes while a start reads the log makes it start over, not fail", async () => {
  const service = await trimmedService();
  const log = openMemoryLog({ store: service.store });
  let first = true;
  const tail: typeof log.tail = async (shards) => {
    const positions = await log.tail(shards);
    if (first) {
      first = false;
      await service.pay(walletOf(2));
    }
    return positions;
  };
  const clock = { ...systemClock, now: () => systemClock.now() + 100 * 86_400_000 };
  await using node = await startNode({
    entities: [walletOf(2)],
    log: {
      tail,
      read: (from) => log.read(from),
      claim: (claims) => log.claim(claims),
      append: (appends) => log.append(appends),
      trim: (of, before) => log.trim(of, before),
      close: () => log.close(),
    },
    state: openMemoryStateStore({ state: new MemoryState() }),
    snapshots: openMemorySnapshots({ objects: service.objects }),
    clock,
    random: systemRandom,
    shardCount,
  });
  for (const state of await statesOf(node)) assert.deepEqual(state, { cents: 700 });
});

test("an archive that does not answer holds the trims up, is told, and has everything when it is back", async () => {
  const service = new Service();
  const archived = new MemoryObjects();
  let down = true;
  const before = () => {
    if (down) throw new HoldfastError("unavailable", "no answer");
  };
  service.archive = openMemorySnapshots({ objects: archived, hooks: { before } });
  for (let day = 0; day < 4; day++) await service.pay(walletOf(1));
  assert.ok(service.store.shards.every(({ trimmed }) => trimmed === 1));
  assert.equal(archived.objects.size, 0);
  assert.ok(service.told.some((where) => /^snapshot of shard/.test(where)));
  await service.run(walletOf(1), { checkpointMs: 50 }, async (node) => {
    const requestId = makeUuidV7(Date.now() + 5 * 86_400_000, systemRandom.bytes(16));
    const call = { entity: { type: "wallet", key: "w0" }, command: "pay", input: { amount: 1 }, requestId, principal };
    await new Promise<CallResult>((resolve) => node.execute(call, resolve));
    // health tells how much waits
    while (node.health().unarchived === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  });
  down = false;
  await service.pay(walletOf(1));
  assert.ok(service.trimmed);
  await service.run(walletOf(3), {}, async (node) => {
    for (const [index, state] of (await statesOf(node)).entries()) assert.equal(state.payments, index === 0 ? 6 : 5);
  });
});
