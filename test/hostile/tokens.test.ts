/** Tokens that were not issued for this, on both doors. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { after, before, test } from "node:test";
import { SignJWT } from "jose";
import { send } from "./request.ts";
import { open } from "./socket.ts";
import { audience, issuer, secret, sign, startTarget, type Target } from "./target.ts";

const nowSeconds = Math.floor(Date.now() / 1000);
const good = { iss: issuer, aud: audience, sub: "mallory", iat: nowSeconds, exp: nowSeconds + 600 };

const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const unsigned = (header: unknown, claims: unknown, signature = ""): string =>
  `${base64(header)}.${base64(claims)}.${signature}`;

async function signed(
  claims: Record<string, unknown>,
  header: Record<string, unknown> = {},
  key: Uint8Array = secret,
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT", ...header }).sign(key);
}

const without = (claim: keyof typeof good): Record<string, unknown> =>
  Object.fromEntries(Object.entries(good).filter(([name]) => name !== claim));

const tokens: readonly { readonly name: string; readonly make: () => string | Promise<string> }[] = [
  { name: "text", make: () => "hello" },
  { name: "three dots", make: () => "..." },
  {
    name: "of another secret",
    make: () => signed(good, {}, new TextEncoder().encode("another secret of 32 bytes or more")),
  },
  { name: "with alg none", make: () => unsigned({ alg: "none", typ: "JWT" }, good) },
  { name: "with alg None", make: () => unsigned({ alg: "None", typ: "JWT" }, good) },
  {
    name: "with alg none and a signature",
    make: async () => unsigned({ alg: "none" }, good, (await signed(good)).split(".")[2]),
  },
  { name: "without a signature", make: async () => `${(await signed(good)).split(".").slice(0, 2).join(".")}.` },
  {
    name: "with claims changed after signing",
    make: async () => {
      const [head, , signature] = (await signed(good)).split(".");
      return `${head}.${base64({ ...good, sub: "good" })}.${signature}`;
    },
  },
  { name: "with another algorithm of the same secret", make: () => signed(good, { alg: "HS512" }) },
  {
    name: "signed with a private key that it brings along",
    make: async () => {
      const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return new SignJWT(good)
        .setProtectedHeader({ alg: "ES256", typ: "JWT", jwk: publicKey.export({ format: "jwk" }) as never })
        .sign(privateKey);
    },
  },
  { name: "that ended", make: () => signed({ ...good, iat: nowSeconds - 700, exp: nowSeconds - 60 }) },
  { name: "without an end", make: () => signed(without("exp")) },
  { name: "with an end that is text", make: () => signed({ ...good, exp: "never" }) },
  { name: "without a time of issue", make: () => signed(without("iat")) },
  { name: "issued tomorrow", make: () => signed({ ...good, iat: nowSeconds + 86_400, exp: nowSeconds + 90_000 }) },
  { name: "not valid yet", make: () => signed({ ...good, nbf: nowSeconds + 3_600 }) },
  {
    name: "issued last year with an end next year",
    make: () => signed({ ...good, iat: nowSeconds - 31_536_000, exp: nowSeconds + 31_536_000 }),
  },
  { name: "of another issuer", make: () => signed({ ...good, iss: "https://evil.example" }) },
  { name: "without an issuer", make: () => signed(without("iss")) },
  { name: "for another audience", make: () => signed({ ...good, aud: "another-service" }) },
  { name: "for no audience", make: () => signed(without("aud")) },
  { name: "without a subject", make: () => signed(without("sub")) },
  { name: "with an empty subject", make: () => signed({ ...good, sub: "" }) },
  { name: "with a subject that is an object", make: () => signed({ ...good, sub: { toString: "good" } }) },
  { name: "with a subject of 10,000 characters", make: () => signed({ ...good, sub: "x".repeat(5_000) }) },
  { name: "of another type", make: () => signed(good, { typ: "logout+jwt" }) },
  {
    name: "with a critical header nobody knows",
    make: () => unsigned({ alg: "HS256", typ: "JWT", crit: ["admin"], admin: true }, good, "x"),
  },
];

let target: Target;
before(async () => {
  target = await startTarget();
});
after(() => target[Symbol.asyncDispose]());

for (const { name, make } of tokens) {
  test(`a token ${name} is refused by HTTP and by WebSocket`, async () => {
    const token = await make();
    const answer = await send(target.port, {
      path: "/v1/entities/wallet/mallory/queries/balance",
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(answer.status, 401, answer.text);
    assert.equal(answer.code, "unauthenticated");
    assert.ok(!answer.text.includes(token));
    const socket = await open(target.port, "json");
    socket.send([{ t: "hello", token }]);
    assert.equal(await socket.closed, 4401);
    assert.deepEqual(
      socket.messages.map((message) => (message.t === "error" ? message.code : message.t)),
      ["unauthenticated"],
    );
    await target.stillServing();
  });
}

test("a token is needed", async () => {
  const socket = await open(target.port, "json");
  socket.send([{ t: "hello" }]);
  assert.equal(await socket.closed, 4401);
});

test("a connection whose token ends is closed with 4401", async () => {
  const socket = await open(target.port, "json", await sign({ sub: "mallory" }, 1));
  assert.equal(await socket.closed, 4401);
  await target.stillServing();
});

test("a connection whose token was refreshed stays, and roles are those of the new one", async () => {
  const socket = await open(target.port, "json", await sign({ sub: "mallory" }, 1));
  const forbidden = await socket.ask(
    [{ t: "subscribe", id: 1, type: "wallet", key: "good", view: "public" }],
    (message) => message.t === "ended",
  );
  assert.equal((forbidden as { code: string }).code, "forbidden");
  socket.send([{ t: "refresh", token: await sign({ sub: "mallory", roles: ["auditor"] }) }]);
  for (let id = 2; ; id++) {
    const answer = await socket.ask(
      [{ t: "query", id, type: "wallet", key: "good", name: "balance" }],
      (message) => "id" in message && message.id === id,
    );
    if (answer.t === "reply") break;
  }
  // Past the end of the first token, with a sweep in between.
  await new Promise((resolve) => setTimeout(resolve, 2_200));
  await socket.ask([{ t: "ping" }], (message) => message.t === "pong");
  socket.end();
});

test("a view that the new token may not see ends with the refresh", async () => {
  const socket = await open(target.port, "json", await sign({ sub: "mallory", roles: ["auditor"] }));
  await socket.ask(
    [{ t: "subscribe", id: 1, type: "wallet", key: "good", view: "public" }],
    (message) => message.t === "absolute",
  );
  const ended = await socket.ask(
    [{ t: "refresh", token: await sign({ sub: "mallory" }) }],
    (message) => message.t === "ended",
  );
  assert.deepEqual([(ended as { id: number }).id, (ended as { code: string }).code], [1, "forbidden"]);
  await target.stillServing();
  assert.deepEqual(socket.messages, []);
  socket.end();
});

test("a refresh with another principal's token, or a bad one, closes with 4401", async () => {
  for (const token of [await sign({ sub: "good" }), "nonsense"]) {
    const socket = await open(target.port, "json", await sign({ sub: "mallory" }));
    socket.send([{ t: "refresh", token }]);
    assert.equal(await socket.closed, 4401);
  }
  await target.stillServing();
});
