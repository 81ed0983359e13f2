/**
 * A node of a cluster: one running of it, from its join to its leave.
 *
 * It wires what stands beside it in this folder: who is a member (membership), who is reached (peers), who owns what (directory), what this node
 * does with each shard (shard agents, following), where calls go (router, watches, remote sends), and who decides for all (coordinator).
 * Invariant: losing the membership ends this running; what it owned is claimed by others, and the log fences it.
 */
import type { NodeInfo, NodeRef, NodeReport, ShardTarget } from "../../model/cluster.ts";
import type { ClusterFigures, ClusterView } from "../../model/cluster-view.ts";
import { HoldfastError } from "../../model/errors.ts";
import { type EntityRef, type ShardId, shardCountDefault, shardOf } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Picture } from "../../ports/coordination.ts";
import type { Plain } from "../../std/plain.ts";
import type { PeerSaid } from "../../wire/peer.ts";
import { prepareNode } from "../node.ts";
import type { HoldfastNode } from "../node-options.ts";
import type { ShardRoles } from "../shard-roles.ts";
import { type ClusterOptions, leaseMsDefault } from "./cluster-options.ts";
import { ClusterService } from "./cluster-service.ts";
import { CoordinatorHost } from "./coordinator-host.ts";
import { Directory } from "./directory.ts";
import { Following } from "./following.ts";
import { Membership } from "./membership.ts";
import { Overview } from "./overview.ts";
import { type Peer, type PeerAddress, Peers } from "./peers.ts";
import { RemoteSends } from "./remote-sends.ts";
import { Router } from "./router.ts";
import { giveAllAway, type Running } from "./running.ts";
import { ShardAgents } from "./shard-agents.ts";
import type { ClusterVerbs } from "./verbs.ts";
import { ServedWatches, Watches } from "./watches.ts";

/** Between looks for what waits for a message that may be lost. */
const sweepMs = 100;
/** Of the coordinator's lease, at most; a failover of its own node waits for that. */
const coordinatorLeaseMs = 600;
/** A report goes to the coordinator at least so often. */
const statusMs = 500;

export class ClusterNode implements ClusterVerbs {
  readonly node: HoldfastNode & { recover(): Promise<void> };
  readonly #options: ClusterOptions;
  readonly #limits: Limits;
  readonly #clock: Clock;
  readonly #shardCount: number;
  readonly #membership: Membership;
  #running: Running | undefined;
  #versions = new Map<ShardId, number>();
  #picture: Picture | undefined;
  #reporting = false;
  #reportedMs = 0;
  #cancelSweep: () => void = () => {};
  #over = false;
  #stopping: Promise<void> | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#shardCount = options.shardCount ?? shardCountDefault;
    const { name, coordination, clock, leaseMs = leaseMsDefault } = options;
    this.node = prepareNode({
      ...options,
      name,
      cluster: {
        durable: (append) => this.#running?.following.durable(append),
        released: (shard, reason) => {
          const running = this.#running;
          running?.directory.left(shard, running.self);
          // Not from inside the step that ended it.
          clock.defer(() => running?.agents.released(shard, reason));
        },
        route: (entity, input) => this.#running?.sends.route(entity, input),
      },
    });
    this.#limits = this.node.limits;
    this.#membership = new Membership({
      ...{ node: name, coordination, clock, leaseMs },
      pictured: (picture) => this.#pictured(picture),
      lost: () => this.#lose("its lease lapsed, or another running of it joined"),
      fault: (where, error) => this.#fault(where, error),
    });
  }

  /** Joins, listens, and takes part. @throws `unavailable` coordination does not answer */
  async start(): Promise<void> {
    await this.node.recover();
    const { transport } = this.#options;
    const info = this.#options.info();
    // Others may dial as soon as they know the address, so it is told when there is one.
    const self = await this.#membership.join({ ...info, peer: "" });
    const running = this.#makeRunning(self, info);
    this.#running = running;
    const peer = await running.peers.open(transport);
    await this.#membership.describe({ ...info, peer });
    this.#membership.start();
    running.coordinator.start();
    this.#sweepSoon();
  }

  get self(): NodeRef {
    return this.#parts.self;
  }

  get service(): ClusterService {
    return this.#parts.service;
  }

  get directory(): Directory {
    return this.#parts.directory;
  }

  get picture(): Picture | undefined {
    return this.#picture;
  }

  /** It holds the coordinator's lease, as far as it knows. */
  get coordinates(): boolean {
    return this.#running?.coordinator.holds === true;
  }

  /** What it tells the coordinator. */
  report(): NodeReport {
    return this.#parts.overview.report();
  }

  move(shards: readonly ShardId[], to: string): Promise<void> {
    return this.#parts.coordinator.ask({ verb: "move", shards, to });
  }

  pin(shards: readonly ShardId[], to: string | undefined): Promise<void> {
    const verb = to === undefined ? { shards } : { shards, to };
    return this.#parts.coordinator.ask({ verb: "pin", ...verb });
  }

  drain(node: string, on: boolean): Promise<void> {
    return this.#parts.coordinator.ask({ verb: "drain", node, on });
  }

  view(): Promise<ClusterView> {
    return this.#parts.overview.view();
  }

  /** Undefined before it has joined. */
  figures(): ClusterFigures | undefined {
    return this.#running?.overview.figures();
  }

  /** Gives its shards away, waits until it has none or `mostMs` are over, and leaves. Idempotent. */
  stop(drainMs = this.#limits.drainMs): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  /** Ends as a killed process would: nobody is told, nothing is written. For tests. */
  kill(): void {
    void this.#end();
    this.#membership.close();
    void this.#running?.peers.close();
    void this.#options.log.close();
  }

  get #parts(): Running {
    if (this.#running === undefined) throw new HoldfastError("unavailable", "The node has not joined its cluster.");
    return this.#running;
  }

  get #roles(): ShardRoles {
    if (this.node.roles === undefined) throw new HoldfastError("internal", "A node of a cluster has roles.");
    return this.node.roles;
  }

  #makeRunning(self: NodeRef, info: Omit<NodeInfo, "peer">): Running {
    const { coordination, log, standbys = 1, leaseMs = leaseMsDefault } = this.#options;
    const [clock, limits, roles] = [this.#clock, this.#limits, this.#roles];
    const fault = (where: string, error: unknown) => this.#fault(where, error);
    const directory = new Directory((shard) => this.#routesChanged(shard));
    const peers = new Peers({
      ...{ self, info: info as unknown as Plain, clock, limits, fault },
      opened: (peer) => this.#opened(peer),
      heard: (peer, said, bytes) => this.#heard(peer, said, bytes),
      drained: (peer) => this.#running?.following.drained(peer),
      closed: (peer) => this.#peerClosed(peer),
    });
    const following = this.#makeFollowing(directory, peers);
    const agents = new ShardAgents({
      ...{ self, clock, limits, roles, directory, peers, following, fault },
      served: (shard, epoch) => this.#served(shard, epoch),
      changed: () => this.#reportSoon(),
    });
    const serves = (shard: ShardId) => roles.owns(shard) && !agents.leaving.has(shard);
    const router = new Router({ self, clock, limits, directory, peers, serves });
    const here = (...call: Parameters<HoldfastNode["watch"]>) => this.node.watch(...call);
    const watches = new Watches({ clock, limits, directory, peers, serves, here });
    const servedWatches = new ServedWatches();
    const sends = new RemoteSends({
      ...{
        directory,
        peers,
        shardOf: ({ type, key }: EntityRef) => shardOf(type, key, this.#shardCount),
        owns: serves,
      },
      monotonic: () => clock.monotonic(),
      take: (entity, input) => this.node.take(entity, input),
      later: (work) => clock.defer(work),
    });
    const service = new ClusterService({
      ...{ self, clock, roles, directory, peers, following, router, watches, servedWatches, serves },
      ...{ node: this.node, shardCount: this.#shardCount, log },
    });
    const coordinator = new CoordinatorHost({
      ...{ self, coordination, clock, standbys, fault, limits, shardCount: this.#shardCount },
      leaseMs: Math.min(leaseMs, coordinatorLeaseMs),
      report: () => overview.report(),
      peers,
      look: () => this.#membership.look(),
      elected: () => this.#reportSoon(),
    });
    const overview: Overview = new Overview({
      ...{ self, limits, roles, directory, peers, following, agents, router, coordinator },
      shardCount: this.#shardCount,
      takeLoad: (shard) => service.takeLoad(shard),
      look: () => coordination.look().catch((error: unknown) => this.#lastPicture(error)),
    });
    const acting = { agents, coordinator, overview };
    return { self, peers, directory, following, router, watches, servedWatches, sends, service, ...acting };
  }

  #lastPicture(error: unknown): Picture {
    if (this.#picture === undefined) throw error;
    return this.#picture;
  }

  #makeFollowing(directory: Directory, peers: Peers): Following {
    const [clock, roles, { recent }, { log }] = [this.#clock, this.#roles, this.node.source, this.#options];
    return new Following({
      ...{ clock, roles, directory, peers, recent, log },
      fault: (where, error) => this.#fault(where, error),
      broken: (shard, error) => {
        this.#fault(`the copy of shard ${shard}, which is made anew`, error);
        this.#running?.agents.look(shard);
      },
      advanced: (shard) => this.#running?.agents.look(shard),
    });
  }

  #pictured(picture: Picture): void {
    const running = this.#running;
    if (running === undefined || this.#over) return;
    this.#picture = picture;
    const { self, peers, directory, agents, coordinator } = running;
    const members: PeerAddress[] = [];
    for (const { node, generation, info } of picture.members) {
      const { peer } = info as unknown as NodeInfo;
      if (peer !== "") members.push({ ref: { node, generation }, address: peer });
      if (node === self.node && generation !== self.generation) return this.#lose("another running of it joined");
    }
    peers.reconcile(members);
    for (const { shard, version, target } of picture.assignments) {
      if (this.#versions.get(shard) === version) continue;
      this.#versions.set(shard, version);
      directory.targeted(shard, target as unknown as ShardTarget);
      agents.targeted(shard);
    }
    coordinator.pictured(picture);
  }

  #served(shard: ShardId, epoch: number): void {
    const { self, directory, peers } = this.#parts;
    for (const peer of peers.all) peer.send({ t: "own", shards: [{ shard, epoch }] });
    directory.owned(shard, self, epoch);
    this.#reportSoon();
  }

  /** Calls of this shard may find their owner now. */
  #routesChanged(shard: ShardId): void {
    const running = this.#running;
    if (running === undefined) return;
    running.following.begin(shard);
    running.sends.moved(shard);
    running.router.changed(shard);
    running.watches.changed(shard);
  }

  #opened(peer: Peer): void {
    const shards = [];
    for (let shard = 0; shard < this.#shardCount; shard++)
      if (this.#roles.owns(shard)) shards.push({ shard, epoch: this.#roles.position(shard).epoch });
    if (shards.length > 0) peer.send({ t: "own", shards });
    this.#reportSoon();
    // What waited for a way to this node finds it.
    this.#clock.defer(() => {
      for (let shard = 0; shard < this.#shardCount; shard++) this.#routesChanged(shard);
    });
  }

  #heard(peer: Peer, said: PeerSaid, bytes: Uint8Array | undefined): void {
    const running = this.#running;
    if (running === undefined) return;
    const { service, watches, following, agents, sends, directory, coordinator } = running;
    if (service.heard(peer, said) || following.heard(peer, said, bytes)) return;
    if (watches.heard(peer, said) || agents.heard(peer, said) || coordinator.heard(peer, said)) return;
    if (said.t === "route") sends.heard(said.route);
    else if (said.t === "own")
      for (const { shard, epoch } of said.shards) {
        directory.owned(shard, peer.ref, epoch);
        service.owned(shard, epoch);
      }
  }

  #peerClosed(peer: Peer): void {
    const running = this.#running;
    if (running === undefined) return;
    running.directory.gone(peer.ref);
    running.following.closed(peer);
    running.service.lists.closed(peer.ref);
    running.watches.closed(peer);
    running.servedWatches.closed(peer);
    running.sends.gone(peer.ref);
    running.coordinator.gone(peer.ref);
    running.agents.sweep();
    this.#reportSoon();
  }

  #sweepSoon(): void {
    if (this.#over) return;
    this.#cancelSweep = this.#clock.after(sweepMs, () => {
      const running = this.#running;
      running?.following.sweep();
      running?.agents.sweep();
      running?.service.sweep();
      running?.sends.sweep();
      if (this.#clock.monotonic() - this.#reportedMs >= statusMs) this.#reportSoon();
      this.#sweepSoon();
    });
  }

  /** Together, after the present turn. */
  #reportSoon(): void {
    if (this.#reporting || this.#over) return;
    this.#reporting = true;
    this.#clock.defer(() => {
      this.#reporting = false;
      const running = this.#running;
      if (running === undefined || this.#over) return;
      this.#reportedMs = this.#clock.monotonic();
      running.coordinator.tell(running.overview.report());
    });
  }

  async #stop(drainMs: number): Promise<void> {
    const running = this.#running;
    const [membership, roles, clock] = [this.#membership, this.#roles, this.#clock];
    const giving = { membership, roles, clock, picture: () => this.#picture, mostMs: drainMs };
    if (running !== undefined)
      await giveAllAway(running, giving).catch((error: unknown) => this.#fault("the drain", error));
    await this.#end();
    await this.#membership.leave().catch((error: unknown) => this.#fault("the leave", error));
    await this.node.stop();
    await running?.peers.close();
    await this.#options.coordination.close();
  }

  async #end(): Promise<void> {
    this.#over = true;
    this.#cancelSweep();
    const running = this.#running;
    running?.agents.close();
    running?.following.close();
    running?.router.close();
    await running?.coordinator.close();
  }

  /** Others have what was this node's, or will. */
  #lose(why: string): void {
    if (this.#over) return;
    void this.#end();
    this.#membership.close();
    void this.#running?.peers.close();
    this.#options.onLost(why);
  }

  #fault(where: string, error: unknown): void {
    this.#options.onFault?.(where, error);
  }
}
