/**
 * The Kafka sink passes the contract suite against a real Kafka that is killed and cut off, and says what it cannot work with.
 */
import { after, describe } from "node:test";
import { testSink } from "../../ports/sink.contract.ts";
import { type KafkaServer, kafkaSkipReason, startKafka } from "./server.harness.ts";
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
});
