/** The node and the brokers are killed again and again: what arrived in NATS and in Kafka is what the log has. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { type KafkaServer, kafkaSkipReason, startKafka } from "../../src/adapters/kafka/server.harness.ts";
import { type NatsServer, natsSkipReason, startNats } from "../../src/adapters/nats/server.harness.ts";
import { temporaryDirectory } from "../../src/adapters/system/temporary.ts";

/** 50 with `KILL_ROUNDS=50`; `npm test` has a part of them. */
const rounds = Number(process.env["KILL_ROUNDS"] ?? 8);
const server = join(import.meta.dirname, "brokers-server.ts");

/** Runs the service; kills it so long after it serves, or lets it come to its end. @returns what it printed */
async function run(args: readonly string[], killAfterMs: number | undefined): Promise<string> {
  const argv = ["--conditions=source", server, ...args];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  const gone = new Promise<number | null>((done) => child.once("close", done));
  const serves = new Promise((done) =>
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      done(undefined);
    }),
  );
  await Promise.race([serves, gone]);
  if (killAfterMs !== undefined) {
    await new Promise((done) => setTimeout(done, killAfterMs));
    child.kill("SIGKILL");
  }
  const code = await gone;
  assert.ok(code === 0 || (code === null && killAfterMs !== undefined), `the service ended by itself with ${code}`);
  return text;
}

/** What arrived is what the log has, each once, and each shard in the order of the log. */
function assertSame(arrived: readonly string[], logged: readonly string[], where: string): void {
  const inShards = (ids: readonly string[]) => ids.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  // Compared as text: a difference between long lists takes minutes to tell.
  assert.ok(inShards(arrived).join(" ") === inShards(logged).join(" "), `${where} has what the log has, in its order`);
}

async function restart(broker: NatsServer | KafkaServer | undefined): Promise<void> {
  await broker?.crash();
  await broker?.start();
}

test(`after ${rounds} kills of the node and some of the brokers NATS and Kafka have what the log has, each change once, in order`, {
  timeout: 600_000,
}, async (t) => {
  const [noNats, noKafka] = [natsSkipReason(), kafkaSkipReason()];
  if (noNats !== undefined && noKafka !== undefined) return t.skip(`${noNats}; ${noKafka}`);
  for (const reason of [noNats, noKafka]) if (reason !== undefined) t.diagnostic(`one broker only: ${reason}`);
  const nats = noNats === undefined ? await startNats() : undefined;
  const kafka = noKafka === undefined ? await startKafka() : undefined;
  const directory = temporaryDirectory();
  try {
    await nats?.stream("shop");
    const address = nats === undefined ? ["", ""] : [`127.0.0.1:${nats.port}`, "shop"];
    const places = [...address, ...(kafka === undefined ? ["", ""] : [kafka.brokers.join(","), "shop.changes"])];
    for (let round = 0; round < rounds; round++) {
      const running = run([directory.path, "100000", ...places], (round * 97) % 900);
      if (round % 8 === 3) await restart(nats);
      if (round % 8 === 7) await restart(kafka);
      await running;
    }
    const text = await run([directory.path, "5", ...places], undefined);
    const logged = (text.split("\n")[1] ?? "").split(" ");
    t.diagnostic(`${logged.length} changes`);
    assert.ok(logged.length > rounds);
    if (nats !== undefined) {
      const found = await nats.messages("shop", "shop.nats.*.*");
      assertSame(
        found.map(({ id }) => id),
        logged,
        "NATS",
      );
    }
    if (kafka !== undefined) {
      const found = kafka.consumed("shop.changes");
      assertSame(
        found.map(({ id }) => id),
        logged,
        "Kafka",
      );
    }
  } finally {
    directory.remove();
    await nats?.stop();
    await kafka?.stop();
  }
  return undefined;
});
