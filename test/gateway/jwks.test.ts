/** Keys from a JWKS document, as identity providers publish them. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { systemClock } from "../../src/adapters/system/clock.ts";
import { type JwtOptions, jwtAuthentication } from "../../src/gateway/jwt.ts";
import { isHoldfastError } from "../../src/model/errors.ts";
import { send } from "../hostile/request.ts";
import { audience, issuer, startTarget, type Target } from "../hostile/target.ts";

const now = Math.floor(Date.now() / 1000);
const claims = { iss: issuer, aud: audience, sub: "ann", iat: now, exp: now + 600 };

async function publish(keys: readonly object[]) {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked++;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ keys }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    asked: () => asked,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const start = (jwksUrl: string): Promise<Target> =>
  startTarget(
    {},
    {
      authenticate: jwtAuthentication({
        issuer,
        audience,
        algorithms: ["ES256"],
        keys: { jwksUrl },
        clock: systemClock,
      }),
    },
  );

async function status(target: Target, token: string): Promise<number> {
  return (
    await send(target.port, {
      path: "/v1/entities/wallet/ann/queries/balance",
      headers: { authorization: `Bearer ${token}` },
    })
  ).status;
}

test("a token of a published key is taken, one of another key is not, and keys are fetched once", async () => {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const other = await generateKeyPair("ES256");
  const provider = await publish([{ ...(await exportJWK(publicKey)), kid: "one", alg: "ES256" }]);
  try {
    await using target = await start(provider.url);
    const sign = (key: typeof privateKey, kid: string) =>
      new SignJWT(claims).setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid }).sign(key);
    for (let count = 0; count < 5; count++) assert.equal(await status(target, await sign(privateKey, "one")), 200);
    assert.equal(await status(target, await sign(other.privateKey, "one")), 401);
    for (let count = 0; count < 20; count++)
      assert.equal(await status(target, await sign(privateKey, `unknown-${count}`)), 401);
    assert.equal(provider.asked(), 1, "unknown key ids do not make us ask the provider again and again");
    // The public key as a shared secret: the classic confusion of algorithms.
    const confused = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", kid: "one" })
      .sign(new TextEncoder().encode(JSON.stringify(await exportJWK(publicKey))));
    assert.equal(await status(target, confused), 401);
  } finally {
    await provider.close();
  }
});

test("keys that cannot be fetched are answered as unavailable, not as a bad token", async () => {
  const provider = await publish([]);
  await provider.close();
  await using target = await start(provider.url);
  const { privateKey } = await generateKeyPair("ES256");
  assert.equal(
    await status(target, await new SignJWT(claims).setProtectedHeader({ alg: "ES256", kid: "one" }).sign(privateKey)),
    503,
  );
});

test("settings under which somebody else's token could be taken are refused", () => {
  const good: JwtOptions = {
    issuer,
    audience,
    algorithms: ["ES256"],
    keys: { jwks: { keys: [] } },
    clock: systemClock,
  };
  jwtAuthentication(good);
  const bad: readonly object[] = [
    { issuer: "" },
    { issuer: undefined },
    { audience: "" },
    { audience: undefined },
    { algorithms: [] },
    { algorithms: undefined },
    { algorithms: ["none"] },
    { algorithms: ["ES256", "none"] },
    { algorithms: ["HS256"] },
    { algorithms: ["HS256"], keys: { secret: new Uint8Array(31) } },
    { keys: { secret: new Uint8Array(32) } },
    { keys: { jwksUrl: "http://issuer.example/keys" } },
  ];
  for (const change of bad) {
    assert.throws(
      () => jwtAuthentication({ ...good, ...change }),
      (error: unknown) => isHoldfastError(error) && error.code === "invalid-configuration",
      JSON.stringify(change),
    );
  }
});
