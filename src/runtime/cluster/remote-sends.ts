/**
 * Sends between entities whose shards are owned by different nodes.
 *
 * A send is delivered again until it is settled, so a message that is lost costs time and nothing else. Invariant: of each that left here
 * and is not settled, the sender is told when its receiver cannot be reached any more: it then tries again.
 */
import type { Input } from "../../core/effects.ts";
import type { NodeRef } from "../../model/cluster.ts";
import { type EntityRef, formatRef, type ShardId } from "../../model/ids.ts";
import type { PeerRoute } from "../../wire/peer.ts";
import type { Directory } from "./directory.ts";
import type { Peers } from "./peers.ts";

interface Underway {
  readonly from: EntityRef;
  readonly to: EntityRef;
  readonly sequence: number;
  readonly node: NodeRef;
  readonly sentMs: number;
}

/** A settlement that went to a former owner of the sender is lost: after this long the send is delivered again. */
const lostMs = 2_000;

export interface RemoteSendsOptions {
  readonly monotonic: () => number;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly shardOf: (entity: EntityRef) => ShardId;
  /** Hands an input to the owner here. */
  readonly take: (entity: EntityRef, input: PeerRoute) => void;
  readonly owns: (shard: ShardId) => boolean;
  /** Runs it after the present step. */
  readonly later: (work: () => void) => void;
}

export class RemoteSends {
  readonly #options: RemoteSendsOptions;
  /** By pair of sender and receiver, of which one send is under way at a time. */
  readonly #underway = new Map<string, Underway>();

  constructor(options: RemoteSendsOptions) {
    this.#options = options;
  }

  /** An input of an owner here for the owner of another entity, which is elsewhere. */
  route(entity: EntityRef, input: Input): void {
    const { directory, peers, shardOf } = this.#options;
    const owner = directory.owner(shardOf(entity));
    const peer = peers.to(owner);
    const route = routeOf(input);
    if (route === undefined) return;
    const sent = peer?.send({ t: "route", route }) === true;
    if (route.kind !== "deliver") return;
    const { from, send } = route;
    if (sent && owner !== undefined) {
      const { to, sequence } = send;
      const sentMs = this.#options.monotonic();
      this.#underway.set(pairOf(from, to), { from, to, sequence, node: owner, sentMs });
    } else this.#undelivered(from, send.to);
  }

  /** What another node's owner says to one here. */
  heard(route: PeerRoute): void {
    const { take, owns, shardOf } = this.#options;
    const entity = route.kind === "deliver" ? route.send.to : route.from;
    if (route.kind !== "deliver") this.#ended(route);
    if (owns(shardOf(entity))) return take(entity, route);
    // Not here any more: one hop is all there is, so the sender is told to try again.
    if (route.kind === "deliver") this.#bounce(route.from, route.send.to);
  }

  /** What was delivered twice is settled twice: the second time another send of the pair may be under way, which is not settled. */
  #ended(route: Exclude<PeerRoute, { kind: "deliver" }>): void {
    const pair = pairOf(route.from, route.to);
    if (route.kind === "undelivered" || this.#underway.get(pair)?.sequence === route.sequence)
      this.#underway.delete(pair);
  }

  /** A node cannot be reached, or does not own what it owned. */
  gone(node: NodeRef): void {
    for (const [pair, underway] of this.#underway) {
      if (underway.node.node !== node.node || underway.node.generation !== node.generation) continue;
      this.#underway.delete(pair);
      this.#undelivered(underway.from, underway.to);
    }
  }

  /** The shard has another owner: what was on its way to the one before may have been dropped. */
  moved(shard: ShardId): void {
    const { directory, shardOf } = this.#options;
    const owner = directory.owner(shard);
    for (const [pair, { from, to, node }] of this.#underway) {
      if (shardOf(to) !== shard || (node.node === owner?.node && node.generation === owner.generation)) continue;
      this.#underway.delete(pair);
      this.#undelivered(from, to);
    }
  }

  /** Of those that were not settled for long. */
  sweep(): void {
    const nowMs = this.#options.monotonic();
    for (const [pair, { from, to, sentMs }] of this.#underway) {
      if (nowMs - sentMs < lostMs) continue;
      this.#underway.delete(pair);
      this.#undelivered(from, to);
    }
  }

  #undelivered(from: EntityRef, to: EntityRef): void {
    const { later, take, owns, shardOf } = this.#options;
    later(() => {
      if (owns(shardOf(from))) take(from, { kind: "undelivered", from, to });
    });
  }

  #bounce(from: EntityRef, to: EntityRef): void {
    const { directory, peers, shardOf, owns } = this.#options;
    if (owns(shardOf(from))) return this.#undelivered(from, to);
    peers.to(directory.owner(shardOf(from)))?.send({ t: "route", route: { kind: "undelivered", from, to } });
  }
}

function pairOf(from: EntityRef, to: EntityRef): string {
  return `${formatRef(from)} ${formatRef(to)}`;
}

function routeOf(input: Input): PeerRoute | undefined {
  switch (input.kind) {
    case "deliver":
      return { kind: "deliver", from: input.from, send: input.send };
    case "settle":
      return { kind: "settle", from: input.from, to: input.to, sequence: input.sequence, outcome: input.outcome };
    case "undelivered":
      return { kind: "undelivered", from: input.from, to: input.to };
    default:
      return undefined;
  }
}
