/** Nodes that tell each other by certificates, alone and beside a secret, keep the contract; who has none of their authority is not spoken with. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { limitsWith } from "../../model/limits.ts";
import { testTransport } from "../../ports/transport.contract.ts";
import { systemClock } from "../system/clock.ts";
import { temporaryDirectory } from "../system/temporary.ts";
import { noted, secret, tcp, until } from "./peers.harness.ts";
import { type PeersOptions, type PeersTls, peersTransport } from "./transport.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const skip = hasOpenssl || process.env["CI"] === "true" ? undefined : "openssl is not here to make certificates";
const directory = temporaryDirectory();
after(() => directory[Symbol.dispose]());

function openssl(args: readonly string[]): void {
  const made = spawnSync("openssl", args, { encoding: "utf8" });
  assert.equal(made.status, 0, made.stderr);
}

/** A certificate for 127.0.0.1 by an authority of this name. */
function certificate(authority: string): PeersTls {
  const at = (name: string): string => join(directory.path, `${authority}-${name}.pem`);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl(["req", "-x509", ...key, "-keyout", at("ca-key"), "-out", at("ca"), "-subj", `/CN=${authority}`]);
  const names = ["-subj", "/CN=node", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
  const signed = ["-CA", at("ca"), "-CAkey", at("ca-key")];
  openssl(["req", "-x509", ...key, "-keyout", at("key"), "-out", at("cert"), ...names, ...signed]);
  const [ca, cert, own] = [at("ca"), at("cert"), at("key")].map((path) => readFileSync(path));
  return { ca: ca as Buffer, cert: cert as Buffer, key: own as Buffer, requestCert: true };
}

const known = skip === undefined ? certificate("cluster") : {};
const other = skip === undefined ? certificate("elsewhere") : {};
const limits = limitsWith({ peersMax: 6 });
const pass = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

for (const secrets of [[], [secret]]) {
  testTransport(
    `WebSockets over TLS, certificates on both sides${secrets.length > 0 ? ", and a secret" : ""}`,
    async () => ({
      limits,
      // Who has another secret has another authority's certificate here.
      opener: ({ secret: another, versions }) => {
        const options: PeersOptions = { limits, secrets, tls: another === undefined ? known : other };
        return peersTransport(versions === undefined ? options : { ...options, versions });
      },
      pass,
      dispose: async () => {},
    }),
    { skip },
  );
}

test("with certificates the secret must be right all the same, and without them nobody gets as far", {
  skip: skip ?? false,
}, async () => {
  const a = await noted("a", { tls: known });
  const wrong = await noted("b", { tls: known, secrets: ["another secret, which is just as long as it must be"] });
  const plain = await noted("c");
  try {
    assert.match(a.transport.address, /^wss:/);
    await assert.rejects(wrong.transport.dial(a.transport.address, a.self), isUnavailable);
    assert.deepEqual(a.refused, ["The secrets are not the same."]);
    await assert.rejects(plain.transport.dial(a.transport.address.replace("wss:", "ws:"), a.self), isUnavailable);
    await assert.rejects(a.transport.dial(plain.transport.address, plain.self), isUnavailable);
    const silent = await tcp(a.port);
    silent.write("nothing of TLS");
    silent.resume();
    await until(() => silent.closed);
    assert.deepEqual([a.opened, plain.opened], [[], []]);
  } finally {
    for (const node of [a, wrong, plain]) await node.transport.close();
  }
});

function isUnavailable(error: unknown): boolean {
  return isHoldfastError(error) && error.code === "unavailable";
}
