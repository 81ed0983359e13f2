/**
 * The service of a whole cluster, as any of its nodes gives it: calls go to the owners of their shards, and what other nodes ask of the
 * shards here is answered.
 *
 * Invariant: what is answered was answered by the owner; a query only after the log confirmed, by a look begun after the question came, that
 * the owner still is the one.
 */
import type { NodeRef } from "../../model/cluster.ts";
import type { EraseCall } from "../../model/erasure.ts";
import { HoldfastError } from "../../model/errors.ts";
import { type EntityRef, type Epoch, isKey, type Offset, type ShardId, shardOf } from "../../model/ids.ts";
import type { OperatorCall } from "../../model/marks.ts";
import type {
  CallFilter,
  CallOrder,
  CallResult,
  CommandCall,
  LookCall,
  QueryCall,
  WatchCall,
  WatchNews,
} from "../../model/records.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ShardLog } from "../../ports/log.ts";
import type { PeerAsk, PeerSaid } from "../../wire/peer.ts";
import type { FeedSource } from "../feed-source.ts";
import type { HoldfastNode } from "../node-options.ts";
import { invalidKey } from "../refusals.ts";
import type { ShownCall } from "../service.ts";
import type { ShardRoles } from "../shard-roles.ts";
import { Confirmer } from "./confirmer.ts";
import type { Directory } from "./directory.ts";
import { EntityLists, type EntityPageCall, pagedEntities } from "./entity-lists.ts";
import type { Following } from "./following.ts";
import { LocalReads } from "./local-reads.ts";
import type { Peer, Peers } from "./peers.ts";
import type { Router } from "./router.ts";
import { movedTo, type ServedWatches, type Watches } from "./watches.ts";

type Done = (result: CallResult) => void;

export interface ClusterServiceOptions {
  readonly self: NodeRef;
  readonly node: HoldfastNode;
  readonly roles: ShardRoles;
  readonly shardCount: number;
  readonly clock: Clock;
  readonly directory: Directory;
  readonly peers: Peers;
  readonly router: Router;
  readonly watches: Watches;
  readonly servedWatches: ServedWatches;
  readonly log: Pick<ShardLog, "tail">;
  readonly following: Following;
  readonly serves: (shard: ShardId) => boolean;
}

export class ClusterService {
  readonly #options: ClusterServiceOptions;
  readonly #confirmer: Confirmer;
  /** Commands of each shard since they were counted last. */
  readonly #loads: Float64Array;
  /** Of shards here, for feeds elsewhere; and of shards elsewhere, how many were begun. */
  readonly lists: EntityLists;
  #listsBegun = 0;
  readonly #localReads: LocalReads;

  constructor(options: ClusterServiceOptions) {
    this.#options = options;
    const { log, roles } = options;
    this.#confirmer = new Confirmer(log, (shard, epoch) => roles.fenced(shard, epoch));
    this.#loads = new Float64Array(options.shardCount);
    const { source, limits } = options.node;
    this.#localReads = new LocalReads({ source, roles, tails: (shards) => log.tail(shards) });
    this.lists = new EntityLists((shard, below) => source.entities(shard, below), limits.feedsMax);
  }

  shardOf({ type, key }: EntityRef): ShardId {
    return shardOf(type, key, this.#options.shardCount);
  }

  /** Commands since the last call of this. */
  takeLoad(shard: ShardId): number {
    const load = this.#loads[shard] as number;
    this.#loads[shard] = 0;
    return load;
  }

  execute(call: CommandCall, done: Done): void {
    this.#route(call.entity, { verb: "execute", call }, true, done);
  }

  query({ consistency, lagMs, ...call }: QueryCall, done: Done): void {
    const { serves, roles } = this.#options;
    if (consistency === "local" && isRef(call.entity)) {
      const shard = this.shardOf(call.entity);
      const bound = lagMs === undefined ? {} : { lagMs };
      if (!serves(shard) && roles.follows(shard))
        return void this.#localReads.query(shard, { ...call, ...bound }, done);
    }
    this.#route(call.entity, { verb: "query", call }, true, done);
  }

  look(call: LookCall, done: Done): void {
    this.#route(call.entity, { verb: "look", call }, true, done);
  }

  heed(...heeded: Parameters<FeedSource["heed"]>): () => void {
    return this.#options.following.heeding.heed(...heeded);
  }

  /** As `FeedSource.entities`, of a shard anywhere; the nodes of a cluster all have a state store, or none has. */
  entities(shard: ShardId, below: Offset): ReturnType<FeedSource["entities"]> {
    const { node, serves, router } = this.#options;
    const here = node.source.entities(shard, below);
    if (here === undefined || serves(shard)) return here;
    const list = ++this.#listsBegun;
    return pagedEntities((from) => {
      const ask = { verb: "entities", call: { shard, below, list, from } } as const;
      // A page is given once: a second asking would get the next one.
      return new Promise((done) =>
        router.call({ shard, ask, repeatable: false, here: (answered) => this.#here(shard, ask, answered) }, done),
      );
    });
  }

  operate(call: OperatorCall, done: Done): void {
    this.#route(call.entity, { verb: "operate", call }, false, done);
  }

  operateCall(call: CallOrder, done: Done): void {
    this.#route(call.entity, { verb: "operate-call", call }, false, done);
  }

  erase(call: EraseCall, done: Done): void {
    this.#route(call.subject, { verb: "erase", call }, true, done);
  }

  watch(call: WatchCall, listener: (news: WatchNews) => void): () => void {
    const { entity } = call;
    // A key that is none has no shard; the node here says so.
    if (!isRef(entity)) return this.#options.node.watch(call, listener);
    return this.#options.watches.watch(this.shardOf(entity), call, listener);
  }

  /** @throws `unavailable` a shard has no owner, or one did not answer */
  async listCalls(filter: Partial<CallFilter> = {}): Promise<readonly ShownCall[]> {
    const { directory, peers, self, node, shardCount } = this.#options;
    const asked = { limit: 1_000, ...filter };
    const byNode = new Map<string, { peer: Peer | undefined; shards: ShardId[] }>();
    for (let shard = 0; shard < shardCount; shard++) {
      const owner = directory.owner(shard);
      const peer = peers.to(owner);
      if (owner === undefined || (peer === undefined && owner.node !== self.node))
        throw new HoldfastError("unavailable", `Shard ${shard} has no owner at the moment; ask again.`);
      const entry = byNode.get(owner.node) ?? { peer, shards: [] };
      entry.shards.push(shard);
      byNode.set(owner.node, entry);
    }
    const answers = [...byNode.values()].map(({ peer, shards }) =>
      peer === undefined ? node.listCalls(asked) : callsOf(peer, { shards, filter: asked }),
    );
    const shown = (await Promise.all(answers)).flat();
    shown.sort((one, other) => one.madeMs - other.madeMs);
    return shown.slice(0, asked.limit);
  }

  /** Now and then: owners that are idle learn whether they still are. */
  sweep(): void {
    const { clock, roles, shardCount } = this.#options;
    this.#confirmer.sweep(clock.monotonic(), () => {
      const shards = Array.from({ length: shardCount }, (_, shard) => shard).filter((shard) => roles.owns(shard));
      return shards.map((shard) => ({ shard, ...roles.position(shard) }));
    });
  }

  /** Somebody says that it owns the shard in that epoch. */
  owned(shard: ShardId, epoch: Epoch): void {
    const { roles } = this.#options;
    const mine = roles.position(shard).epoch;
    if (roles.owns(shard) && mine < epoch) this.#confirmer.confirm(shard, mine, () => {});
  }

  /** @returns false: it is about something else */
  heard(peer: Peer, said: PeerSaid): boolean {
    if (said.t === "call") this.#answer(peer, said);
    else if (said.t === "watch") this.#serveWatch(peer, said.id, said.call);
    else if (said.t === "unwatch") this.#options.servedWatches.end(peer, said.id);
    else return false;
    return true;
  }

  #route(entity: EntityRef, ask: PeerAsk, repeatable: boolean, done: Done): void {
    const { router, clock } = this.#options;
    if (!isRef(entity)) return clock.defer(() => done(invalidKey));
    const shard = this.shardOf(entity);
    router.call({ shard, ask, repeatable, here: (answered) => this.#here(shard, ask, answered) }, done);
  }

  /** At this node, which owns the shard. */
  #here(shard: ShardId, ask: PeerAsk, done: Done, asker = this.#options.self): void {
    const { node, roles } = this.#options;
    if (ask.verb === "entities") return void this.#page(asker, ask.call, done);
    this.#loads[shard] = (this.#loads[shard] as number) + 1;
    switch (ask.verb) {
      case "execute":
        return node.execute(ask.call, done);
      case "query": {
        const { epoch } = roles.position(shard);
        return node.query(ask.call, (result) => {
          if (!result.ok) return done(result);
          this.#confirmer.confirm(shard, epoch, (standing) =>
            done(standing === "holds" ? result : notConfirmed[standing]),
          );
        });
      }
      case "look":
        return node.source.look(ask.call, done);
      case "operate":
        return node.operate(ask.call, done);
      case "operate-call":
        return node.operateCall(ask.call, done);
      case "erase":
        return node.erase(ask.call, done);
      default:
        return done({ ok: false, code: "internal", detail: "No call of one entity." });
    }
  }

  #answer(peer: Peer, said: Extract<PeerSaid, { t: "call" }>): void {
    const { serves, directory, self, node } = this.#options;
    const { id } = said;
    if (said.verb === "list-calls") {
      const { shards, filter } = said.call;
      const missing = shards.find((shard) => !serves(shard));
      if (missing !== undefined) return void peer.send({ t: "answer", id, moved: movedTo(directory, missing, self) });
      // A list may be too large to send: whoever asked is told so, and asks for fewer.
      return void node
        .listCalls(filter)
        .then((calls) => peer.send({ t: "answer", id, calls }))
        .catch((error: Error) =>
          peer.send({ t: "answer", id, result: { ok: false, code: "unavailable", detail: error.message } }),
        );
    }
    const shard = this.#shardOfAsk(said);
    if (shard === undefined) return void peer.send({ t: "answer", id, result: invalidKey });
    if (!serves(shard)) return void peer.send({ t: "answer", id, moved: movedTo(directory, shard, self) });
    const answer = (result: CallResult) => {
      // Who asked takes the end of the connection for its answer, and asks again.
      if (!peer.send({ t: "answer", id, result })) peer.end("it takes its answers too slowly");
    };
    this.#here(shard, said, answer, peer.ref);
  }

  async #page(asker: NodeRef, call: EntityPageCall, done: Done): Promise<void> {
    const page = await this.lists.page(asker, call);
    done(page);
  }

  /** Undefined: its key is none. */
  #shardOfAsk(ask: Exclude<PeerAsk, { verb: "list-calls" }>): ShardId | undefined {
    if (ask.verb === "entities") return ask.call.shard;
    const entity = ask.verb === "erase" ? ask.call.subject : ask.call.entity;
    return isRef(entity) ? this.shardOf(entity) : undefined;
  }

  #serveWatch(peer: Peer, id: number, call: WatchCall): void {
    const { serves, directory, self, node, servedWatches } = this.#options;
    if (!isRef(call.entity)) return void peer.send({ t: "news", id, news: invalidKey });
    const shard = this.shardOf(call.entity);
    if (!serves(shard)) return void peer.send({ t: "news", id, moved: movedTo(directory, shard, self) });
    servedWatches.begin(peer, id, (listener) => node.watch(call, listener));
  }
}

/** Who is told `fenced` by an owner does not ask it any more, until it has claimed the shard again. */
const notConfirmed = {
  past: {
    ok: false,
    code: "fenced",
    detail: "Another owner claimed the shard; send the same request again.",
  },
  unknown: {
    ok: false,
    code: "unavailable",
    detail: "The log does not answer just now; send the same request again.",
  },
} as const;

function isRef(entity: EntityRef): boolean {
  return isKey(entity.key) && typeof entity.type === "string";
}

function callsOf(peer: Peer, call: Extract<PeerAsk, { verb: "list-calls" }>["call"]): Promise<readonly ShownCall[]> {
  return new Promise((resolve, reject) => {
    const refuse = () =>
      reject(new HoldfastError("unavailable", `Node ${peer.ref.node} did not tell its calls; ask again.`));
    const sent = peer.ask({ verb: "list-calls", call }, (answer) => {
      if (answer.kind === "calls") resolve(answer.calls);
      else refuse();
    });
    if (!sent) refuse();
  });
}
