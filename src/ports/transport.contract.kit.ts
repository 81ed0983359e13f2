/** What the cases of the transport's contract suite share: nodes that note down what they hear. */
import assert from "node:assert/strict";
import type { NodeRef } from "../model/cluster.ts";
import { isHoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import type { Plain } from "../std/plain.ts";
import type { OpenTransport, PeerConnection, PeerEvents, PeerMessage, Transport } from "./transport.ts";

export interface NodeSettings {
  /** Other than everybody's. */
  readonly secret?: string;
  readonly versions?: { readonly min: number; readonly max: number };
}

export interface TransportUnderTest {
  readonly limits: Limits;
  /** How a node opens its transport; all that are made here can reach each other. */
  readonly opener: (settings: NodeSettings) => OpenTransport;
  /** Lets about so much time pass. */
  readonly pass: (ms: number) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

export type Heard =
  | { readonly kind: "message"; readonly message: PeerMessage }
  | { readonly kind: "drained" }
  | { readonly kind: "closed"; readonly reason: string };

/** A connection as one side sees it. */
export class Seen {
  readonly connection: PeerConnection;
  readonly heard: Heard[] = [];
  /** What it does when it hears something. */
  onHeard: (heard: Heard) => void = () => {};

  constructor(connection: PeerConnection) {
    this.connection = connection;
  }

  get bodies(): Plain[] {
    return this.heard.flatMap((one) => (one.kind === "message" ? [one.message.body] : []));
  }

  count(kind: Heard["kind"]): number {
    return this.heard.filter((one) => one.kind === kind).length;
  }
}

export class TestNode {
  readonly self: NodeRef;
  readonly transport: Transport;
  /** In the order in which they were opened. */
  readonly connections: Seen[];

  constructor(self: NodeRef, transport: Transport, connections: Seen[]) {
    this.self = self;
    this.transport = transport;
    this.connections = connections;
  }

  seen(connection: PeerConnection): Seen {
    const found = this.connections.find((one) => one.connection === connection);
    assert.ok(found, "a connection that was dialed was reported to `opened` before");
    return found;
  }
}

/** Something that is called from inside `send` or `close` is found by this being true. */
export const inside = { call: false };

export interface Suite {
  readonly under: TransportUnderTest;
  readonly node: (
    name: string,
    settings?: NodeSettings & { readonly info?: Plain; generation?: number },
  ) => Promise<TestNode>;
  readonly until: (holds: () => boolean, what: string) => Promise<void>;
}

export function suiteOf(under: TransportUnderTest): Suite & { readonly close: () => Promise<void> } {
  const nodes: TestNode[] = [];
  return {
    under,
    node: async (name, settings = {}) => {
      const { info = {}, generation = 1, ...rest } = settings;
      const connections: Seen[] = [];
      const self = { node: name, generation };
      const opened = (connection: PeerConnection): PeerEvents => {
        const seen = new Seen(connection);
        connections.push(seen);
        return eventsOf(seen);
      };
      const node = new TestNode(self, await under.opener(rest)({ self, info, opened }), connections);
      nodes.push(node);
      return node;
    },
    until: async (holds, what) => {
      for (let round = 0; round < 3_000; round++) {
        if (holds()) return;
        await under.pass(5);
      }
      assert.fail(`it did not come to it that ${what}`);
    },
    close: async () => {
      for (const node of nodes) await node.transport.close();
    },
  };
}

function eventsOf(seen: Seen): PeerEvents {
  const note = (connection: PeerConnection, heard: Heard): void => {
    assert.equal(inside.call, false, "nothing is called from inside `send` or `close`");
    assert.equal(connection, seen.connection);
    assert.equal(seen.count("closed"), 0, "nothing comes after `closed`");
    seen.heard.push(heard);
    seen.onHeard(heard);
  };
  return {
    message: (connection, message) => note(connection, { kind: "message", message }),
    drained: (connection) => note(connection, { kind: "drained" }),
    closed: (connection, reason) => note(connection, { kind: "closed", reason }),
  };
}

/** Both sides of a new connection, the dialing one first. */
export async function connected(suite: Suite, from: TestNode, to: TestNode): Promise<[Seen, Seen]> {
  const before = to.connections.length;
  let over = false;
  const dialed = from.transport.dial(to.transport.address, to.self).finally(() => (over = true));
  await Promise.race([dialed, suite.until(() => over, "a dial is answered")]);
  const connection = await dialed;
  await suite.until(() => to.connections.length > before, "the listener opens the connection too");
  return [from.seen(connection), to.connections[before] as Seen];
}

/** Sends, and sees to it that nothing is called meanwhile. */
export function send(seen: Seen, body: Plain, bytes?: Uint8Array): boolean {
  inside.call = true;
  try {
    return seen.connection.send(bytes === undefined ? { body } : { body, bytes });
  } finally {
    inside.call = false;
  }
}

export function close(seen: Seen, reason: string): void {
  inside.call = true;
  try {
    seen.connection.close(reason);
  } finally {
    inside.call = false;
  }
}

export async function assertRefused(dialed: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(dialed, (error: unknown) => isHoldfastError(error) && error.code === code);
}
