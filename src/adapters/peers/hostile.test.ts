/** The peer port in the face of what no node would send: nothing of it opens a connection, and none costs more than its limits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isHoldfastError } from "../../model/errors.ts";
import { decodePlain, encodePlain } from "../../wire/codec.ts";
import { peerProtocol } from "../../wire/peer.ts";
import { peerLimits } from "../../wire/peer-codec.ts";
import { Dialing, type Handshake, Listening } from "./handshake.ts";
import { closing, impostor, limits, noted, party, secret, stranger, tcp, until, wiretap } from "./peers.harness.ts";

test("a connection that says nothing, half of something or not what is spoken here ends by itself", async () => {
  const node = await noted("a");
  const upgrade = `GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n`;
  const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const said = [
    "",
    "GET / HT",
    "GET / HTTP/1.1\r\nHost: x\r\n",
    "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    `${upgrade}${key}\r\n`,
    `${upgrade}${key}Sec-WebSocket-Protocol: holdfast.v1\r\n\r\n`,
    `${upgrade}Sec-WebSocket-Protocol: ${peerProtocol}\r\n\r\n`,
    `GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}`,
  ];
  try {
    for (const bytes of said) {
      const socket = await tcp(node.port);
      const closed = closing(socket);
      socket.resume();
      socket.write(bytes);
      await closed;
    }
    assert.deepEqual(node.opened, []);
  } finally {
    await node.transport.close();
  }
});

test("a WebSocket without the handshake ends: silent, with garbage, with text, with too much, with the wrong message", async () => {
  const node = await noted("a");
  const frames: readonly (readonly (Uint8Array | string)[])[] = [
    [],
    [Buffer.from("garbage")],
    ["text"],
    [new Uint8Array(limits.peerHandshakeBytesMax + 1)],
    [new Uint8Array(limits.peerFrameBytesMax)],
    [new Uint8Array(limits.peerFrameBytesMax + 1)],
    [encodePlain({ t: "proof", mac: "" }, "msgpack")],
    [encodePlain({ t: "welcome", mac: "" }, "msgpack")],
    [encodePlain([], "msgpack")],
    [encodePlain({ t: "hello", from: { node: "x", generation: 1 }, to: node.self, nonce: "", info: {} }, "msgpack")],
    [new Dialing(party("b"), { node: "c", generation: 1 }).hello],
    [new Dialing(party("b"), node.self).hello, Buffer.from("garbage")],
    [new Dialing(party("b"), node.self).hello, new Dialing(party("b"), node.self).hello],
    [new Dialing(party("b"), node.self).hello, encodePlain({ t: "proof", mac: "" }, "msgpack")],
    [new Dialing(party("b"), node.self).hello, encodePlain({ t: "proof", mac: 1 }, "msgpack")],
    [new Dialing(party("b"), node.self).hello],
  ];
  try {
    for (const said of frames) {
      const socket = await stranger(node.port);
      const closed = closing(socket);
      for (const frame of said) socket.send(frame);
      await closed;
    }
    assert.deepEqual(node.opened, []);
    assert.ok(node.refused.length >= frames.length);
    assert.ok(!node.refused.some((detail) => detail.includes(secret)));
  } finally {
    await node.transport.close();
  }
});

test("who sends fragments of a frame for ever before the handshake is over is cut off by its bytes", async () => {
  const node = await noted("a");
  try {
    const socket = await stranger(node.port);
    const closed = closing(socket);
    const more = (): void => {
      if (socket.readyState === socket.OPEN)
        socket.send(new Uint8Array(1_000), { fin: false }, () => setImmediate(more));
    };
    more();
    await closed;
    assert.deepEqual(node.refused, ["The other side said more than a handshake has."]);
  } finally {
    await node.transport.close();
  }
});

test("connections in their handshake are bounded; those that are open go on, and new ones come when there is room", async () => {
  const [a, b, c] = [await noted("a"), await noted("b"), await noted("c")];
  try {
    const connection = await b.transport.dial(a.transport.address, a.self);
    const idle = await Promise.all(Array.from({ length: 3 * limits.peerHandshakesMax }, () => tcp(a.port)));
    await until(() => a.refused.length >= 2 * limits.peerHandshakesMax);
    await assert.rejects(c.transport.dial(a.transport.address, a.self), isUnavailable);
    assert.equal(connection.send({ body: "still" }), true);
    await until(() => a.messages.length === 1);
    for (const socket of idle) socket.resume();
    await Promise.all(idle.filter((one) => !one.destroyed).map((one) => closing(one)));
    await c.transport.dial(a.transport.address, a.self);
    assert.deepEqual(a.closed, []);
  } finally {
    for (const node of [a, b, c]) await node.transport.close();
  }
});

test("the secret is not on the wire, in no form that can be looked for, and neither is a proof for who has proved nothing", async () => {
  const [a, b] = [await noted("a"), await noted("b")];
  const tap = await wiretap(a.port);
  try {
    await b.transport.dial(`ws://127.0.0.1:${tap.port}`, a.self);
    const wire = Buffer.concat([...tap.toListener, ...tap.toDialer]).toString("latin1");
    for (const form of [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret).toString("hex")])
      assert.ok(!wire.includes(form));
    const listening = new Listening(party("a"), () => false);
    const challenge = listening.take(new Dialing(party("b"), party("a").self).hello).send as Uint8Array;
    for (const told of ["mac", "info", "of myself"]) assert.ok(!Buffer.from(challenge).includes(told));
    assert.throws(() => listening.take(encodePlain({ t: "proof", mac: "AA==" }, "msgpack")), isUnavailable);
  } finally {
    tap.close();
    for (const node of [a, b]) await node.transport.close();
  }
});

test("a handshake that was written down opens nothing when it is played again", async () => {
  const [a, b] = [await noted("a"), await noted("b")];
  const tap = await wiretap(a.port);
  try {
    await b.transport.dial(`ws://127.0.0.1:${tap.port}`, a.self);
    await until(() => a.opened.length === 1);
    const socket = await tcp(a.port);
    const closed = closing(socket);
    socket.resume();
    for (const chunk of tap.toListener) socket.write(chunk);
    await closed;
    assert.equal(a.opened.length, 1);
    assert.ok(a.refused.includes("The secrets are not the same."));
  } finally {
    tap.close();
    for (const node of [a, b]) await node.transport.close();
  }
});

/** Both sides in one place; `meddle` may change what the side of that name says. */
function shake(dialer: Dialing, listener: Handshake, meddle: (frame: Uint8Array, step: number) => Uint8Array): boolean {
  const challenge = listener.take(meddle(dialer.hello, 0)).send as Uint8Array;
  const proof = dialer.take(meddle(challenge, 1)).send as Uint8Array;
  const { send, agreed } = listener.take(meddle(proof, 2));
  return agreed !== undefined && dialer.take(meddle(send as Uint8Array, 3)).agreed !== undefined;
}

test("a handshake in which any bit was turned agrees on nothing", () => {
  const sides = () => [new Dialing(party("b"), party("a").self), new Listening(party("a"), () => false)] as const;
  assert.equal(
    shake(...sides(), (frame) => frame),
    true,
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.nat({ max: 10_000 }), (meddled, place) => {
      const turn = (frame: Uint8Array, step: number): Uint8Array => {
        if (step !== meddled) return frame;
        const turned = Uint8Array.from(frame);
        const bit = place % (8 * turned.length);
        turned[bit >> 3] = (turned[bit >> 3] as number) ^ (1 << (bit & 7));
        return turned;
      };
      try {
        return !shake(...sides(), turn);
      } catch (error) {
        return isUnavailable(error);
      }
    }),
    { numRuns: 2_000 },
  );
});

test("what a node tells of itself is under its proof", () => {
  const listening = new Listening(party("a"), () => false);
  const dialing = new Dialing(party("b"), party("a").self);
  const proof = dialing.take(listening.take(dialing.hello).send as Uint8Array).send as Uint8Array;
  const said = decodePlain(proof, "msgpack", peerLimits(limits)) as { readonly info: string };
  assert.deepEqual(JSON.parse(said.info), party("b").info);
  assert.throws(() => listening.take(encodePlain({ ...said, info: "{}" }, "msgpack")), isUnavailable);
});

test("a proof of the one side is none of the other", () => {
  const [self, peer] = [party("a"), party("a")];
  const listening = new Listening(self, () => false);
  const dialing = new Dialing(peer, self.self);
  const challenge = listening.take(dialing.hello).send as Uint8Array;
  const proof = dialing.take(challenge).send as Uint8Array;
  const reflected = decodePlain(proof, "msgpack", peerLimits(limits)) as { readonly mac: string };
  assert.throws(() => dialing.take(encodePlain({ ...reflected, t: "welcome" }, "msgpack")), isUnavailable);
});

test("a secret is replaced without an outage: all are accepted, the first is proved with", () => {
  const [old, next] = [secret, "another secret, which is just as long as it must be"];
  const meets = (dialer: readonly string[], listener: readonly string[]): boolean => {
    try {
      const listening = new Listening(party("a", listener), () => false);
      return shake(new Dialing(party("b", dialer), party("a").self), listening, (frame) => frame);
    } catch (error) {
      assert.ok(isUnavailable(error));
      return false;
    }
  };
  const steps = [[old], [old, next], [next, old], [next]];
  for (const [index, secrets] of steps.entries()) {
    for (const others of steps.slice(Math.max(0, index - 1), index + 2))
      assert.ok(meets(secrets, others), `${secrets.join()} and ${others.join()}`);
  }
  assert.equal(meets([old], [next]), false);
  assert.equal(meets([], [old]), false);
  assert.equal(meets([old], []), false);
});

test("what a known node sends against the protocol ends its connection, after what came before it", async () => {
  const node = await noted("a");
  try {
    for (const frame of [Buffer.from("garbage"), Buffer.alloc(0), Buffer.alloc(9, 255), "text"]) {
      const before = node.closed.length;
      const socket = await impostor(node);
      const closed = closing(socket);
      socket.send(frame);
      await closed;
      await until(() => node.closed.length === before + 1);
    }
    assert.deepEqual(new Set(node.closed), new Set(["what came is not of the protocol"]));
    assert.deepEqual(node.messages, []);
    const socket = await impostor(node);
    const closed = closing(socket);
    socket.send(new Uint8Array(limits.peerFrameBytesMax + 1));
    await closed;
    await until(() => node.closed.length === 5);
  } finally {
    await node.transport.close();
  }
});

test("a dialer that is answered by what is no node, or by one without the secret, is told that it is unavailable", async () => {
  const b = await noted("b");
  const silent = await wiretap(1);
  const a = await noted("a", { secrets: ["a secret that only this node knows of, and no other"] });
  try {
    const self = { node: "a", generation: 1 };
    for (const address of [
      `ws://127.0.0.1:${silent.port}`,
      a.transport.address,
      "ws://127.0.0.1:1",
      "wss://127.0.0.1:1",
      "http://127.0.0.1:1",
      "ws://",
      "",
    ])
      await assert.rejects(b.transport.dial(address, self), isUnavailable);
    assert.deepEqual(b.opened, []);
  } finally {
    silent.close();
    for (const node of [a, b]) await node.transport.close();
  }
});

function isUnavailable(error: unknown): boolean {
  return isHoldfastError(error) && error.code === "unavailable";
}
