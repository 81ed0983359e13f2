/** Exactly once in Kafka under real kills: of the process that delivers, and of the broker; as Kafka's own consumer sees it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { assertAllArrived, killRounds } from "../system/deliveries.harness.ts";
import { kafkaSkipReason, startKafka } from "./server.harness.ts";

const rounds = 50;

test(`after ${rounds} kills of the process and 5 of the broker each item is in the topic once, and in order`, {
  skip: kafkaSkipReason() ?? false,
}, async () => {
  const server = await startKafka();
  try {
    const until = 600;
    await killRounds({
      rounds,
      until,
      fixture: join(import.meta.dirname, "deliveries.fixture.ts"),
      args: [server.brokers.join(","), "chips"],
      isCrash: (round) => round % 10 === 9,
      crash: server.crash,
      start: server.start,
    });
    const found = server.consumed("chips");
    assertAllArrived(
      found.map(({ id }) => id),
      until,
    );
    assert.ok(
      found.every(({ id, partition }) => partition === Number(id.split("-", 1)[0]) % 2),
      "shards stay in their part of the topic",
    );
    assert.deepEqual(
      (await server.records("chips")).map(({ id }) => id).toSorted(),
      found.map(({ id }) => id).toSorted(),
    );
  } finally {
    await server.stop();
  }
});
