/**
 * The NATS sink passes the contract suite against a real nats-server that is killed and cut off, and says what it cannot work with.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { assertCode, batchesOf, batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { testSink } from "../../ports/sink.contract.ts";
import { idOf, type Sink } from "../../ports/sink.ts";
import { authorization, type NatsServer, natsSkipReason, publish, purge, startNats } from "./server.harness.ts";
import { type NatsSinkOptions, natsSink } from "./sink.ts";

const skip = natsSkipReason();
let started: Promise<NatsServer> | undefined;
let streams = 0;
after(async () => (await started)?.stop());

function server(): Promise<NatsServer> {
  started ??= startNats();
  return started;
}

async function place(settings?: Readonly<Record<string, unknown>>): Promise<string> {
  const name = `s${++streams}`;
  await (await server()).stream(name, settings);
  return name;
}

async function sinkOf(stream: string, options: Partial<NatsSinkOptions> = {}): Promise<Sink> {
  const connection = { servers: `127.0.0.1:${(await server()).port}` };
  return natsSink({ connection, stream, prefix: stream, ...options });
}

describe("NATS JetStream", { skip: skip ?? false }, () => {
  testSink(
    "NATS JetStream (nats-server)",
    async () => {
      const { proxy, messages, crash, start } = await server();
      const stream = await place();
      const connection = { servers: `127.0.0.1:${proxy.port}` };
      return {
        make: () => proxy.wrap(natsSink({ connection, stream, prefix: stream })),
        arrived: async (subscriber) => {
          const found = await messages(stream, `${stream}.${subscriber}.*.*`);
          return found.map(({ id, data }) => ({ id, data }));
        },
        loseAnswer: () => proxy.arm("lose-answer"),
        cut: () => proxy.arm("cut"),
        down: crash,
        up: start,
        hang: proxy.hang,
        dispose: async () => undefined,
      };
    },
    { promise: "exactly once", whole: true, keepsCursor: true },
  );

  test("an item is a CloudEvent in binary mode, on the subject of its shard and type", async () => {
    const stream = await place();
    const sink = await sinkOf(stream);
    await sink.open({ ...identityOf(1), service: "größe %" });
    await sink.deliver(batchOf([{ ...changeOf(4), event: 'big "win"' }], "c0", "c1"), never);
    const [message] = await (await server()).messages(stream, `${stream}.ledger.*.*`);
    assert.equal(message?.subject, `${stream}.ledger.1.player`);
    const { ["ce-source"]: source, ["ce-type"]: type, ["content-type"]: media, ...rest } = message?.headers ?? {};
    // Only what the binding names is escaped, so `source` is escaped twice: it is a URI already.
    assert.equal(source, "/gr%25C3%25B6%25C3%259Fe%2520%2525/player/p-4");
    assert.equal(type, "gr%C3%B6%C3%9Fe%20%25.player.big%20%22win%22");
    assert.equal(media, "application/json");
    assert.deepEqual([rest["ce-id"], rest["ce-specversion"], rest["ce-shard"]], ["1-1-1", "1.0", "1"]);
    assert.deepEqual(message?.data, { number: 4, text: "chips 4" });
    await sink.close();
  });

  test("a batch that is larger than an atomic one is cut between its parts, and arrives once", async () => {
    const { proxy, messages, port } = await server();
    for (const fault of ["cut", "lose-answer"] as const) {
      for (let part = 0; part < 4; part++) {
        const stream = await place();
        const limits = { messagesMax: 11 };
        const [first, large, last] = batchesOf(3, 36, 5);
        const sink = await sinkOf(stream, { limits });
        await sink.open(identityOf(1));
        await sink.deliver(first, never);
        await sink.close();
        const connection = { servers: `127.0.0.1:${proxy.port}` };
        const spoiled = proxy.wrap(natsSink({ connection, stream, prefix: stream, limits }));
        await spoiled.open(identityOf(2));
        proxy.arm(fault, part);
        await assertCode(spoiled.deliver(large, never), "unavailable");
        await spoiled.close();
        // What came in part comes again in other batches.
        const next = await sinkOf(stream, { limits, connection: { servers: `127.0.0.1:${port}` } });
        const stands = await next.open(identityOf(3));
        const whole = fault === "lose-answer" && part === 3;
        assert.equal(stands, whole ? "c2" : "c1");
        if (!whole) {
          await next.deliver(batchOf(large.items.slice(0, 17), "c1", "c1-half"), never);
          await next.deliver(batchOf(large.items.slice(17), "c1-half", "c2"), never);
        }
        await next.deliver(last, never);
        await next.close();
        const found = await messages(stream, `${stream}.ledger.*.*`);
        assert.deepEqual(
          found.map(({ id }) => id),
          [...first.items, ...large.items, ...last.items].map(idOf),
          `${fault} at part ${part}`,
        );
      }
    }
  });

  test("the stream keeps one cursor of a subscriber where it may, and works where it may not", async () => {
    for (const rolls of [true, false]) {
      const stream = await place({ allow_rollup_hdrs: rolls });
      const sink = await sinkOf(stream);
      await sink.open(identityOf(1));
      for (const batch of batchesOf(1, 1, 1)) await sink.deliver(batch, never);
      await sink.close();
      const cursors = await (await server()).messages(stream, `${stream}.ledger.cursor`);
      assert.equal(cursors.length, rolls ? 1 : 4);
      assert.deepEqual(cursors.at(-1)?.data, { epoch: 1, cursor: "c3", marks: {} });
    }
  });

  test("a subscriber goes on when the retention of the stream took its cursor away", async () => {
    const { port, messages } = await server();
    const stream = await place();
    const batches = batchesOf(2, 2, 2);
    const sink = await sinkOf(stream);
    await sink.open(identityOf(1));
    await sink.deliver(batches[0], never);
    await purge(port, stream, `${stream}.ledger.cursor`);
    await sink.deliver(batches[1], never);
    await sink.deliver(batches[2], never);
    await sink.close();
    assert.equal((await messages(stream, `${stream}.ledger.*.*`)).length, 6);
  });

  test("what no waiting mends is a setting that cannot work", async () => {
    const missing = await sinkOf("no-such-stream");
    await assertCode(missing.open(identityOf(1)), "invalid-configuration");
    await missing.close();
    const settings = [{ allow_atomic: false }, { retention: "interest" }, { subjects: ["elsewhere.>"] }];
    for (const setting of settings) {
      const sink = await sinkOf(await place(setting));
      await assertCode(sink.open(identityOf(1)), "invalid-configuration");
      await sink.close();
    }
    assert.throws(() => natsSink({ connection: {}, stream: "s", prefix: "a b" }), {
      code: "invalid-configuration",
    });
    const strange = await place();
    await publish((await server()).port, `${strange}.ledger.cursor`, "not ours");
    const sink = await sinkOf(strange);
    await assertCode(sink.open(identityOf(1)), "invalid-configuration");
    await sink.close();
  });

  test("credentials that are wrong, or allow too little, are a setting that cannot work", async () => {
    const guarded = await startNats({ authorization });
    try {
      const servers = `127.0.0.1:${guarded.port}`;
      await guarded.stream("s", {});
      for (const [user, pass, code] of [
        ["nobody", "x", "invalid-configuration"],
        ["reader", "r", "invalid-configuration"],
      ] as const) {
        const sink = natsSink({ connection: { servers, user, pass }, stream: "s", prefix: "s" });
        await assertCode(sink.open(identityOf(1)), code);
        await sink.close();
      }
    } finally {
      await guarded.stop();
    }
  });

  test("an item that is larger than the server takes is rejected, and the next one is not", async () => {
    const small = await place({ max_msg_size: 2_000 });
    const large = await place();
    for (const [stream, bytes] of [
      [small, 5_000],
      [large, 2_000_000],
    ] as const) {
      const sink = await sinkOf(stream);
      await sink.open(identityOf(1));
      await assertCode(
        sink.deliver(batchOf([changeOf(0), changeOf(1, "x".repeat(bytes))], "c0", "c1"), never),
        "rejected",
      );
      await sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never);
      assert.equal((await (await server()).messages(stream, `${stream}.ledger.*.*`)).length, 1);
      await sink.close();
    }
  });

  test("items that were set aside are delivered out of turn, and the place stays", async () => {
    const stream = await place();
    const sink = await sinkOf(stream);
    const [aside, batch] = batchesOf(1, 2);
    await sink.open(identityOf(1));
    await sink.deliver(batch, never);
    await sink.deliver({ ...aside, from: "c2", cursor: "c2" }, never);
    await sink.close();
    const found = await (await server()).messages(stream, `${stream}.ledger.*.*`);
    assert.deepEqual(
      found.map(({ id }) => id),
      [...batch.items, ...aside.items].map(idOf),
    );
    const again = await sinkOf(stream);
    assert.equal(await again.open(identityOf(2)), "c2");
    await again.close();
  });
});
