/**
 * What a coordinator holds, what goes into it and what comes out.
 *
 * Invariant: nothing in it has to be kept. Who takes the lease after it begins with a picture and the reports that come, and comes to
 * the same targets; only the patience is lost (what rests, what is held, how long a move has taken).
 */
import type { NodeInfo, NodeRef, NodeReport, ShardReport, ShardTarget } from "../../model/cluster.ts";
import type { ErrorCode } from "../../model/errors.ts";
import type { Epoch, Offset, ShardId } from "../../model/ids.ts";

export interface CoordinatorOptions {
  /** The node that coordinates. */
  readonly self: NodeRef;
  readonly shardCount: number;
  /** Wanted of each shard. */
  readonly standbys: number;
  /** Moves that placement has under way at once: each is a shard that somebody brings up beside its traffic. Operators may have as many again. */
  readonly movesMax: number;
  /** A report that is older says nothing any more. Several times what is between two of one node. */
  readonly reportFreshMs: number;
  /** What a new coordinator waits for reports of all members before it does more than give shards without an owner one. */
  readonly settleMs: number;
  /** A move is taken back when its target has come no further for this long, or was ready that long. */
  readonly moveTimeoutMs: number;
  /** After that no other move of the shard goes to the same node for this long. */
  readonly moveRestMs: number;
  /** Balance leaves alone for this long what an operator moved. */
  readonly handHoldMs: number;
  /** A node that lost shards by a suspicion, and was trusted again, loses none by another for this long. */
  readonly suspicionRestMs: number;
  /** Who is lost to the others for this long is taken to be leaving, though its lease holds: others follow what it follows. */
  readonly lostMs: number;
  /** What has not shown in a picture is asked for again after this. */
  readonly repeatMs: number;
  /** A picture that is older than others was looked at before them and says nothing; unless there was no newer one for this long. */
  readonly pictureLateMs: number;
  /** An operator waits at most this long for the store. */
  readonly verbTimeoutMs: number;
  /** Verbs of operators that wait. They are done in one write each; more is a script that does not wait. */
  readonly verbsMax: number;
}

export const coordinatorDefault: Omit<CoordinatorOptions, "self" | "shardCount"> = {
  standbys: 1,
  movesMax: 8,
  reportFreshMs: 3_000,
  settleMs: 1_000,
  moveTimeoutMs: 10_000,
  moveRestMs: 30_000,
  handHoldMs: 600_000,
  suspicionRestMs: 60_000,
  lostMs: 10_000,
  repeatMs: 1_000,
  pictureLateMs: 30_000,
  verbTimeoutMs: 5_000,
  verbsMax: 64,
};

/** `Picture` of coordination, with what nodes and coordinators wrote into it as it is meant. */
export interface CoordinatorPicture {
  readonly version: number;
  readonly members: readonly {
    readonly node: string;
    readonly generation: number;
    readonly info: NodeInfo;
    readonly leftMs: number;
  }[];
  readonly assignments: readonly { readonly shard: ShardId; readonly version: number; readonly target: ShardTarget }[];
}

export interface AssignmentChange {
  readonly shard: ShardId;
  readonly expected: number;
  readonly target: ShardTarget;
}

/** `unknown`: the answer was lost. `deposed`: the coordinator's lease is somebody else's. */
export type AssignmentOutcome =
  | { readonly ok: true; readonly version: number }
  | { readonly ok: false; readonly reason: "stale" | "deposed" | "unknown" };

export type OperatorVerb =
  | { readonly kind: "move"; readonly shards: readonly ShardId[]; readonly to: string }
  | { readonly kind: "pin"; readonly shards: readonly ShardId[]; readonly to: string | undefined }
  | { readonly kind: "drain"; readonly node: string; readonly on: boolean };

/** Every input carries the time of a monotonic clock. Ticks come several times a second. */
export type CoordinatorInput = { readonly nowMs: number } & (
  | { readonly kind: "tick" }
  | { readonly kind: "picture"; readonly picture: CoordinatorPicture }
  | { readonly kind: "report"; readonly report: NodeReport }
  /** What became of each change of one effect `assign`. */
  | {
      readonly kind: "assigned";
      readonly outcomes: readonly { readonly change: AssignmentChange; readonly outcome: AssignmentOutcome }[];
    }
  | { readonly kind: "verb"; readonly verb: OperatorVerb; readonly caller: object }
);

export type CoordinatorEffect =
  | { readonly kind: "assign"; readonly changes: readonly AssignmentChange[] }
  /** Its lease has lapsed. */
  | { readonly kind: "evict"; readonly member: NodeRef }
  /** Replaces what stands in coordination of a member. Those of one member are done in their order. */
  | { readonly kind: "describe"; readonly member: NodeRef; readonly info: NodeInfo }
  /** Once per caller. */
  | { readonly kind: "answer"; readonly caller: object; readonly failure?: VerbFailure };

export interface VerbFailure {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface MemberState {
  readonly ref: NodeRef;
  readonly info: NodeInfo;
  readonly lapsed: boolean;
  /** Others lost it. */
  accused: boolean;
  accusedSinceMs: number;
  /** It lost shards since it is accused. */
  deposed: boolean;
  restUntilMs: number;
  evictedMs: number;
}

export interface ReportState {
  readonly report: NodeReport;
  readonly rows: ReadonlyMap<ShardId, ShardReport>;
  readonly atMs: number;
}

export interface ShardState {
  readonly shard: ShardId;
  /** Of the assignment; 0 if it was never made. */
  version: number;
  target: ShardTarget | undefined;
  /** A change that was asked for, until it is known what became of it. */
  inFlight: AssignmentChange | undefined;
  /** The store holds another version than this one: a picture will tell. */
  stale: boolean;
  /** The highest that anybody has reported. */
  epoch: Epoch;
  /** `epoch` when it was decided who owns it: what is claimed above was claimed since. */
  decidedAt: Epoch;
  /** Commands per second, smoothed. */
  load: number;
  move: { readonly to: NodeRef; readonly ready: boolean; readonly tail: Offset; readonly sinceMs: number } | undefined;
  avoid: { readonly node: NodeRef; readonly untilMs: number } | undefined;
  holdUntilMs: number;
}

export interface PendingVerb {
  readonly verb: OperatorVerb;
  readonly caller: object;
  readonly untilMs: number;
  /** Of `move` and `pin`: those whose target does not say it yet. */
  readonly left: Set<ShardId>;
  /** A later verb asks for something else of a shard that was left, or of the node. */
  overtaken: boolean;
  describedMs: number;
}

export interface Coordinator {
  readonly options: CoordinatorOptions;
  nowMs: number;
  /** When the first picture came. */
  startedMs: number | undefined;
  /** It has heard of all members, or has waited long enough. */
  settled: boolean;
  /** Somebody else coordinates. Final. */
  deposed: boolean;
  pictureVersion: number;
  /** When a picture came that was not older than others before it. */
  picturedMs: number;
  /** By name. */
  readonly members: Map<string, MemberState>;
  readonly reports: Map<string, ReportState>;
  /** By name, in how many of the reports a node is lost: more than those whose reports count. */
  readonly lostIn: Map<string, number>;
  readonly shards: ShardState[];
  verbs: PendingVerb[];
}

export function makeCoordinator(options: CoordinatorOptions): Coordinator {
  return {
    options,
    nowMs: 0,
    startedMs: undefined,
    settled: false,
    deposed: false,
    pictureVersion: 0,
    picturedMs: 0,
    members: new Map(),
    reports: new Map(),
    lostIn: new Map(),
    shards: Array.from({ length: options.shardCount }, (_, shard) => emptyShard(shard)),
    verbs: [],
  };
}

export function emptyShard(shard: ShardId): ShardState {
  return {
    shard,
    version: 0,
    target: undefined,
    inFlight: undefined,
    stale: false,
    epoch: 0,
    decidedAt: 0,
    load: 0,
    move: undefined,
    avoid: undefined,
    holdUntilMs: Number.NEGATIVE_INFINITY,
  };
}

/** The member of this very running of a node, if its lease holds. */
export function liveMember(state: Coordinator, ref: NodeRef | undefined): MemberState | undefined {
  const member = ref === undefined ? undefined : state.members.get(ref.node);
  return member !== undefined && member.ref.generation === ref?.generation && !member.lapsed ? member : undefined;
}

/** What it last said, if that still counts. */
export function freshReport(state: Coordinator, ref: NodeRef): ReportState | undefined {
  const held = state.reports.get(ref.node);
  const counts =
    held !== undefined &&
    held.report.from.generation === ref.generation &&
    state.nowMs - held.atMs <= state.options.reportFreshMs;
  return counts ? held : undefined;
}

/** Replaces what a node said; undefined: it says nothing any more. */
export function keepReport(state: Coordinator, node: string, next: ReportState | undefined): void {
  const { reports, lostIn } = state;
  for (const lost of reports.get(node)?.report.unreachable ?? [])
    lostIn.set(lost.node, (lostIn.get(lost.node) ?? 0) - 1);
  for (const lost of next?.report.unreachable ?? []) lostIn.set(lost.node, (lostIn.get(lost.node) ?? 0) + 1);
  if (next === undefined) reports.delete(node);
  else reports.set(node, next);
}
