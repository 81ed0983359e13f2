/**
 * Brings each call to the owner of its shard: here, or over one hop to the node that owns it.
 *
 * Invariants: every call is answered once, never from inside the call; a call is repeated only where that is harmless (its request id, or it
 * changes nothing); calls of one shard that wait for an owner leave in the order they came; they wait at most `routeWaitMs`, and no more than
 * `routeWaitingMax` of them.
 */
import type { NodeRef } from "../../model/cluster.ts";
import type { ShardId } from "../../model/ids.ts";
import type { Limits } from "../../model/limits.ts";
import type { CallFailure, CallResult } from "../../model/records.ts";
import type { Clock } from "../../ports/clock.ts";
import type { PeerAsk } from "../../wire/peer.ts";
import type { Directory } from "./directory.ts";
import type { PeerAnswer, Peers } from "./peers.ts";

/** After an answer that leads nowhere. */
const againMs = 5;

export interface Routed {
  readonly shard: ShardId;
  readonly ask: PeerAsk;
  /** The call at this node, which owns the shard. */
  readonly here: (done: (result: CallResult) => void) => void;
  /** It may be done twice: it has a request id, or changes nothing. */
  readonly repeatable: boolean;
}

interface Waiting extends Routed {
  readonly done: (result: CallResult) => void;
  readonly untilMs: number;
  /** It may have been done by an owner that did not answer. */
  doubtful: boolean;
}

export interface RouterOptions {
  readonly self: NodeRef;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly directory: Directory;
  readonly peers: Peers;
  /** This node serves the shard, and is not about to hand it over. */
  readonly serves: (shard: ShardId) => boolean;
}

/** Nothing was done, or a repeat with the same id tells what was. */
const repeated: ReadonlySet<string> = new Set(["unavailable", "fenced", "outcome-unknown"]);

export class Router {
  readonly #options: RouterOptions;
  readonly #waiting = new Map<ShardId, Waiting[]>();
  #waitingCount = 0;
  /** Calls that went to another node. */
  forwarded = 0;
  #closed = false;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  call(routed: Routed, done: (result: CallResult) => void): void {
    const { clock, limits } = this.#options;
    const waiting: Waiting = { ...routed, done, untilMs: clock.monotonic() + limits.routeWaitMs, doubtful: false };
    // Those that came before it go first.
    if (this.#waiting.has(routed.shard)) this.#wait(waiting);
    else this.#go(waiting);
  }

  /** Something about the shard's owner is another. */
  changed(shard: ShardId): void {
    const waiting = this.#waiting.get(shard);
    if (waiting === undefined || this.#closed || !this.#mayGo(shard)) return;
    this.#waiting.delete(shard);
    this.#waitingCount -= waiting.length;
    for (const each of waiting) this.#go(each);
  }

  close(): void {
    this.#closed = true;
    const all = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    for (const waiting of all) this.#answerLater(waiting, this.#failure(waiting, "The node stops."));
  }

  #mayGo(shard: ShardId): boolean {
    const { serves, directory, peers } = this.#options;
    return serves(shard) || peers.to(directory.owner(shard)) !== undefined;
  }

  #go(waiting: Waiting): void {
    const { serves, directory, peers } = this.#options;
    const { shard } = waiting;
    if (this.#closed) return this.#answerLater(waiting, this.#failure(waiting, "The node stops."));
    if (serves(shard)) return waiting.here((result) => this.#answered(waiting, result));
    const owner = directory.owner(shard);
    const peer = peers.to(owner);
    if (owner === undefined || peer === undefined) return this.#wait(waiting);
    try {
      if (peer.ask(waiting.ask, (answer) => this.#heard(waiting, owner, answer))) {
        this.forwarded++;
        return;
      }
      if (peer.isFull) this.#answerLater(waiting, crowded(owner));
      else this.#again(waiting);
    } catch (error) {
      const { code, message } = error as { code?: CallFailure["code"]; message: string };
      if (code === undefined) throw error;
      this.#answerLater(waiting, { ok: false, code, detail: message });
    }
  }

  #heard(waiting: Waiting, owner: NodeRef, answer: PeerAnswer): void {
    const { directory } = this.#options;
    if (answer.kind === "result") return this.#answered(waiting, answer.result);
    if (answer.kind === "moved") {
      const { moved } = answer;
      directory.left(waiting.shard, owner);
      if (moved.owner !== undefined) directory.owned(waiting.shard, moved.owner, moved.epoch);
      return this.#again(waiting);
    }
    waiting.doubtful = true;
    if (waiting.repeatable) this.#again(waiting);
    else waiting.done(this.#failure(waiting, "The connection to the owner ended."));
  }

  #answered(waiting: Waiting, result: CallResult): void {
    if (result.ok || !repeated.has(result.code) || !waiting.repeatable) return waiting.done(result);
    if (result.code !== "unavailable") waiting.doubtful = true;
    // An owner that is past says `moved` from then on; one that was only in doubt still owns, and nobody would tell of it again.
    this.#again(waiting);
  }

  /** After a moment, in which the owner of before notices what has become of it. */
  #again(waiting: Waiting): void {
    const { clock } = this.#options;
    if (clock.monotonic() + againMs >= waiting.untilMs)
      return waiting.done(this.#failure(waiting, "No owner answered in time."));
    if (this.#options.serves(waiting.shard) || this.#mayGo(waiting.shard))
      clock.after(againMs, () => this.#go(waiting));
    else this.#wait(waiting);
  }

  #wait(waiting: Waiting): void {
    const { clock, limits } = this.#options;
    if (this.#waitingCount >= limits.routeWaitingMax)
      return this.#answerLater(waiting, {
        ok: false,
        code: "overloaded",
        detail: `${limits.routeWaitingMax} calls wait for the owners of their shards.`,
      });
    let all = this.#waiting.get(waiting.shard);
    if (all === undefined) {
      all = [];
      this.#waiting.set(waiting.shard, all);
    }
    all.push(waiting);
    this.#waitingCount++;
    clock.after(Math.max(0, waiting.untilMs - clock.monotonic()), () => this.#giveUp(waiting));
  }

  #giveUp(waiting: Waiting): void {
    const all = this.#waiting.get(waiting.shard);
    const index = all?.indexOf(waiting) ?? -1;
    if (all === undefined || index < 0) return;
    all.splice(index, 1);
    this.#waitingCount--;
    if (all.length === 0) this.#waiting.delete(waiting.shard);
    waiting.done(this.#failure(waiting, "The shard has no owner at the moment."));
  }

  #failure({ doubtful, repeatable }: Waiting, why: string): CallFailure {
    const code = doubtful ? "outcome-unknown" : "unavailable";
    return {
      ok: false,
      code,
      detail: `${why} ${repeatable ? "Send the same request again." : "Look at what has become of it."}`,
    };
  }

  #answerLater(waiting: Waiting, result: CallResult): void {
    this.#options.clock.defer(() => waiting.done(result));
  }
}

function crowded({ node }: NodeRef): CallFailure {
  return {
    ok: false,
    code: "overloaded",
    detail: `The connection to node ${node} has no room; send the same request again.`,
  };
}
