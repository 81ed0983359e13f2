/** Settings between nodes that cannot work, or that would let anybody in, are refused with what to do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isHoldfastError } from "../../model/errors.ts";
import { noted, secret } from "./peers.harness.ts";
import { type PeersOptions, peersTransport } from "./transport.ts";

const refused = (words: RegExp) => (error: unknown) =>
  isHoldfastError(error) && error.code === "invalid-configuration" && words.test(error.message);

test("a node that could not tell a node of the cluster from anybody else does not listen", () => {
  for (const options of [
    {},
    { secrets: [] },
    { tls: { cert: "c", key: "k" } },
    { tls: { cert: "c", key: "k", ca: "a" } },
    { tls: { cert: "c", key: "k", requestCert: true } },
    { tls: { cert: "c", key: "k", ca: "a", requestCert: false } },
  ] satisfies PeersOptions[])
    assert.throws(() => peersTransport(options), refused(/secret between them, or TLS/));
  for (const secrets of [[""], ["x".repeat(31)], [secret, "short"]])
    assert.throws(() => peersTransport({ secrets }), refused(/at least 32 characters/));
});

test("a node that listens on all addresses says where others find it", async () => {
  for (const host of ["0.0.0.0", "::"])
    assert.throws(() => peersTransport({ secrets: [secret], host }), refused(/advertise/));
  const node = await noted("a", { advertise: "node-a.example:7400" });
  assert.equal(node.transport.address, "ws://node-a.example:7400");
  await node.transport.close();
});

test("a port that is taken, and too much to tell of oneself, are refused", async () => {
  const node = await noted("a");
  try {
    await assert.rejects(noted("b", { port: node.port }), refused(/EADDRINUSE/));
    const opening = peersTransport({ secrets: [secret] })({
      self: { node: "b", generation: 1 },
      info: "x".repeat(16 * 1024),
      opened: () => assert.fail(),
    });
    await assert.rejects(opening, refused(/too large/));
  } finally {
    await node.transport.close();
  }
});
