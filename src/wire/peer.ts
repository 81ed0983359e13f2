/**
 * What nodes say to each other, on the one connection of each pair.
 *
 * A message is plain data, and at most one frame of the log beside it (`push`). Whatever has an `id` wants an answer with that id; the
 * side that asks chooses it, and it is not in use on the connection.
 *
 * Versions: at the handshake both sides say which they speak, and the highest that both do is spoken (`PeerConnection.version`). What a
 * version does not have is not said in it, so a field nobody knows is refused: ignoring it might drop a condition. A *kind* that a node
 * does not know comes out as `unknown`. Those that only tell (`own`, `status`, `coordinates`, `hashed`, and any without an id) are harmless to
 * leave out; one with an id is answered, by `answer` with `unavailable`, so that whoever asks does not wait.
 *
 * - v1: first.
 */
import type { NodeRef, NodeReport } from "../model/cluster.ts";
import type { EraseCall } from "../model/erasure.ts";
import type { ErrorCode } from "../model/errors.ts";
import type { EntityRef, Epoch, Offset, ShardId } from "../model/ids.ts";
import type { OperatorCall } from "../model/marks.ts";
import type {
  CallFilter,
  CallOrder,
  CallResult,
  CallStatus,
  CommandCall,
  LookCall,
  Outcome,
  QueryCall,
  SendBody,
  WatchCall,
  WatchNews,
} from "../model/records.ts";

/** Of the WebSocket between two nodes: its handshake and its frames. Messages have versions of their own. */
export const peerProtocol = "holdfast.peer.v1";

export interface PeerVersions {
  readonly min: number;
  readonly max: number;
}

/** What this code speaks. */
export const peerVersions: PeerVersions = { min: 1, max: 1 };

/** A call of the service, at the owner of its shard. What a caller may have got wrong in it the owner refuses. */
export type PeerAsk =
  | { readonly verb: "execute"; readonly call: CommandCall }
  | { readonly verb: "query"; readonly call: QueryCall }
  | { readonly verb: "look"; readonly call: LookCall }
  | { readonly verb: "operate"; readonly call: OperatorCall }
  | { readonly verb: "operate-call"; readonly call: CallOrder }
  | { readonly verb: "erase"; readonly call: EraseCall }
  /**
   * A page of the entities of a shard, as its owner knows them that has all records below this offset: the answer's value is
   * `{ entities: [type, key][], more }`. `list` names the list among those of whoever asks, `from` is how many of it were given before.
   */
  | {
      readonly verb: "entities";
      readonly call: { readonly shard: ShardId; readonly below: Offset; readonly list: number; readonly from: number };
    }
  /** Calls of entities in these shards. `moved` if one of them is not served there. */
  | {
      readonly verb: "list-calls";
      readonly call: { readonly shards: readonly ShardId[]; readonly filter: CallFilter };
    };

/** A call with what its handler is told as `key` (`ShownCall`). */
export type PeerShownCall = CallStatus & { readonly key: string };

/** The node that was asked does not own the shard. */
export interface Moved {
  /** Who does, as far as it knows. */
  readonly owner?: NodeRef;
  /** The highest epoch of the shard that it knows of: what an owner of a lower one says is past. */
  readonly epoch: Epoch;
}

export type PeerVerb =
  | { readonly verb: "move"; readonly shards: readonly ShardId[]; readonly to: string }
  /** Without `to`: takes the pins back. */
  | { readonly verb: "pin"; readonly shards: readonly ShardId[]; readonly to?: string }
  | { readonly verb: "drain"; readonly node: string; readonly on: boolean };

/** Of a send between entities of two owners. The receiver brings its own time and chance. */
export type PeerRoute =
  | { readonly kind: "deliver"; readonly from: EntityRef; readonly send: SendBody }
  | {
      readonly kind: "settle";
      readonly from: EntityRef;
      readonly to: EntityRef;
      readonly sequence: number;
      readonly outcome: Outcome;
    }
  | { readonly kind: "undelivered"; readonly from: EntityRef; readonly to: EntityRef };

export interface Owned {
  readonly shard: ShardId;
  readonly epoch: Epoch;
}

type Failure = { readonly ok: false; readonly code: ErrorCode; readonly detail: string };

export type PeerSaid =
  | ({ readonly t: "call"; readonly id: number } & PeerAsk)
  /** The one answer to a call: its result, `list-calls`' list, or that another node is to be asked. */
  | { readonly t: "answer"; readonly id: number; readonly result: CallResult }
  | { readonly t: "answer"; readonly id: number; readonly calls: readonly PeerShownCall[] }
  | { readonly t: "answer"; readonly id: number; readonly moved: Moved }
  | { readonly t: "watch"; readonly id: number; readonly call: WatchCall }
  | { readonly t: "unwatch"; readonly id: number }
  /** With `ok: false` or `moved` the watch is over. */
  | { readonly t: "news"; readonly id: number; readonly news: WatchNews }
  | { readonly t: "news"; readonly id: number; readonly moved: Moved }
  | { readonly t: "route"; readonly route: PeerRoute }
  /** Push to me what becomes durable, from this offset on if that is at hand. */
  | { readonly t: "follow"; readonly shard: ShardId; readonly from: Offset }
  | { readonly t: "unfollow"; readonly shard: ShardId }
  /**
   * A durable frame: records `at` .. `at + count - 1`, its bytes beside it. With `count` 0 there is no frame, and `at` is where the next one
   * will begin: what is before it is in the log.
   */
  | {
      readonly t: "push";
      readonly shard: ShardId;
      readonly epoch: Epoch;
      readonly at: Offset;
      readonly count: number;
      /** First offset that is not durable at the owner: how far the follower is behind. */
      readonly durable: Offset;
    }
  | { readonly t: "own"; readonly shards: readonly Owned[] }
  /** The target of a move follows the owner of this epoch and has everything before `at`. */
  | { readonly t: "take"; readonly shard: ShardId; readonly epoch: Epoch; readonly at: Offset }
  /** The owner of this epoch has ended, at this tail; or goes on, and why. */
  | { readonly t: "yours"; readonly shard: ShardId; readonly epoch: Epoch; readonly ok: true; readonly tail: Offset }
  | { readonly t: "yours"; readonly shard: ShardId; readonly epoch: Epoch; readonly ok: false; readonly reason: string }
  | { readonly t: "status"; readonly report: NodeReport }
  /** Who says it coordinates, under this token of the lease: report to it. And there is a picture of this version: look at it. */
  | { readonly t: "coordinates"; readonly token: number; readonly version: number }
  /** Of an owner: before this offset some of its entities have states with these hashes, by this code (`stateVersionOf`). */
  | {
      readonly t: "hashed";
      readonly shard: ShardId;
      readonly epoch: Epoch;
      readonly at: Offset;
      readonly states: readonly {
        readonly type: string;
        readonly key: string;
        readonly code: string;
        readonly hash: string;
      }[];
    }
  /** An operator's verb, for the coordinator. */
  | ({ readonly t: "verb"; readonly id: number } & PeerVerb)
  | ({ readonly t: "verb-answer"; readonly id: number } & ({ readonly ok: true } | Failure))
  /** What have nodes reported to the coordinator? */
  | { readonly t: "reports"; readonly id: number }
  | { readonly t: "reported"; readonly id: number; readonly ok: true; readonly reports: readonly NodeReport[] }
  | ({ readonly t: "reported"; readonly id: number } & Failure);

/** Of a kind that this code does not know. */
export interface PeerUnknown {
  readonly t: "unknown";
  /** It wants an answer. */
  readonly id?: number;
}
