/** What honest HTTP clients, browsers and operators get. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { isUuidV7 } from "../../src/std/uuid.ts";
import { type Answer, send } from "../hostile/request.ts";
import { open } from "../hostile/socket.ts";
import { requestId, sign, startTarget, type Target } from "../hostile/target.ts";

const own = "/v1/entities/wallet/ann";

async function call(
  target: Target,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  method = body === undefined ? "GET" : "POST",
): Promise<Answer> {
  return send(target.port, {
    method,
    path,
    headers: {
      authorization: `Bearer ${await sign({ sub: "ann" })}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

test("a command is carried out and answered with its version, as value and as ETag", async () => {
  await using target = await startTarget();
  const answer = await call(target, `${own}/commands/credit`, { amount: 5 });
  assert.equal(answer.status, 200);
  const { value, version } = JSON.parse(answer.text) as { value: unknown; version: number };
  assert.deepEqual(value, { balance: 5 });
  assert.equal(answer.headers.etag, `"${version}"`);
  assert.ok(isUuidV7(answer.headers["idempotency-key"]));
});

test("queries take their input in the URL or in the body", async () => {
  await using target = await startTarget();
  const input = { list: [1, "ä+b&c=d %"] };
  const byUrl = await call(target, `${own}/queries/echo?input=${encodeURIComponent(JSON.stringify(input))}`);
  const byBody = await call(target, `${own}/queries/echo`, input);
  assert.deepEqual((JSON.parse(byUrl.text) as { value: unknown }).value, input);
  assert.deepEqual((JSON.parse(byBody.text) as { value: unknown }).value, input);
  const head = await call(target, `${own}/queries/balance`, undefined, {}, "HEAD");
  assert.deepEqual([head.status, head.text], [200, ""]);
});

test("a view is answered once without events asked for", async () => {
  await using target = await startTarget();
  await call(target, `${own}/commands/credit`, { amount: 5 });
  const answer = await call(target, `${own}/views/public`);
  assert.deepEqual((JSON.parse(answer.text) as { value: unknown }).value, { balance: 5 });
});

test("If-Match runs a command only at that version, If-None-Match: * only if there is nothing yet", async () => {
  await using target = await startTarget();
  const first = await call(target, `${own}/commands/credit`, { amount: 5 }, { "if-none-match": "*" });
  assert.equal(first.status, 200, first.text);
  assert.equal((await call(target, `${own}/commands/credit`, { amount: 5 }, { "if-none-match": "*" })).status, 412);
  const second = await call(target, `${own}/commands/credit`, { amount: 5 }, { "if-match": first.headers.etag ?? "" });
  assert.equal(second.status, 200, second.text);
  const stale = await call(target, `${own}/commands/credit`, { amount: 5 }, { "if-match": first.headers.etag ?? "" });
  assert.deepEqual([stale.status, stale.code, stale.headers.etag], [412, "version-mismatch", second.headers.etag]);
});

test("a rejection is a problem with the application's reason", async () => {
  await using target = await startTarget();
  const answer = await call(target, `${own}/commands/debit`, { amount: 5 });
  const { status, code, reason, details, retryable } = JSON.parse(answer.text) as Record<string, unknown>;
  assert.deepEqual(
    { status, code, reason, details, retryable },
    { status: 409, code: "rejected", reason: "insufficient-funds", details: { balance: 0 }, retryable: false },
  );
});

test("the same Idempotency-Key has one effect, in quotes and upper case too", async () => {
  await using target = await startTarget();
  const id = requestId();
  const first = await call(target, `${own}/commands/credit`, { amount: 5 }, { "idempotency-key": id });
  for (const form of [id, `"${id}"`, id.toUpperCase()]) {
    const again = await call(target, `${own}/commands/credit`, { amount: 5 }, { "idempotency-key": form });
    assert.equal(again.text, first.text);
  }
});

test("pages of an origin on the list may call, others see no CORS header", async () => {
  await using target = await startTarget({}, { allowedOrigins: ["https://app.example"] });
  const preflight = await send(target.port, {
    method: "OPTIONS",
    path: `${own}/commands/credit`,
    headers: {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,idempotency-key",
    },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers["access-control-allow-origin"], "https://app.example");
  assert.match(preflight.headers["access-control-allow-methods"] ?? "", /POST/);
  assert.match(preflight.headers["access-control-allow-headers"] ?? "", /Idempotency-Key/);
  assert.equal(preflight.headers["access-control-allow-credentials"], undefined);
  const answer = await call(target, `${own}/queries/balance`, undefined, { origin: "https://app.example" });
  assert.deepEqual(
    [answer.status, answer.headers["access-control-allow-origin"], answer.headers.vary],
    [200, "https://app.example", "Origin"],
  );
  assert.equal((await call(target, `${own}/queries/balance`)).headers["access-control-allow-origin"], undefined);
  const socket = await open(target.port, "json", await sign({ sub: "ann" }), { origin: "https://app.example" });
  socket.end();
});

test("an origin that is none is refused as a setting", async () => {
  for (const origin of ["https://app.example/", "app.example", "*", "null", "https://app.example/path"]) {
    await assert.rejects(
      startTarget({}, { allowedOrigins: [origin] }),
      (error: unknown) => isHoldfastError(error) && error.code === "invalid-configuration",
    );
  }
});

test("a page is served with its files, and nothing outside its directory", async () => {
  const directory = await mkdtemp(join(tmpdir(), "holdfast-page-"));
  const root = join(directory, "page");
  await mkdir(join(root, "assets"), { recursive: true });
  await writeFile(join(directory, "secret.txt"), "secret");
  await writeFile(join(root, "index.html"), "<!doctype html><title>page</title>");
  await writeFile(join(root, "assets", "index-a1B2c3D4.js"), "export {};");
  await writeFile(join(root, ".env"), "secret");
  await writeFile(join(root, ".hidden.txt"), "secret");
  await writeFile(join(root, "page.key"), "secret");
  await symlink(join(directory, "secret.txt"), join(root, "link.txt"));
  try {
    await using target = await startTarget({}, { staticDirectory: root });
    const get = (path: string, headers: Record<string, string> = {}) => send(target.port, { path, headers });
    for (const path of ["/", "/index.html", "/tables/7"]) {
      const page = await get(path);
      assert.deepEqual(
        [page.status, page.text, page.headers["cache-control"]],
        [200, "<!doctype html><title>page</title>", "no-cache"],
        path,
      );
      assert.match(page.headers["content-security-policy"] as string, /script-src 'self'.*frame-ancestors 'none'/);
      assert.equal(page.headers["x-content-type-options"], "nosniff");
    }
    const script = await get("/assets/index-a1B2c3D4.js");
    assert.deepEqual([script.text, script.headers["content-type"]], ["export {};", "text/javascript; charset=utf-8"]);
    assert.match(script.headers["cache-control"] ?? "", /immutable/);
    assert.equal((await get("/", { "if-none-match": (await get("/")).headers.etag ?? "" })).status, 304);
    const outside = [
      "/../secret.txt",
      "/%2e%2e/secret.txt",
      "/..%2fsecret.txt",
      "/%2e%2e%2fsecret.txt",
      "/assets/..%2f..%2fsecret.txt",
      "/..\\secret.txt",
      "/%5c..%5csecret.txt",
      "/link.txt",
      "/.env",
      "/.hidden.txt",
      "/page.key",
      "/assets/",
      "/secret.txt",
      "/index.html%00.js",
      "/%ff",
      "/assets//index-a1B2c3D4.js",
      "/v1/secret.txt",
      "/%252e%252e/secret.txt",
      "/C:/secret.txt",
      "/index.html/",
    ];
    for (const path of outside) {
      const answer = await get(path);
      assert.ok(!answer.text.includes("secret"), path);
      assert.ok(answer.status === 404 || answer.text.startsWith("<!doctype html>"), `${path}: ${answer.status}`);
    }
    assert.equal((await send(target.port, { method: "POST", path: "/index.html" })).status, 405);
    await target.stillServing();
  } finally {
    await rm(directory, { recursive: true });
  }
});

test("development authentication says what it is and does not start in production", async () => {
  const warned: string[] = [];
  await using target = await startTarget(
    {},
    { authenticate: developmentAuthentication({ warn: (text) => warned.push(text) }) },
  );
  assert.match(warned.join(), /DEVELOPMENT AUTHENTICATION/);
  const answer = await send(target.port, {
    path: `${own}/queries/balance`,
    headers: { authorization: "Bearer dev:ann" },
  });
  assert.deepEqual([answer.status, answer.headers["x-holdfast-development"]], [200, "true"]);
  for (const token of ["dev:", "dev:a b", "ann", "dev:../x"]) {
    assert.equal(
      (await send(target.port, { path: `${own}/queries/balance`, headers: { authorization: `Bearer ${token}` } }))
        .status,
      401,
    );
  }
  assert.equal(
    (await send(target.port, { path: `${own}/queries/balance` })).status,
    403,
    "no token is the principal anonymous, which may not",
  );
  const before = process.env["NODE_ENV"];
  process.env["NODE_ENV"] = "production";
  try {
    assert.throws(
      () => developmentAuthentication({ warn: () => {} }),
      (error: unknown) => isHoldfastError(error) && error.code === "invalid-configuration",
    );
  } finally {
    if (before === undefined) delete process.env["NODE_ENV"];
    else process.env["NODE_ENV"] = before;
  }
});

test("a hook that breaks is answered as unavailable, and reported without its words", async () => {
  await using target = await startTarget({}, { authenticate: () => Promise.reject(new TypeError("canary")) });
  const answer = await send(target.port, { path: `${own}/queries/balance`, headers: { authorization: "Bearer x" } });
  assert.deepEqual([answer.status, answer.code], [503, "unavailable"]);
  assert.ok(!answer.text.includes("canary"));
  assert.deepEqual(target.problems, [{ where: "authenticate", code: "unavailable", thrown: "TypeError" }]);
});

test("a hook that never answers ends with a deadline on both doors", async () => {
  await using target = await startTarget({ handshakeMs: 100 }, { authenticate: () => new Promise(() => {}) });
  assert.equal((await send(target.port, { path: `${own}/queries/balance` })).status, 503);
  const socket = await open(target.port, "json");
  socket.send([{ t: "hello", token: "x" }]);
  assert.ok([4001, 4408].includes(await socket.closed));
});

test("a hook cannot make somebody the system", async () => {
  for (const kind of ["system", "entity", "root"]) {
    await using target = await startTarget(
      {},
      { authenticate: () => Promise.resolve({ principal: { kind: kind as "user", id: "x" } }) },
    );
    assert.equal((await send(target.port, { path: `${own}/queries/balance` })).status, 503);
  }
});

test("readyz says what the node is doing", async () => {
  await using target = await startTarget();
  const answer = await send(target.port, { path: "/readyz" });
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.text), { phase: "serving", recovered: 0, toRecover: 0, readOnly: false });
  assert.equal((await send(target.port, { path: "/livez" })).status, 200);
});

test("a port that is taken is a setting that cannot work", async () => {
  await using target = await startTarget();
  await assert.rejects(
    startTarget({}, { port: target.port }),
    (error: unknown) => isHoldfastError(error) && error.code === "invalid-configuration",
  );
});
