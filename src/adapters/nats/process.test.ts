/** Exactly once in NATS under real kills: of the process that delivers, and of the server. */
import { join } from "node:path";
import { test } from "node:test";
import { assertAllArrived, killRounds } from "../system/deliveries.harness.ts";
import { natsSkipReason, startNats } from "./server.harness.ts";

const rounds = 50;

test(`after ${rounds} kills of the process and 10 of nats-server each item is in the stream once, and in order`, {
  skip: natsSkipReason() ?? false,
}, async () => {
  const server = await startNats();
  try {
    await server.stream("s");
    const until = 1_500;
    await killRounds({
      rounds,
      until,
      fixture: join(import.meta.dirname, "deliveries.fixture.ts"),
      args: [`127.0.0.1:${server.port}`, "s"],
      isCrash: (round) => round % 5 === 4,
      crash: server.crash,
      start: server.start,
    });
    const found = await server.messages("s", "s.ledger.*.*");
    assertAllArrived(
      found.map(({ id }) => id),
      until,
    );
  } finally {
    await server.stop();
  }
});
