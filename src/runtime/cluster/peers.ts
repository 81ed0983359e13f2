/**
 * The connections of a node: one per other member, dialed by the side whose name is smaller.
 *
 * Invariants: whoever asks is answered once, by the peer or by `lost` when the connection ends; of two connections with one node the older
 * one is closed. A peer that is no member any more, or of an older running, is not talked to.
 */
import { backoff } from "../../core/alarms.ts";
import { type NodeRef, type NodeReport, sameNode } from "../../model/cluster.ts";
import type { Limits } from "../../model/limits.ts";
import type { CallResult } from "../../model/records.ts";
import type { Clock } from "../../ports/clock.ts";
import type { OpenTransport, PeerConnection, PeerMessage, Transport } from "../../ports/transport.ts";
import type { Plain } from "../../std/plain.ts";
import type { Moved, PeerAsk, PeerSaid, PeerShownCall, PeerVerb } from "../../wire/peer.ts";
import { peerBody, readPeer } from "../../wire/peer-codec.ts";

/** Longest wait between two attempts to reach a member. */
const dialMostMs = 1_000;

/** What came of a question to a peer. */
export type PeerAnswer =
  | { readonly kind: "result"; readonly result: CallResult }
  | { readonly kind: "calls"; readonly calls: readonly PeerShownCall[] }
  | { readonly kind: "moved"; readonly moved: Moved }
  | { readonly kind: "reports"; readonly reports: readonly NodeReport[] }
  | { readonly kind: "verb"; readonly failure: { readonly code: string; readonly detail: string } | undefined }
  /** The connection ended before: nobody knows whether it was done. */
  | { readonly kind: "lost" };

type Asked = (answer: PeerAnswer) => void;

/** A member that there is a connection with. */
export class Peer {
  readonly ref: NodeRef;
  readonly #connection: PeerConnection;
  readonly #limits: Limits;
  readonly #asked = new Map<number, Asked>();
  #ids = 0;
  isOver = false;

  constructor(connection: PeerConnection, limits: Limits) {
    this.ref = connection.peer;
    this.#connection = connection;
    this.#limits = limits;
  }

  /** False: it was not taken, as `PeerConnection.send`. @throws `invalid-input`, `too-large` */
  send(said: PeerSaid, bytes?: Uint8Array): boolean {
    const body = peerBody(said, this.#limits);
    return !this.isOver && this.#connection.send(bytes === undefined ? { body } : { body, bytes });
  }

  /** It takes nothing since too much waits to be sent; else a refusal means that it is over. */
  get isFull(): boolean {
    return this.#connection.bufferedBytes > 0 || this.#asked.size >= this.#limits.peerCallsMax;
  }

  /** An id that is free on this connection. */
  nextId(): number {
    return ++this.#ids;
  }

  /** Asks the owner of a shard. False: it was not sent. @throws as `send` */
  ask(ask: PeerAsk, answered: Asked): boolean {
    const id = this.nextId();
    if (this.#asked.size >= this.#limits.peerCallsMax || !this.send({ t: "call", id, ...ask })) return false;
    this.#asked.set(id, answered);
    return true;
  }

  /** The same of a verb for the coordinator. */
  askVerb(verb: PeerVerb, answered: Asked): boolean {
    const id = this.nextId();
    if (!this.send({ t: "verb", id, ...verb })) return false;
    this.#asked.set(id, answered);
    return true;
  }

  /** What nodes reported to this one, as the coordinator. */
  askReports(answered: Asked): boolean {
    const id = this.nextId();
    if (!this.send({ t: "reports", id })) return false;
    this.#asked.set(id, answered);
    return true;
  }

  /** False: it is none. */
  hear(said: PeerSaid): boolean {
    if (said.t !== "answer" && said.t !== "verb-answer" && said.t !== "reported") return false;
    const asked = this.#asked.get(said.id);
    this.#asked.delete(said.id);
    asked?.(answerOf(said));
    return true;
  }

  end(reason: string): void {
    this.#connection.close(reason);
  }

  over(): void {
    this.isOver = true;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const answered of asked) answered({ kind: "lost" });
  }
}

function answerOf(said: Extract<PeerSaid, { t: "answer" | "verb-answer" | "reported" }>): PeerAnswer {
  if (said.t === "verb-answer") return { kind: "verb", failure: said.ok ? undefined : said };
  if (said.t === "reported")
    return said.ok ? { kind: "reports", reports: said.reports } : { kind: "verb", failure: said };
  if ("result" in said) return { kind: "result", result: said.result };
  if ("calls" in said) return { kind: "calls", calls: said.calls };
  return { kind: "moved", moved: said.moved };
}

export interface PeersOptions {
  readonly self: NodeRef;
  readonly info: Plain;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly opened: (peer: Peer) => void;
  readonly heard: (peer: Peer, said: PeerSaid, bytes: Uint8Array | undefined) => void;
  /** It takes messages again, after a `send` that was refused. */
  readonly drained: (peer: Peer) => void;
  readonly closed: (peer: Peer) => void;
  readonly fault: (where: string, error: unknown) => void;
}

export interface PeerAddress {
  readonly ref: NodeRef;
  readonly address: string;
}

export class Peers {
  readonly #options: PeersOptions;
  #transport: Transport | undefined;
  #members: readonly PeerAddress[] = [];
  readonly #byNode = new Map<string, Peer>();
  readonly #dialing = new Map<string, { tries: number; cancel: () => void }>();
  /** Members that there was a connection with. */
  #met = new Set<string>();
  #closed = false;

  constructor(options: PeersOptions) {
    this.#options = options;
  }

  /** @param open listens for others */
  async open(open: OpenTransport): Promise<string> {
    const { self, info } = this.#options;
    this.#transport = await open({ self, info, opened: (connection) => this.#opened(connection) });
    return this.#transport.address;
  }

  to(ref: NodeRef | undefined): Peer | undefined {
    const peer = ref && this.#byNode.get(ref.node);
    return peer !== undefined && sameNode(peer.ref, ref) ? peer : undefined;
  }

  /** Whatever running of it. */
  named(node: string | undefined): Peer | undefined {
    return node === undefined ? undefined : this.#byNode.get(node);
  }

  get all(): Iterable<Peer> {
    return this.#byNode.values();
  }

  /** Members that were reached and are not any more. */
  get unreachable(): readonly NodeRef[] {
    return this.#members
      .filter(({ ref }) => this.#met.has(nameOf(ref)) && this.to(ref) === undefined)
      .map(({ ref }) => ref);
  }

  /** These are the members: reaches for those that it is for this side to dial, and ends what is with none of them. */
  reconcile(members: readonly PeerAddress[]): void {
    const { self } = this.#options;
    this.#members = members.filter(({ ref }) => ref.node !== self.node);
    this.#met = new Set([...this.#met].filter((name) => this.#members.some(({ ref }) => nameOf(ref) === name)));
    for (const peer of this.#byNode.values())
      if (!this.#members.some(({ ref }) => sameNode(ref, peer.ref))) peer.end("it is no member");
    for (const { ref } of this.#members) if (self.node < ref.node) this.#dial(ref);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const { cancel } of this.#dialing.values()) cancel();
    await this.#transport?.close();
  }

  #dial(ref: NodeRef): void {
    const name = nameOf(ref);
    if (this.#closed || this.#dialing.has(name) || this.to(ref) !== undefined) return;
    const state = { tries: 0, cancel: () => {} };
    this.#dialing.set(name, state);
    const attempt = async (): Promise<void> => {
      const member = this.#members.find((each) => sameNode(each.ref, ref));
      if (this.#closed || member === undefined || this.to(ref) !== undefined) return void this.#dialing.delete(name);
      try {
        await this.#transport?.dial(member.address, ref);
        this.#dialing.delete(name);
      } catch {
        // It may be about to start or to leave; the coordinator is told that it cannot be reached.
        const waitMs = Math.min(backoff(state.tries++), dialMostMs);
        state.cancel = this.#options.clock.after(waitMs, () => void attempt());
      }
    };
    void attempt();
  }

  #opened(connection: PeerConnection) {
    const peer = new Peer(connection, this.#options.limits);
    this.#byNode.get(peer.ref.node)?.end("there is a newer connection");
    this.#byNode.set(peer.ref.node, peer);
    this.#met.add(nameOf(peer.ref));
    this.#options.opened(peer);
    return {
      message: (_connection: PeerConnection, message: PeerMessage) => this.#heard(peer, message),
      drained: () => this.#options.drained(peer),
      closed: () => this.#over(peer),
    };
  }

  #heard(peer: Peer, message: PeerMessage): void {
    if (peer.isOver) return;
    let said: ReturnType<typeof readPeer>;
    try {
      said = readPeer(message);
    } catch (error) {
      this.#options.fault(`a message of node ${peer.ref.node}`, error);
      return peer.end("it sent what is no message");
    }
    if (said.t === "unknown") {
      const result = { ok: false, code: "unavailable", detail: "This node does not know that question." } as const;
      if (said.id !== undefined) peer.send({ t: "answer", id: said.id, result });
    } else if (!peer.hear(said)) this.#options.heard(peer, said, message.bytes);
  }

  #over(peer: Peer): void {
    if (peer.isOver) return;
    peer.over();
    if (this.#byNode.get(peer.ref.node) === peer) this.#byNode.delete(peer.ref.node);
    this.#options.closed(peer);
    if (!this.#closed && this.#options.self.node < peer.ref.node) this.#dial(peer.ref);
  }
}

function nameOf({ node, generation }: NodeRef): string {
  return `${node} ${generation}`;
}
