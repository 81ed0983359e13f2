/**
 * The contract suite of transports: what every one must do, and do alike.
 *
 * One runs it with `testTransport(name, open)`. Each case opens one of its own, with as many nodes as it needs. Times are let pass, never
 * measured.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isHoldfastError } from "../model/errors.ts";
import type { Plain } from "../std/plain.ts";
import {
  assertRefused,
  close,
  connected,
  type Seen,
  type Suite,
  send,
  suiteOf,
  type TransportUnderTest,
} from "./transport.contract.kit.ts";

type Case = (suite: Suite) => Promise<void>;

export interface TransportSuiteOptions {
  /** Why none of it can run here. */
  readonly skip?: string | undefined;
}

/** Runs the whole suite against one transport. */
export function testTransport(
  name: string,
  open: () => Promise<TransportUnderTest>,
  options: TransportSuiteOptions = {},
): void {
  describe(`transport: ${name}`, { skip: options.skip ?? false }, () => {
    for (const [sentence, run] of Object.entries({ ...dialCases, ...messageCases, ...limitCases, ...endCases })) {
      test(sentence, async () => {
        const under = await open();
        const suite = suiteOf(under);
        try {
          await run(suite);
        } finally {
          await suite.close();
          await under.dispose();
        }
      });
    }
  });
}

const dialCases: Readonly<Record<string, Case>> = {
  "both sides know who the other is and what it tells of itself": async (suite) => {
    const info = { door: "http://a", tags: ["x", 1, null], nested: { deep: [[]] } };
    const [a, b] = [await suite.node("a", { info, generation: 7 }), await suite.node("b", { info: null })];
    const [mine, theirs] = await connected(suite, a, b);
    assert.deepEqual(mine.connection.peer, { node: "b", generation: 1 });
    assert.deepEqual(mine.connection.info, null);
    assert.deepEqual(theirs.connection.peer, { node: "a", generation: 7 });
    assert.deepEqual(theirs.connection.info, info);
  },
  "a dial resolves after its connection was reported, once on each side": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    const connection = await a.transport.dial(b.transport.address, b.self);
    assert.deepEqual(
      a.connections.map((one) => one.connection),
      [connection],
    );
    await suite.until(() => b.connections.length > 0, "the listener reports it");
    await suite.under.pass(20);
    assert.deepEqual([a.connections.length, b.connections.length], [1, 1]);
  },
  "a dial finds no node but the expected one": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b", { generation: 5 })];
    for (const expected of [
      { node: "c", generation: 5 },
      { node: "b", generation: 4 },
      { node: "b", generation: 6 },
    ])
      await assertRefused(a.transport.dial(b.transport.address, expected), "unavailable");
    await suite.under.pass(20);
    assert.deepEqual([a.connections.length, b.connections.length], [0, 0]);
    await connected(suite, a, b);
  },
  "a dial where nobody listens is unavailable": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    await b.transport.close();
    await assertRefused(a.transport.dial(b.transport.address, b.self), "unavailable");
    await assertRefused(a.transport.dial("nowhere", b.self), "unavailable");
    assert.equal(a.connections.length, 0);
  },
  "a node that does not know the secret is refused, whoever dials": async (suite) => {
    const a = await suite.node("a");
    const other = await suite.node("b", { secret: "another secret, which is just as long as it must be" });
    await assertRefused(a.transport.dial(other.transport.address, other.self), "unavailable");
    await assertRefused(other.transport.dial(a.transport.address, a.self), "unavailable");
    await suite.under.pass(20);
    assert.deepEqual([a.connections.length, other.connections.length], [0, 0]);
  },
  "the highest version that both speak is spoken, and without one a dial is refused": async (suite) => {
    const a = await suite.node("a", { versions: { min: 2, max: 4 } });
    const b = await suite.node("b", { versions: { min: 1, max: 3 } });
    const c = await suite.node("c", { versions: { min: 5, max: 9 } });
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const [mine, theirs] = await connected(suite, from, to);
      assert.deepEqual([mine.connection.version, theirs.connection.version], [3, 3]);
    }
    await assertRefused(a.transport.dial(c.transport.address, c.self), "unavailable");
    await assertRefused(c.transport.dial(a.transport.address, a.self), "unavailable");
  },
  "two dials at once between a pair are two connections, and both are reported on both sides": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    const dials = [a.transport.dial(b.transport.address, b.self), b.transport.dial(a.transport.address, a.self)];
    const [mine, theirs] = await Promise.all(dials);
    await suite.until(() => a.connections.length === 2 && b.connections.length === 2, "both are reported");
    assert.ok(send(a.seen(mine as never), "from a") && send(b.seen(theirs as never), "from b"));
    await suite.until(() => b.connections.some((one) => one.bodies.length > 0), "b hears a");
    await suite.until(() => a.connections.some((one) => one.bodies.length > 0), "a hears b");
    close(a.seen(mine as never), "one is enough");
    await suite.until(() => b.connections.some((one) => one.count("closed") === 1), "b hears that one is closed");
    assert.equal(send(b.seen(theirs as never), "still"), true);
    await suite.until(() => a.connections.some((one) => one.bodies.length === 2), "the other one goes on");
  },
};

const values: readonly Plain[] = [
  null,
  0,
  -1,
  1.5,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  "",
  "größe 筹码 🂡 \u2028 \0",
  [],
  {},
  [[[["deep"]]], { "": 0, "a.b": [true, false] }],
  { $sealed: "player/p-1.1.AAECAwQFBgcICQoL" },
];

const messageCases: Readonly<Record<string, Case>> = {
  "messages arrive once, in order, both ways": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const bodies = Array.from({ length: 2_000 }, (_, index) => ({ index, text: "x".repeat(index % 50) }));
    for (const [index, body] of bodies.entries()) {
      assert.ok(send(mine, body) && send(theirs, body));
      if (index % 97 === 0) await suite.under.pass(1);
    }
    await suite.until(() => mine.bodies.length >= 2_000 && theirs.bodies.length >= 2_000, "all arrive");
    await suite.under.pass(20);
    assert.deepEqual(mine.bodies, bodies);
    assert.deepEqual(theirs.bodies, bodies);
  },
  "plain data of all kinds arrives unchanged": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    for (const value of values) assert.ok(send(mine, value));
    await suite.until(() => theirs.bodies.length === values.length, "all arrive");
    assert.deepEqual(theirs.bodies, values);
  },
  "bytes arrive beside their message, unchanged, also none and no bytes at all": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const all = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
    const given = [new Uint8Array(0), all.subarray(7, 300), undefined, all, Uint8Array.of(0)];
    for (const [index, bytes] of given.entries()) assert.ok(send(mine, index, bytes));
    await suite.until(() => theirs.bodies.length === given.length, "all arrive");
    const arrived = theirs.heard.map((one) => (one.kind === "message" ? one.message.bytes : assert.fail()));
    assert.deepEqual(
      arrived.map((one) => one && [...one]),
      given.map((one) => one && [...one]),
    );
    assert.ok(
      theirs.heard.every(
        (one) => one.kind === "message" && "bytes" in one.message === (one.message.bytes !== undefined),
      ),
    );
  },
  "what was sent is not what arrives: neither side sees an object of the other's": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const body = { list: [1] };
    assert.ok(send(mine, body));
    body.list.push(2);
    await suite.until(() => theirs.bodies.length === 1, "it arrives");
    assert.deepEqual(theirs.bodies, [{ list: [1] }]);
  },
  "messages that were sent when a connection was reported arrive, behind that": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    const { push } = b.connections;
    b.connections.push = (...opened: Seen[]) => {
      for (const one of opened) assert.ok(send(one, "at once"));
      return push.apply(b.connections, opened);
    };
    const [mine, theirs] = await connected(suite, a, b);
    assert.ok(send(mine, "answer"));
    await suite.until(() => mine.bodies.length === 1 && theirs.bodies.length === 1, "both arrive");
    assert.deepEqual([mine.bodies, theirs.bodies], [["at once"], ["answer"]]);
  },
};

const limitCases: Readonly<Record<string, Case>> = {
  "a message as large as it may be arrives, one that is larger is refused and the connection goes on": async (
    suite,
  ) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const { peerFrameBytesMax } = suite.under.limits;
    assert.ok(send(mine, "below", new Uint8Array(peerFrameBytesMax - 64).fill(7)));
    for (const bytes of [peerFrameBytesMax, peerFrameBytesMax + 1, 2 * peerFrameBytesMax])
      assert.throws(() => send(mine, "above", new Uint8Array(bytes)), isTooLarge);
    assert.throws(() => send(mine, "x".repeat(peerFrameBytesMax)), isTooLarge);
    await suite.until(() => mine.connection.bufferedBytes === 0, "it has gone");
    assert.ok(send(mine, "x".repeat(peerFrameBytesMax - 64)));
    await suite.until(() => theirs.bodies.length === 2, "both arrive");
    const [first] = theirs.heard;
    assert.ok(first?.kind === "message" && first.message.bytes?.every((byte) => byte === 7));
    assert.equal(first.message.bytes?.length, peerFrameBytesMax - 64);
    assert.equal(mine.heard.length, 0);
  },
  "over what may wait nothing is taken, and when it has gone that is told once": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const { peerBufferedBytesMax } = suite.under.limits;
    const bytes = new Uint8Array(Math.floor(peerBufferedBytesMax / 10));
    let taken = 0;
    while (send(mine, taken, bytes)) assert.ok(++taken <= 10, "it ends");
    assert.ok(taken >= 8, `most of it is taken: ${taken}`);
    assert.ok(mine.connection.bufferedBytes > peerBufferedBytesMax / 2);
    assert.ok(mine.connection.bufferedBytes <= peerBufferedBytesMax);
    assert.equal(send(mine, "refused", bytes), false);
    await suite.until(() => mine.count("drained") === 1, "what waited has gone");
    assert.ok(send(mine, "after", bytes));
    await suite.until(() => theirs.bodies.length > taken, "all that was taken arrives");
    await suite.under.pass(20);
    assert.deepEqual(theirs.bodies, [...Array(taken).keys(), "after"]);
    assert.equal(mine.connection.bufferedBytes, 0);
    assert.deepEqual(
      mine.heard.map(({ kind }) => kind),
      ["drained"],
    );
  },
  "who sends as fast as it is allowed loses nothing": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    const bytes = new Uint8Array(Math.floor(suite.under.limits.peerBufferedBytesMax / 7));
    let next = 0;
    const more = (): void => {
      while (next < 60 && send(mine, next, bytes)) next++;
    };
    mine.onHeard = ({ kind }) => kind === "drained" && more();
    more();
    await suite.until(() => theirs.bodies.length === 60, "all arrive");
    assert.deepEqual(theirs.bodies, [...Array(60).keys()]);
  },
  "a node takes as many connections as it may, and not one more": async (suite) => {
    const { peersMax } = suite.under.limits;
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    for (let count = 0; count < peersMax; count++) await connected(suite, a, b);
    await assertRefused(a.transport.dial(b.transport.address, b.self), "overloaded");
    const c = await suite.node("c");
    await assertRefused(c.transport.dial(b.transport.address, b.self), "unavailable");
    assert.deepEqual([a.connections.length, b.connections.length, c.connections.length], [peersMax, peersMax, 0]);
    close(a.connections[0] as Seen, "room");
    await suite.until(() => b.connections.some((one) => one.count("closed") === 1), "b hears it");
    await connected(suite, c, b);
  },
};

const endCases: Readonly<Record<string, Case>> = {
  "who closes and who is closed both hear of it, once": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    close(mine, "enough: größe");
    close(mine, "again");
    assert.equal(mine.heard.length, 0);
    await suite.until(() => mine.count("closed") === 1 && theirs.count("closed") === 1, "both hear it");
    close(theirs, "too late");
    await suite.under.pass(30);
    assert.deepEqual(mine.heard, [{ kind: "closed", reason: "enough: größe" }]);
    assert.deepEqual(theirs.heard, [{ kind: "closed", reason: "enough: größe" }]);
  },
  "both sides may close at once": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    close(mine, "one");
    close(theirs, "other");
    await suite.until(() => mine.count("closed") === 1 && theirs.count("closed") === 1, "both hear it");
  },
  "a connection that is over takes nothing": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    close(mine, "over");
    assert.equal(send(mine, "late"), false);
    await suite.until(() => theirs.count("closed") === 1, "the other side hears it");
    assert.equal(send(theirs, "late"), false);
    assert.deepEqual([mine.connection.bufferedBytes, theirs.connection.bufferedBytes], [0, 0]);
    await suite.under.pass(20);
    assert.deepEqual([mine.bodies, theirs.bodies], [[], []]);
  },
  "who closes hears no message any more, and of what it sent before a beginning arrives": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    for (let index = 0; index < 50; index++) assert.ok(send(mine, index) && send(theirs, index));
    close(mine, "over");
    const before = mine.bodies.length;
    await suite.until(() => mine.count("closed") === 1 && theirs.count("closed") === 1, "both hear it");
    assert.equal(mine.bodies.length, before);
    assert.deepEqual(theirs.bodies, [...Array(theirs.bodies.length).keys()]);
  },
  "a message may be answered, and a connection closed, from inside what is called": async (suite) => {
    const [mine, theirs] = await connected(suite, await suite.node("a"), await suite.node("b"));
    theirs.onHeard = (heard) => {
      if (heard.kind !== "message") return;
      if (heard.message.body === "close") theirs.connection.close("as asked");
      else theirs.connection.send({ body: ["echo", heard.message.body] });
    };
    assert.ok(send(mine, 1) && send(mine, "close") && send(mine, 2));
    await suite.until(() => mine.count("closed") === 1 && theirs.count("closed") === 1, "it is closed");
    assert.deepEqual(theirs.bodies, [1, "close"]);
    assert.deepEqual(mine.heard.at(-1), { kind: "closed", reason: "as asked" });
  },
  "a transport that closes ends all its connections, and takes and makes no new ones": async (suite) => {
    const [a, b, c] = [await suite.node("a"), await suite.node("b"), await suite.node("c")];
    const [[one, other], [third, fourth]] = [await connected(suite, a, b), await connected(suite, c, a)];
    const [closing, again] = [a.transport.close(), a.transport.close()];
    await assertRefused(a.transport.dial(b.transport.address, b.self), "unavailable");
    await Promise.all([closing, again]);
    assert.deepEqual([one.count("closed"), fourth.count("closed")], [1, 1]);
    await suite.until(() => other.count("closed") === 1 && third.count("closed") === 1, "the others hear it");
    await assertRefused(b.transport.dial(a.transport.address, a.self), "unavailable");
    await connected(suite, b, c);
  },
  "a dial that a close of either side overtakes is unavailable": async (suite) => {
    const [a, b] = [await suite.node("a"), await suite.node("b")];
    const dialed = a.transport.dial(b.transport.address, b.self);
    const ended = dialed.then(
      (connection) => suite.until(() => a.seen(connection).count("closed") === 1, "it is closed"),
      (error: unknown) => assert.ok(isHoldfastError(error) && error.code === "unavailable"),
    );
    await a.transport.close();
    await ended;
    await b.transport.close();
    for (const { connections } of [a, b]) assert.ok(connections.every((one) => one.count("closed") === 1));
  },
};

function isTooLarge(error: unknown): boolean {
  return isHoldfastError(error) && error.code === "too-large";
}
