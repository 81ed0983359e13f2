/**
 * What sinks take on this machine: items a second into a real PostgreSQL, a real HTTP receiver that verifies signatures, and files.
 *
 *   npx node --conditions=source bench/sinks.ts [--quick]
 *
 * Receivers run in this process (PostgreSQL in its own), so a figure is of both ends together.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { filesSink } from "../src/adapters/files/sink.ts";
import { startPostgres } from "../src/adapters/postgres/server.harness.ts";
import { postgresSink } from "../src/adapters/postgres/sink.ts";
import { temporaryDirectory } from "../src/adapters/system/temporary.ts";
import { webhookSink } from "../src/adapters/webhook/sink.ts";
import type { ChangeItem } from "../src/model/feeds.ts";
import type { Sink } from "../src/ports/sink.ts";
import { cloudEventOf } from "../src/wire/cloud-events.ts";

const quick = process.argv.includes("--quick");
const msWanted = quick ? 300 : 3_000;
const never = new AbortController().signal;

function item(number: number): ChangeItem {
  return {
    kind: "change",
    shard: number % 16,
    offset: number + 1,
    entity: { type: "player", key: `p-${number % 5_000}` },
    index: 0,
    timeMs: 1_764_000_000_000 + (number >> 4),
    event: "won",
    eventVersion: 1,
    payload: { chips: number, table: "t-1", why: "pot" },
    command: "credit",
    requestId: "0193610e-3a54-7000-8000-00000000002a",
  };
}

async function measure(name: string, sink: Sink, size: number): Promise<void> {
  await sink.open({ subscriber: `bench-${size}`, epoch: 1, service: "chips" });
  const began = performance.now();
  let [items, batches] = [0, 0];
  while (performance.now() - began < msWanted) {
    const batch = Array.from({ length: size }, () => item(items++));
    await sink.deliver({ items: batch, from: `c${batches}`, cursor: `c${++batches}` }, never);
  }
  const ms = performance.now() - began;
  await sink.close();
  print(name, `batches of ${size}`, Math.round((items / ms) * 1_000), `${(ms / batches).toFixed(2)} ms each`);
}

function print(name: string, what: string, perSecond: number, more = ""): void {
  const figure = `${perSecond.toLocaleString("en")}/s`;
  console.log(`${name.padEnd(12)} ${what.padEnd(18)} ${figure.padStart(12)}  ${more}`);
}

function envelopes(): void {
  const items = Array.from({ length: 100_000 }, (_, number) => item(number));
  let [characters, count] = [0, 0];
  const began = performance.now();
  while (performance.now() - began < msWanted) {
    for (const one of items) characters += cloudEventOf(one, "chips").length;
    count += items.length;
  }
  const ms = performance.now() - began;
  print(
    "CloudEvents",
    "as text",
    Math.round((count / ms) * 1_000),
    `${Math.round(characters / count)} characters each`,
  );
}

async function toPostgres(): Promise<void> {
  const server = await startPostgres();
  try {
    const connection = await server.database();
    for (const size of [1, 100, 1_000, 16_384])
      await measure("PostgreSQL", postgresSink({ connection, form: "changes" }), size);
  } finally {
    await server.stop();
  }
}

async function toWebhook(): Promise<void> {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const verifier = new Webhook(secret);
  const receiver = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      verifier.verify(Buffer.concat(pieces), request.headers as Record<string, string>);
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  for (const size of [1, 100, 1_000]) await measure("webhook", webhookSink({ url, secrets: [secret] }), size);
  receiver.close();
}

async function toFiles(): Promise<void> {
  using directory = temporaryDirectory();
  for (const size of [1, 100, 1_000, 16_384]) await measure("files", filesSink({ directory: directory.path }), size);
}

envelopes();
await toPostgres();
await toWebhook();
await toFiles();
