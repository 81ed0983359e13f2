/** Webhooks over TLS: a receiver whose certificate is trusted is given the batch, another one nothing. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { temporaryDirectory } from "../system/temporary.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const skip = hasOpenssl || process.env["CI"] === "true" ? false : "openssl is not here to make a certificate";

test("a certificate that is not trusted is unavailable and is sent nothing", { skip }, async () => {
  using directory = temporaryDirectory();
  const [key, cert] = [join(directory.path, "key.pem"), join(directory.path, "cert.pem")];
  const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...names];
  assert.equal(spawnSync("openssl", made).status, 0);
  const secret = `whsec_${Buffer.alloc(32, 9).toString("base64")}`;
  let verified = 0;
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      new Webhook(secret).verify(Buffer.concat(pieces), request.headers as Record<string, string>);
      verified++;
      response.end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    const fixture = join(import.meta.dirname, "tls.fixture.ts");
    const deliver = async (env: NodeJS.ProcessEnv) => {
      const run = promisify(execFile)(process.execPath, ["--conditions=source", fixture, url, secret], { env });
      return (await run).stdout.trim();
    };
    assert.match(await deliver(process.env), /^unavailable: .*DEPTH_ZERO_SELF_SIGNED_CERT/);
    assert.equal(verified, 0);
    assert.equal(await deliver({ ...process.env, NODE_EXTRA_CA_CERTS: cert }), "taken");
    assert.equal(verified, 1);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
