/** Somebody is asked about large winnings: signed, again after failures and restarts, with one id, and the answer is recorded. */
import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { Webhook } from "standardwebhooks";
import { type Game, startGame } from "./game.testkit.ts";
import { LARGE_WIN, setReviewer } from "./review.ts";

const secret = `whsec_${Buffer.from("a secret of twenty-four b.").toString("base64")}`;

type Received = { readonly headers: IncomingHttpHeaders; readonly body: string };

/** A reviewer that answers with these codes, then that it is fine. */
async function startReviewer(codes: number[]) {
  const received: Received[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      response.writeHead(codes.shift() ?? 200, { connection: "close", "content-type": "application/json" });
      response.end(JSON.stringify({ verdict: "fine" }));
      received.push({ headers: request.headers, body });
      for (const { count, resolve } of waiting) if (received.length >= count) resolve();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  setReviewer({ url: `http://127.0.0.1:${port}/wins`, secret });
  return {
    received,
    /** Resolves when so many have come. */
    got: (count: number) =>
      received.length >= count ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ count, resolve })),
    async [Symbol.asyncDispose]() {
      setReviewer(null);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Ann leaves the table with more than she brought. */
async function win(game: Game, won: number): Promise<void> {
  await game.open();
  await game.seat("ann", 1_000);
  const input = { table: "t", sit: 1, amount: 1_000 + won, hands: 3, reason: "chosen" };
  const result = await game.run({ kind: "entity", id: "table/t" }, "player/ann", "cashOut", input);
  assert.ok(result.ok, JSON.stringify(result));
}

/** Until what the node has been told of the handlers is in its log. */
async function until(
  game: Game,
  fits: (calls: readonly { phase: string; failed: number }[]) => boolean,
): Promise<void> {
  while (!fits(await game.node.listCalls())) await game.settle();
}

test("a large win is asked about with a signature that can be checked, and the answer is recorded", async () => {
  await using reviewer = await startReviewer([]);
  await using game = await startGame();
  await win(game, LARGE_WIN);
  await reviewer.got(1);
  const [first] = reviewer.received;
  assert.ok(first !== undefined);
  const told = new Webhook(secret).verify(first.body, first.headers as Record<string, string>) as { data: object };
  assert.deepEqual(told.data, { player: "ann", table: "t", won: LARGE_WIN });
  assert.throws(() => new Webhook(secret).verify(`${first.body} `, first.headers as Record<string, string>));
  await until(game, (calls) => calls.length === 0);
  const records = await game.records();
  const reviewed = records.flatMap(({ record }) => record.events).filter(({ name }) => name === "reviewed");
  assert.deepEqual(
    reviewed.map(({ payload }) => (payload as { verdict: string }).verdict),
    ["fine"],
  );
});

test("nobody is asked about a win that is not large", async () => {
  await using reviewer = await startReviewer([]);
  await using game = await startGame();
  await win(game, LARGE_WIN - 1);
  await until(game, (calls) => calls.length === 0);
  assert.equal(reviewer.received.length, 0);
});

test("a reviewer that fails is asked again, after a restart too, with the same id and body", async () => {
  await using reviewer = await startReviewer([500, 302]);
  await using game = await startGame();
  await win(game, LARGE_WIN);
  await reviewer.got(1);
  await until(game, ([call]) => call?.failed === 1);
  await game.restart(60_000);
  await reviewer.got(2);
  await until(game, ([call]) => call?.failed === 2);
  await game.pass(60_000);
  await reviewer.got(3);
  await until(game, (calls) => calls.length === 0);
  assert.equal(reviewer.received.length, 3);
  assert.equal(new Set(reviewer.received.map(({ headers }) => headers["webhook-id"])).size, 1);
  assert.equal(new Set(reviewer.received.map(({ body }) => body)).size, 1);
});

test("a reviewer that stays down parks the question, and neither its error nor the log has the secret", async () => {
  await using reviewer = await startReviewer(Array.from({ length: 20 }, () => 503));
  await using game = await startGame();
  await win(game, LARGE_WIN);
  for (let attempt = 1; attempt <= 8; attempt++) {
    await until(game, ([call]) => call?.phase === "parked" || call?.failed === attempt);
    await game.pass(60_000);
  }
  const [parked] = await game.node.listCalls({ parked: true });
  assert.match(parked?.lastError ?? "", /answered 503/);
  assert.equal(reviewer.received.length, 8);
  assert.match(game.faults.splice(0).join(), /parked; failed attempts: 8/);
  const log = Buffer.concat(game.store.shards.flatMap(({ frames }) => [...frames.values()].map(({ bytes }) => bytes)));
  assert.equal(log.includes(secret.slice(6)), false);
});
