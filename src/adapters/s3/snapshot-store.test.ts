/**
 * The S3 store passes the contract suite against a real server, and finds its way through lost answers and refusals.
 */
import assert from "node:assert/strict";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, type TestContext, test } from "node:test";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { testSnapshotStore } from "../../ports/snapshot-store.contract.ts";
import type { SnapshotStore } from "../../ports/snapshot-store.ts";
import { systemClock } from "../system/clock.ts";
import { systemRandom } from "../system/random.ts";
import { configFor, type S3Server, s3SkipReason, startS3Server } from "./server.harness.ts";
import { openS3Snapshots, type S3SnapshotsOptions } from "./snapshot-store.ts";

const skip = s3SkipReason();
let started: Promise<S3Server> | undefined;
after(async () => (await started)?.stop());

function server(): Promise<S3Server> {
  started ??= startS3Server();
  return started;
}

async function open(options: Partial<S3SnapshotsOptions> & { readonly bucket: string }): Promise<SnapshotStore> {
  const { client } = await server();
  return await openS3Snapshots({ client, clock: systemClock, random: systemRandom, ...options });
}

describe("S3", { skip: skip ?? false }, () => {
  testSnapshotStore(
    "S3 (versitygw)",
    async () => {
      const bucket = await (await server()).bucket();
      const options = { bucket, prefix: "service-a/" };
      const store = await open(options);
      return { store, openAnother: () => open(options), dispose: () => store.close() };
    },
    { generatedRuns: 5 },
  );

  test("stores under two prefixes of one bucket do not see each other", async () => {
    const bucket = await (await server()).bucket();
    const [one, other] = [await open({ bucket, prefix: "one/" }), await open({ bucket, prefix: "other/" })];
    await one.put("object", Buffer.from("one"));
    assert.equal(await other.get("object"), undefined);
    await Promise.all([one.close(), other.close()]);
  });

  test("a bucket that is missing, or credentials that are wrong, are a setting that cannot work", async () => {
    await assert.rejects(open({ bucket: "no-such-bucket" }), { code: "invalid-configuration" });
    const { client, bucket } = await server();
    const credentials = { accessKeyId: "holdfast", secretAccessKey: "wrong" };
    const wrong = { bucket: await bucket(), client: { ...client, credentials } };
    await assert.rejects(open(wrong), { code: "invalid-configuration" });
  });

  for (const [size, parts] of [
    [2_000, "in one piece"],
    [12 * 1024 * 1024, "in parts"],
  ] as const) {
    test(`a write ${parts} whose answers are lost is known to be done`, async (context) => {
      const bucket = await (await server()).bucket();
      const proxy = await startProxy((await server()).port, context);
      const limits = { attemptMs: 20_000, pauseMs: 5, multipartBytes: 8 * 1024 * 1024, partBytes: 5 * 1024 * 1024 };
      const store = await open({ bucket, client: configFor(proxy.port), limits });
      const bytes = new Uint8Array(size).fill(7);
      proxy.loseWrites = 1;
      const made = await store.replace("head", bytes, undefined);
      assert.ok(made.ok);
      proxy.loseWrites = 1;
      assert.ok(
        (
          await store.replace(
            "head",
            bytes.map(() => 8),
            made.tag,
          )
        ).ok,
      );
      assert.equal((await store.replace("head", bytes, made.tag)).ok, false);
      proxy.loseWrites = 1;
      await store.put("object", bytes);
      assert.equal((await store.get("object"))?.bytes.length, size);
      assert.equal(proxy.loseWrites, 0);
      await store.close();
    });
  }

  test("a server that answers 503 is asked again, but not for ever", async (context) => {
    const bucket = await (await server()).bucket();
    const proxy = await startProxy((await server()).port, context);
    const limits = { pauseMs: 1, attemptsMax: 4 };
    const store = await open({ bucket, client: configFor(proxy.port), limits });
    proxy.refuse = 3;
    await store.put("object", Buffer.from("bytes"));
    proxy.refuse = 4;
    await assert.rejects(store.get("object"), { code: "unavailable" });
    assert.equal(proxy.refuse, 0);
    assert.equal((await store.get("object"))?.bytes.length, 5);
    await store.close();
  });

  test("a server that does not answer is given up after the time of all attempts", async (context) => {
    const bucket = await (await server()).bucket();
    const proxy = await startProxy((await server()).port, context);
    const store = await open({ bucket, client: configFor(proxy.port), limits: { attemptsMax: 2, pauseMs: 1 } });
    const hasty = { attemptMs: 50, attemptsMax: 2, pauseMs: 1 };
    proxy.silent = true;
    await assert.rejects(open({ bucket, client: configFor(proxy.port), limits: hasty }), { code: "unavailable" });
    await store.close();
  });

  test("a server that ignores conditions is refused at the opening", async () => {
    const { client, bucket } = await server();
    const unconditional = { bucket: await bucket(), client: { ...client, signer: signWithoutConditions(client) } };
    await assert.rejects(open(unconditional), { code: "invalid-configuration", message: /ignores If-Match/ });
  });
});

/** Signs what is left when the conditions are taken out, so that the server never sees them. */
function signWithoutConditions(client: S3ClientConfig): NonNullable<S3ClientConfig["signer"]> {
  const { signer } = new S3Client(client).config;
  return async (scheme) => {
    const real = await signer(scheme);
    return {
      sign(request, options) {
        for (const name of ["if-match", "if-none-match"]) delete request.headers[name];
        return real.sign(request, options);
      },
    };
  };
}

interface Proxy {
  readonly port: number;
  /** Writes that are carried out and whose connection then breaks: objects and completions, not parts. */
  loseWrites: number;
  /** Requests that are answered 503. */
  refuse: number;
  silent: boolean;
}

/** Stands before the real server and spoils what passes. */
async function startProxy(port: number, context: TestContext): Promise<Proxy> {
  const state = { loseWrites: 0, refuse: 0, silent: false };
  const listener: Server = createServer((incoming, outgoing) => {
    if (state.silent) return;
    if (state.refuse > 0) {
      state.refuse--;
      incoming.resume().on("end", () => outgoing.writeHead(503).end());
      return;
    }
    const { method = "GET", url = "/", headers } = incoming;
    const isCompletion = method === "POST" && /[?&]uploadId=/.test(url);
    const isWrite = isCompletion || (method === "PUT" && !/[?&]partNumber=/.test(url));
    const forward = request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
      if (isWrite && state.loseWrites > 0) {
        state.loseWrites--;
        answer.resume().on("end", () => outgoing.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    forward.on("error", () => outgoing.destroy());
    incoming.pipe(forward);
  });
  await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
  context.after(async () => {
    listener.closeAllConnections();
    await new Promise((done) => listener.close(done));
  });
  return Object.assign(state, { port: (listener.address() as AddressInfo).port });
}
