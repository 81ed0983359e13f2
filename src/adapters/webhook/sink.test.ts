/** Webhooks against a real receiver: the contract suite, what the reference library verifies, and each answer's meaning. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { isHoldfastError } from "../../model/errors.ts";
import { batchesOf, batchOf, changeOf, identityOf, never } from "../../ports/sink.contract.kit.ts";
import { testSink } from "../../ports/sink.contract.ts";
import { idOf } from "../../ports/sink.ts";
import { isPublicAddress, lookupPublic } from "./addresses.ts";
import { startReceiver } from "./receiver.harness.ts";
import { type WebhookSinkOptions, webhookSink } from "./sink.ts";

const secretOf = (text: string) => `whsec_${Buffer.from(text.padEnd(32, ".")).toString("base64")}`;
const secret = secretOf("ours");

for (const body of ["batch", "event"] as const) {
  testSink(
    `webhook, ${body}`,
    async () => {
      const receiver = await startReceiver(secret);
      return {
        make: () => webhookSink({ url: receiver.url, secrets: [secret], body }),
        arrived: async (name) =>
          receiver.received
            .filter(({ subscriber }) => subscriber === name)
            .flatMap(({ events }) => events)
            .map(({ id, data }) => ({ id, data })),
        loseAnswer() {
          receiver.fault = "lose-answer";
        },
        cut() {
          receiver.fault = "cut";
        },
        hang() {
          receiver.fault = "hang";
          return new Promise((done) => {
            receiver.onHang = done;
          });
        },
        down: receiver.down,
        up: receiver.up,
        async dispose() {
          assert.deepEqual(receiver.unverified, [], "the reference library verifies every request");
          await receiver.down();
        },
      };
    },
    {
      promise: "at least once",
      whole: body === "batch",
      keepsCursor: false,
      skip: body === "event" ? { "a batch as large as a feed gives arrives whole": "it would be 16,384 requests" } : {},
    },
  );
}

async function opened(context: TestContext, options: Partial<WebhookSinkOptions> = {}) {
  const receiver = await startReceiver(secret);
  const sink = webhookSink({ url: receiver.url, secrets: [secret], ...options });
  context.after(async () => {
    await sink.close();
    await receiver.down();
  });
  await sink.open(identityOf(1));
  return { receiver, sink };
}

const [one, two] = batchesOf(3, 3);

test("a batch that comes again has its webhook-id again, and another batch has another", async (context) => {
  const { receiver, sink } = await opened(context);
  receiver.fault = "lose-answer";
  await assert.rejects(sink.deliver(one, never), { code: "unavailable" });
  await sink.deliver(one, never);
  await sink.deliver(two, never);
  const [first, again, other] = receiver.received.map(({ headers }) => headers["webhook-id"]);
  assert.match(String(first), /^msg_[A-Za-z0-9_-]{27}$/);
  assert.equal(again, first);
  assert.notEqual(other, first);
  assert.equal(receiver.received[0]?.headers["content-type"], "application/cloudevents-batch+json; charset=utf-8");
  assert.equal(receiver.received[0]?.headers["holdfast-subscriber"], "ledger");
  assert.equal(receiver.received[0]?.events[0]?.source, "/chips/player/p-0");
});

test("with one event a request, what was taken does not come again for the one that was not", async (context) => {
  const { receiver, sink } = await opened(context, { body: "event" });
  receiver.answering = (_request, response) => response.writeHead(receiver.received.length === 2 ? 503 : 200).end("ok");
  await assert.rejects(sink.deliver(one, never), { code: "unavailable" });
  await sink.deliver(one, never);
  const ids = receiver.received.flatMap(({ events }) => events.map(({ id }) => id));
  const [a, b, c] = one.items.map(idOf);
  assert.deepEqual(ids, [a, b, b, c]);
});

test("while a secret is replaced, receivers with the old and with the new one verify", async (context) => {
  const [older, newer] = [secretOf("older"), secretOf("newer")];
  const seen: { body: string; headers: Record<string, string> }[] = [];
  const { receiver, sink } = await opened(context, { secrets: [newer, older, secret] });
  receiver.answering = (_request, response) => {
    const last = receiver.received.at(-1);
    if (last !== undefined) seen.push({ body: last.body, headers: { ...last.headers } });
    response.end();
  };
  await sink.deliver(one, never);
  const [request] = seen;
  assert.ok(request !== undefined);
  for (const its of [older, newer, secret]) assert.ok(new Webhook(its).verify(request.body, request.headers));
  assert.throws(() => new Webhook(secretOf("strange")).verify(request.body, request.headers));
  assert.throws(() => new Webhook(older).verify(request.body.replace("chips", "chops"), request.headers));
  const moved = { ...request.headers, "webhook-id": "msg_other" };
  assert.throws(() => new Webhook(older).verify(request.body, moved));
});

test("what an answer means depends on its status", async (context) => {
  const { receiver, sink } = await opened(context);
  const meanings: Readonly<Record<string, readonly number[]>> = {
    done: [200, 201, 202, 204, 299],
    unavailable: [408, 425, 429, 500, 502, 503, 504, 599],
    rejected: [300, 301, 302, 307, 308, 400, 401, 403, 404, 410, 413, 422, 451],
  };
  for (const [meaning, statuses] of Object.entries(meanings)) {
    for (const status of statuses) {
      receiver.answering = (_request, response) => response.writeHead(status).end();
      const outcome = await sink.deliver(one, never).then(
        () => "done",
        (error: unknown) =>
          isHoldfastError(error) && error.details?.["status"] === status ? error.code : String(error),
      );
      assert.equal(outcome, meaning, String(status));
    }
  }
});

test("Retry-After is handed on, in seconds and as a date, within a day", async (context) => {
  const nowMs = Date.UTC(2026, 10, 25, 12);
  const clock = { now: () => Date.now(), monotonic: () => performance.now(), defer: setImmediate, after: later };
  let isFixed = false;
  const { receiver, sink } = await opened(context, { clock: { ...clock, now: () => (isFixed ? nowMs : Date.now()) } });
  const asked: [retryAfter: string, ms: number | undefined, fixed: boolean][] = [
    ["120", 120_000, false],
    ["0", 0, false],
    ["999999999", 86_400_000, false],
    ["soon", undefined, false],
    ["Wed, 25 Nov 2026 12:01:30 GMT", 90_000, true],
    ["Wed, 25 Nov 2026 11:00:00 GMT", 0, true],
  ];
  for (const [text, ms, fixed] of asked) {
    receiver.answering = (_request, response) => {
      // The verifier looks at the time of the request, so the sink's clock stands still only for the answer.
      isFixed = fixed;
      response.writeHead(503, { "retry-after": text }).end();
    };
    await assert.rejects(sink.deliver(one, never), (error: unknown) => {
      assert.ok(isHoldfastError(error));
      assert.equal(error.details?.["retryAfterMs"], ms, text);
      return true;
    });
    isFixed = false;
  }
});

function later(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}

test("a redirect is not followed", async (context) => {
  let visits = 0;
  const elsewhere = createServer((_request, response) => {
    visits++;
    response.end();
  });
  await new Promise<void>((done) => elsewhere.listen(0, "127.0.0.1", done));
  context.after(() => elsewhere.close());
  const { receiver, sink } = await opened(context);
  const location = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`;
  receiver.answering = (_request, response) => response.writeHead(307, { location }).end();
  await assert.rejects(sink.deliver(one, never), { code: "rejected", message: /redirects are not followed/ });
  assert.equal(visits, 0);
});

test("of an answer that does not end a bounded part is read, and its status counts", async (context) => {
  const { receiver, sink } = await opened(context);
  let written = 0;
  receiver.answering = (_request, response) => {
    const piece = Buffer.alloc(16 * 1024, 120);
    const more = () => {
      while (!response.destroyed && response.write(piece)) written += piece.length;
    };
    response.on("drain", more).on("close", () => response.off("drain", more));
    more();
  };
  await sink.deliver(one, never);
  assert.ok(written < 64 * 1024 * 1024);
  receiver.answering = undefined;
  await sink.deliver(two, never);
  assert.equal(receiver.received.length, 2);
});

test("a receiver that does not answer in time is unavailable", async (context) => {
  const { receiver, sink } = await opened(context, { timeoutMs: 50 });
  receiver.fault = "hang";
  await assert.rejects(sink.deliver(one, never), { code: "unavailable", message: /did not answer in 50 ms/ });
  await sink.deliver(one, never);
});

test("messages hold neither secrets nor tokens of the URL nor data", async (context) => {
  const { receiver, sink } = await opened(context, { headers: { authorization: "Bearer of-nothing" } });
  receiver.answering = (_request, response) => response.writeHead(400).end("chips 0");
  await assert.rejects(sink.deliver(one, never), (error: Error) => {
    const told = `${error.message} ${JSON.stringify((error as { details?: unknown }).details)}`;
    for (const word of [secret, "token=t", "of-nothing", "chips 0"]) assert.ok(!told.includes(word), word);
    return true;
  });
  assert.equal(receiver.received[0]?.headers["authorization"], "Bearer of-nothing");
});

test("settings that cannot work are refused", () => {
  const url = "https://example.org/hook";
  const refused = { code: "invalid-configuration" };
  const wrong: Partial<WebhookSinkOptions>[] = [
    { url: "example.org" },
    { url: "ftp://example.org" },
    { url: "https://user:password@example.org" },
    { secrets: [] },
    { secrets: ["whsec_short"] },
    { secrets: [`whsec_${"!".repeat(40)}`] },
    { secrets: [secret, ""] },
    { headers: { "webhook-id": "x" } },
    { headers: { "Content-Type": "text/plain" } },
    { headers: { "a b": "x" } },
    { headers: { a: "x\r\nb: y" } },
    { url: "http://127.0.0.1/", publicOnly: true },
    { url: "http://[::1]:80/", publicOnly: true },
    { url: "http://2130706433/", publicOnly: true },
    { url: "http://[::ffff:10.0.0.1]/", publicOnly: true },
  ];
  for (const options of wrong)
    assert.throws(() => webhookSink({ url, secrets: [secret], ...options }), refused, JSON.stringify(options));
});

test("addresses that are not of the public internet are told from those that are", () => {
  const inner =
    "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.168.1.1 198.18.0.1 224.0.0.1 " +
    "255.255.255.255 :: ::1 ::ffff:8.8.8.8 64:ff9b::a00:1 fc00::1 fd12::1 fe80::1 fe80::1%eth0 ff02::1 2001:db8::1 2002:a00:1:: localhost";
  for (const address of inner.split(" ")) assert.equal(isPublicAddress(address), false, address);
  for (const address of ["1.1.1.1", "8.8.8.8", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"])
    assert.equal(isPublicAddress(address), true, address);
});

test("with publicOnly a name that leads to this machine leads nowhere", async (context) => {
  const receiver = await startReceiver(secret);
  const url = receiver.url.replace("127.0.0.1", "localhost");
  const sink = webhookSink({ url, secrets: [secret], publicOnly: true });
  context.after(async () => {
    await sink.close();
    await receiver.down();
  });
  await sink.open(identityOf(1));
  const batch = batchOf([changeOf(0)], "c0", "c1");
  await assert.rejects(sink.deliver(batch, never), { code: "unavailable", message: /not of the public internet/ });
  assert.equal(receiver.received.length, 0);
  for (const all of [true, false]) {
    const error = await new Promise<Error | null>((done) =>
      lookupPublic("localhost", { all }, (failed) => done(failed)),
    );
    assert.match(String(error), /not public/);
  }
});
