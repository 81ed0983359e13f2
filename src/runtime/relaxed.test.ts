/**
 * Relaxed commands on a clock that the test moves, over a log whose appends take as long as the test says: when they are
 * answered, when they are durable, and what a crash takes back.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { createMemoryStore, openMemoryLog } from "../adapters/memory/log.ts";
import { VirtualClock } from "../adapters/virtual/clock.ts";
import { passUntil, settle } from "../adapters/virtual/drive.ts";
import { Timeline } from "../adapters/virtual/timeline.ts";
import { defineEntity } from "../model/entity.ts";
import type { CallResult, WatchNews } from "../model/records.ts";
import type { ShardLog } from "../ports/log.ts";
import { Prng } from "../std/prng.ts";
import { makeUuidV7 } from "../std/uuid.ts";
import { type HoldfastNode, startNode } from "./node.ts";

const windowMs = 100;
const toward: StandardSchemaV1<unknown, { readonly to: string }> = {
  "~standard": { version: 1, vendor: "test", validate: (value) => ({ value: value as { to: string } }) },
};

const meter = defineEntity("meter", {
  durability: { relaxed: { windowMs } },
  state: () => ({ count: 0 }),
  events: {
    counted: (state) => {
      state.count++;
    },
  },
  commands: (command) => ({
    count: command((_state, _input, ctx) => {
      ctx.emit("counted", {});
      return (next) => next.count;
    }),
    refuse: command((_state, _input, ctx) => ctx.reject("never")),
    surely: command(
      (_state, _input, ctx) => {
        ctx.emit("counted", {});
        return (next) => next.count;
      },
      { durability: "durable" },
    ),
    pass: command(toward, (_state, { to }, ctx) => {
      ctx.emit("counted", {});
      ctx.send({ type: "meter", key: to }, "count", null);
    }),
  }),
  queries: { count: (state) => state.count },
  views: { count: (state) => state.count },
  access: () => true,
});

const principal = { kind: "user", id: "u" } as const;

class Bench {
  readonly timeline = new Timeline();
  readonly #prng = new Prng(7);
  readonly #store = createMemoryStore(1);
  clock = new VirtualClock({ timeline: this.timeline });
  node!: HoldfastNode;
  appends = 0;
  appendMs = 1;
  #life = 0;

  /** A new process: what the one before had in flight is not written. */
  async restart(): Promise<void> {
    this.clock.stop();
    this.clock = new VirtualClock({ timeline: this.timeline });
    const life = ++this.#life;
    const { clock } = this;
    const memory = openMemoryLog({ store: this.#store });
    const log: ShardLog = {
      tail: (shards) => memory.tail(shards),
      claim: (claims) => memory.claim(claims),
      append: async (appends) => {
        this.appends++;
        await new Promise<void>((resolve) => clock.after(this.appendMs, resolve));
        return life === this.#life ? memory.append(appends) : new Promise(() => {});
      },
      read: (from) => memory.read(from),
      trim: (shard, before) => memory.trim(shard, before),
      close: () => memory.close(),
    };
    const random = { bytes: (count: number) => this.#prng.bytes(count) };
    this.node = await startNode({ entities: [meter], log, clock, random, shardCount: 1 });
  }

  requestId(): string {
    return makeUuidV7(this.clock.now(), this.#prng.bytes(16));
  }

  /** What `result` becomes is the answer, when there is one. */
  ask(command: string, input?: unknown, requestId = this.requestId()): { result: CallResult | undefined } {
    const asked: { result: CallResult | undefined } = { result: undefined };
    const entity = { type: "meter", key: "m" };
    this.node.execute({ entity, command, input, requestId, principal }, (result) => {
      asked.result = result;
    });
    return asked;
  }

  look(): { result: CallResult | undefined } {
    const asked: { result: CallResult | undefined } = { result: undefined };
    const entity = { type: "meter", key: "m" };
    this.node.query({ entity, query: "count", input: undefined, principal }, (result) => {
      asked.result = result;
    });
    return asked;
  }

  /** What a new process finds. */
  async found(): Promise<unknown> {
    await this.restart();
    const asked = this.look();
    await this.pass(5);
    return asked.result?.ok === true ? asked.result.value : asked.result;
  }

  async pass(ms: number): Promise<void> {
    await passUntil(this.timeline, this.timeline.nowMs + ms);
    await settle();
  }
}

async function start(): Promise<Bench> {
  const bench = new Bench();
  await bench.restart();
  return bench;
}

function isEarly({ result }: { result: CallResult | undefined }): boolean {
  return result?.durable === false;
}

describe("a relaxed command", () => {
  test("is answered before the log was asked, and says so", async () => {
    const bench = await start();
    const { result } = bench.ask("count");
    assert.equal(result, undefined, "never from inside its own call");
    const asked = bench.ask("count");
    await bench.pass(0);
    assert.deepEqual(asked.result, { ok: true, value: 2, version: 3, durable: false });
    assert.equal(bench.appends, 0);
  });

  test("is durable within its window, with all that came meanwhile in one append", async () => {
    const bench = await start();
    for (let count = 0; count < 30; count++) {
      bench.ask("count");
      await bench.pass(1);
    }
    await bench.pass(windowMs - 30);
    assert.equal(bench.appends, 1);
    assert.equal(await bench.found(), 30);
  });

  test("is lost by a crash inside its window, and its request id is then carried out again", async () => {
    const bench = await start();
    const id = bench.requestId();
    const first = bench.ask("count", null, id);
    await bench.pass(10);
    assert.ok(isEarly(first));
    assert.equal(await bench.found(), 0);
    const again = bench.ask("count", null, id);
    await bench.pass(windowMs);
    assert.deepEqual(again.result?.ok && again.result.value, 1);
    assert.equal(await bench.found(), 1);
  });

  test("that is repeated gets the same answer, early and late, and has one effect", async () => {
    const bench = await start();
    const id = bench.requestId();
    const answers = [bench.ask("count", null, id), bench.ask("count", null, id)];
    await bench.pass(0);
    assert.deepEqual(answers[0]?.result, { ok: true, value: 1, version: 2, created: true, durable: false });
    assert.deepEqual(answers[1]?.result, { ok: true, value: 1, version: 2, durable: false });
    await bench.pass(windowMs);
    const later = bench.ask("count", null, id);
    await bench.pass(0);
    assert.deepEqual(later.result, { ok: true, value: 1, version: 2 });
    assert.equal(await bench.found(), 1);
  });

  test("that is rejected says so early too", async () => {
    const bench = await start();
    const asked = bench.ask("refuse");
    await bench.pass(0);
    assert.equal(asked.result?.ok, false);
    assert.ok(isEarly(asked));
  });
});

describe("everything else waits for the log, and does not wait longer for a relaxed command before it", () => {
  test("a durable command", async () => {
    const bench = await start();
    bench.ask("count");
    const durable = bench.ask("surely");
    await bench.pass(0.5);
    assert.equal(durable.result, undefined);
    await bench.pass(1);
    assert.deepEqual(durable.result, { ok: true, value: 2, version: 3 });
    assert.equal(await bench.found(), 2);
  });

  test("a query", async () => {
    const bench = await start();
    bench.ask("count");
    const query = bench.look();
    await bench.pass(0.5);
    assert.equal(query.result, undefined);
    await bench.pass(1);
    assert.deepEqual(query.result, { ok: true, value: 1, version: 2 });
  });

  test("a send", async () => {
    const bench = await start();
    const asked = bench.ask("pass", { to: "m" });
    await bench.pass(0.5);
    assert.ok(isEarly(asked));
    assert.equal(bench.appends, 1);
    await bench.pass(10);
    assert.equal(await bench.found(), 2);
  });

  test("a watcher sees a change when it is durable", async () => {
    const bench = await start();
    const seen: WatchNews[] = [];
    bench.node.watch({ entity: { type: "meter", key: "m" }, view: "count", principal }, (news) => seen.push(news));
    bench.ask("count");
    await bench.pass(10);
    assert.deepEqual(
      seen.map((news) => news.ok && news.value),
      [0],
    );
    await bench.pass(windowMs);
    assert.deepEqual(
      seen.map((news) => news.ok && news.value),
      [0, 1],
    );
  });

  test("a stop", async () => {
    const bench = await start();
    bench.ask("count");
    await bench.pass(0);
    const stopped = bench.node.stop();
    await bench.pass(2);
    await stopped;
    assert.equal(await bench.found(), 1);
  });
});

describe("when the log is slow", () => {
  test("no answer leaves early while an append takes more than its share of the window", async () => {
    const bench = await start();
    bench.appendMs = windowMs;
    bench.ask("surely");
    await bench.pass(10);
    const soon = bench.ask("count");
    await bench.pass(20);
    const late = bench.ask("count");
    await bench.pass(10);
    assert.deepEqual([isEarly(soon), isEarly(late)], [true, false]);
    assert.equal(late.result, undefined);
    await bench.pass(2 * windowMs);
    assert.deepEqual(late.result, { ok: true, value: 3, version: 4 });
  });

  test("early answers come back when the log is fast again", async () => {
    const bench = await start();
    bench.appendMs = windowMs;
    bench.ask("surely");
    await bench.pass(windowMs + 1);
    bench.appendMs = 1;
    let asked = bench.ask("count");
    await bench.pass(5);
    assert.ok(!isEarly(asked));
    for (let turn = 0; turn < 60 && !isEarly(asked); turn++) {
      asked = bench.ask("count");
      await bench.pass(5);
    }
    assert.ok(isEarly(asked));
  });

  test("what a crash takes back was answered within one window, however long the log did not answer", async () => {
    const bench = await start();
    bench.ask("surely");
    await bench.pass(5);
    bench.appendMs = 1_000_000;
    const early: number[] = [];
    for (let ms = 0; ms < 10 * windowMs; ms++) {
      const asked = bench.ask("count");
      await bench.pass(1);
      if (isEarly(asked)) early.push(ms);
    }
    assert.ok(early.length > 0);
    assert.ok((early.at(-1) as number) - (early[0] as number) < windowMs);
    assert.equal(await bench.found(), 1);
  });
});

test("callers who ask again at once do not keep the log from its turn", async () => {
  const bench = await start();
  let answers = 0;
  const again = (): void => {
    const entity = { type: "meter", key: "m" };
    const call = { entity, command: "count", input: null, requestId: bench.requestId(), principal };
    bench.node.execute(call, (result) => {
      assert.ok(result.ok);
      if (++answers < 5_000) again();
    });
  };
  again();
  await bench.pass(windowMs);
  assert.equal(answers, 5_000);
  assert.equal(await bench.found(), 5_000);
});
