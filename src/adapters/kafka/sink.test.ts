/**
 * The Kafka sink passes the contract suite against a real Kafka that is killed and cut off, and says what it cannot work with.
 */
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import {
  AclOperations,
  type AclOperationValue,
  AclPermissionTypes,
  Admin,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";
import { assertCode, batchesOf, batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { testSink } from "../../ports/sink.contract.ts";
import { idOf } from "../../ports/sink.ts";
import { administrator, type KafkaServer, kafkaSkipReason, limited, startKafka } from "./server.harness.ts";
import { kafkaSink } from "./sink.ts";

const skip = kafkaSkipReason();
let started: Promise<KafkaServer> | undefined;
let places = 0;
after(async () => (await started)?.stop());

function server(): Promise<KafkaServer> {
  started ??= startKafka();
  return started;
}

describe("Kafka", { skip: skip ?? false }, () => {
  testSink(
    "Kafka (Apache Kafka, KRaft)",
    async () => {
      const { proxy, spoiled, records, crash, start } = await server();
      const place = `place-${++places}`;
      const topics = (subscriber: string) => ({
        topic: `${place}.${subscriber}`,
        cursorTopic: `${place}.${subscriber}.cursor`,
      });
      const create = { partitions: 1 };
      return {
        make: () => {
          // Topics are the subscriber's, who is known when the sink is opened.
          let sink = kafkaSink({ connection: { bootstrapBrokers: spoiled } });
          return proxy.wrap({
            open: (identity) => {
              const named = topics(identity.subscriber);
              sink = kafkaSink({ connection: { bootstrapBrokers: spoiled }, create, ...named });
              return sink.open({ ...identity, service: place });
            },
            deliver: (batch, signal) => sink.deliver(batch, signal),
            rewind: async (cursor) => await sink.rewind?.(cursor),
            close: () => sink.close(),
          });
        },
        arrived: async (subscriber) => {
          const found = await records(topics(subscriber).topic);
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
    { promise: "exactly once", whole: true, keepsCursor: true, generatedRuns: 6 },
  );

  test("an item is a CloudEvent in binary mode, keyed by entity, in its shard's part of the topic", async () => {
    const { brokers, records } = await server();
    const sink = kafkaSink({
      connection: { bootstrapBrokers: brokers },
      topic: "envelope",
      cursorTopic: "envelope.cursor",
      create: { partitions: 2 },
    });
    await sink.open({ ...identityOf(1), service: "größe %" });
    await sink.deliver(batchOf([changeOf(1), { ...changeOf(5), event: 'big "win"' }], "c0", "c1"), never);
    await sink.close();
    const found = await records("envelope");
    assert.deepEqual(
      found.map(({ id, partition, key }) => [id, partition, key]),
      [
        ["2-1-1", 0, "player/p-5"],
        ["1-1-0", 1, "player/p-1"],
      ],
    );
    const { ce_source: source, ce_type: type, ["content-type"]: media, ce_shard: shard } = found[0]?.headers ?? {};
    assert.equal(source, "/gr%C3%B6%C3%9Fe%20%25/player/p-5");
    assert.equal(type, 'größe %.player.big "win"');
    assert.deepEqual([media, shard], ["application/json", "2"]);
  });

  test("an earlier running that comes late fences nobody for good", async () => {
    const { brokers, records } = await server();
    const options = {
      connection: { bootstrapBrokers: brokers },
      topic: "late",
      cursorTopic: "late.cursor",
      create: { partitions: 1 },
    };
    const [first, second, third] = batchesOf(2, 2, 2);
    const later = kafkaSink(options);
    await later.open(identityOf(2));
    await later.deliver(first, never);
    // It takes the transactional id from the later one before it finds out that it is too late.
    const earlier = kafkaSink(options);
    await assertCode(earlier.open(identityOf(1)), "fenced");
    await later.deliver(second, never);
    await assertCode(earlier.deliver(third, never), "fenced");
    await later.deliver(third, never);
    await Promise.all([earlier.close(), later.close()]);
    assert.equal((await records("late")).length, 6);
  });

  test("the place is found behind any number of transactions that were given up", async () => {
    const { brokers, proxy, spoiled } = await server();
    const topics = { topic: "given-up", cursorTopic: "given-up.cursor" };
    const sink = kafkaSink({ connection: { bootstrapBrokers: brokers }, ...topics, create: { partitions: 1 } });
    const [first, second] = batchesOf(2, 2);
    await sink.open(identityOf(1));
    await sink.deliver(first, never);
    await sink.close();
    for (let attempt = 0; attempt < 20; attempt++) {
      // Its claim is cut: the record is there, and is given up by the next one.
      const cut = kafkaSink({ connection: { bootstrapBrokers: spoiled }, ...topics, limits: { retriesMax: 2 } });
      const opens = proxy.wrap({ ...cut, deliver: async () => void (await cut.open(identityOf(1))) });
      proxy.arm("cut");
      await assertCode(opens.deliver(second, never), "unavailable");
      await cut.close();
    }
    const next = kafkaSink({ connection: { bootstrapBrokers: brokers }, ...topics });
    assert.equal(await next.open(identityOf(2)), "c1");
    await next.deliver(second, never);
    await next.close();
  });

  test("what no waiting mends is a setting that cannot work", async () => {
    const { brokers } = await server();
    const connection = { bootstrapBrokers: brokers };
    const missing = kafkaSink({ connection, topic: "no-such-topic" });
    await assertCode(missing.open(identityOf(1)), "invalid-configuration");
    await missing.close();
    const unmade = kafkaSink({ connection, topic: "unmade", create: { partitions: 1, replicas: 5 } });
    await assertCode(unmade.open(identityOf(1)), "invalid-configuration");
    await unmade.close();
    const slow = kafkaSink({
      connection,
      topic: "slow",
      create: { partitions: 1 },
      limits: { transactionMs: 86_400_000 },
    });
    await assertCode(slow.open(identityOf(1)), "invalid-configuration");
    await slow.close();
    const odd = kafkaSink({ connection: { bootstrapBrokers: brokers, clientId: "a b" }, topic: "t" });
    await assertCode(odd.open(identityOf(1)), "invalid-configuration");
    assert.throws(() => kafkaSink({ connection: { bootstrapBrokers: [] } }), { code: "invalid-configuration" });
    assert.throws(() => kafkaSink({ connection, topic: "a b" }), { code: "invalid-configuration" });
  });

  test("an item that is larger than the topic takes is rejected, and the next one is not", async () => {
    const { brokers, records } = await server();
    const create = { partitions: 1, configs: { "max.message.bytes": "20000" } };
    const sink = kafkaSink({
      connection: { bootstrapBrokers: brokers },
      topic: "narrow",
      cursorTopic: "narrow.cursor",
      create,
    });
    await sink.open(identityOf(1));
    const large = batchOf([changeOf(0), changeOf(1, "x".repeat(50_000))], "c0", "c1");
    await assertCode(sink.deliver(large, never), "rejected");
    await sink.deliver(batchOf([changeOf(0)], "c0", "c1"), never);
    assert.deepEqual(
      (await records("narrow")).map(({ id }) => id),
      ["0-1-0"],
    );
    await sink.close();
  });

  test("items that were set aside are delivered out of turn, and the place stays", async () => {
    const { brokers, records } = await server();
    const options = { connection: { bootstrapBrokers: brokers }, topic: "aside", cursorTopic: "aside.cursor" };
    const sink = kafkaSink({ ...options, create: { partitions: 1 } });
    const [aside, batch] = batchesOf(1, 2);
    await sink.open(identityOf(1));
    await sink.deliver(batch, never);
    await sink.deliver({ ...aside, from: "c2", cursor: "c2" }, never);
    await sink.close();
    assert.deepEqual(
      (await records("aside")).map(({ id }) => id),
      [...batch.items, ...aside.items].map(idOf),
    );
    const again = kafkaSink(options);
    assert.equal(await again.open(identityOf(2)), "c2");
    await again.close();
  });

  test("rights to write to its topics and its transactions are enough, and fewer are a setting that cannot work", async () => {
    const guarded = await startKafka({ guarded: true });
    try {
      const bootstrapBrokers = guarded.brokers;
      const admin = new Admin({ clientId: "tests", bootstrapBrokers, sasl: administrator });
      for (const topic of ["chips.ledger", "chips.ledger.cursor"]) await admin.createTopics({ topics: [topic] });
      const right = { principal: `User:${limited.username}`, host: "*", permissionType: AclPermissionTypes.ALLOW };
      const onTopics = { resourceType: ResourceTypes.TOPIC, resourceName: "chips.ledger" };
      const onTransactions = { resourceType: ResourceTypes.TRANSACTIONAL_ID, resourceName: "holdfast/chips/ledger" };
      const grant = async (on: typeof onTopics | typeof onTransactions, operation: AclOperationValue) => {
        const resourcePatternType = ResourcePatternTypes.PREFIXED;
        await admin.createAcls({ creations: [{ ...right, ...on, resourcePatternType, operation }] });
      };
      const opening = async (sasl: typeof limited | { mechanism: "PLAIN"; username: string; password: string }) => {
        const sink = kafkaSink({ connection: { bootstrapBrokers, sasl } });
        try {
          await sink.open(identityOf(1));
          await sink.deliver(batchesOf(3)[0], never);
        } finally {
          await sink.close();
        }
      };
      await assertCode(opening({ ...limited, password: "wrong" }), "invalid-configuration");
      await assertCode(opening(limited), "invalid-configuration");
      await grant(onTopics, AclOperations.WRITE);
      await grant(onTopics, AclOperations.READ);
      await assertCode(opening(limited), "invalid-configuration");
      await grant(onTransactions, AclOperations.WRITE);
      await opening(limited);
      await admin.close();
    } finally {
      await guarded.stop();
    }
  });
});
