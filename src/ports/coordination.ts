/**
 * Coordination: which nodes there are, who may act for all of them, and which node each shard is meant for.
 *
 * Nothing here decides who writes: the shard log's fence does. Being wrong here costs a needless move, never a second writer. So leases
 * lapse by the clock of the store alone, and no node's clock is ever compared with another's:
 *
 *   holder   counts from *before* it asked, on its own monotonic clock, and stops at `leaseUsable` of the time
 *   store    lapses it, and from then on refuses to renew it
 *   others   read from the store how much is left
 *
 * Every control write carries what it rests on (a generation, a token, a version) and is refused when that is past, so that one that was
 * delayed changes nothing.
 */
import type { ShardId } from "../model/ids.ts";
import type { Plain } from "../std/plain.ts";

/** Each join gives a higher one than any join of any node before it: what identifies one running of a node. */
export type Generation = number;

/** Of one holding of a lease; each grant of it has a higher one. */
export type LeaseToken = number;

/** Part of its lease that a holder relies on: the rest is for what its clock and the way to the store take. */
export const leaseUsable = 0.8;

export interface Member {
  readonly node: string;
  readonly generation: Generation;
  /** What the node tells of itself: address, zone, weight, versions, that it drains. */
  readonly info: Plain;
  /** What is left of its lease by the store's clock, at the time of the look; 0 if it has lapsed. */
  readonly leftMs: number;
}

/** What identifies one running of a node. */
export type MemberId = Pick<Member, "node" | "generation">;

export interface Lease {
  readonly name: string;
  readonly token: LeaseToken;
  /** Undefined if it was given back. */
  readonly node: string | undefined;
  readonly leftMs: number;
}

export interface Assignment {
  readonly shard: ShardId;
  /** Grows with each change of this shard's; 0 if it was never assigned. */
  readonly version: number;
  /** Owner, standbys, a move under way: the coordinator's own words. */
  readonly target: Plain;
}

export interface Change {
  readonly shard: ShardId;
  /** The version that the change was made for. */
  readonly expected: number;
  readonly target: Plain;
}

/** `stale`: the assignment is of another version. `deposed`: the lease that it was made under is not held any more. */
export type ChangeResult =
  | { readonly ok: true; readonly version: number }
  | { readonly ok: false; readonly reason: "stale" | "deposed" };

/** All there is, as of one moment. */
export interface Picture {
  /** Grows with each change of members or assignments; not with a renewal, nor when a lease lapses. */
  readonly version: number;
  readonly members: readonly Member[];
  readonly leases: readonly Lease[];
  readonly assignments: readonly Assignment[];
}

export interface Coordination {
  /**
   * Makes the node a member in a new generation, whatever an earlier running of it left behind: that one is no member any more.
   * @returns its generation
   */
  join(node: string, info: Plain, leaseMs: number): Promise<Generation>;
  /** False: the lease has lapsed, or another generation joined. Final for this generation: the node joins again. */
  renew(member: MemberId, leaseMs: number): Promise<boolean>;
  /** Replaces what the member tells of itself. False as with `renew`. */
  describe(member: MemberId, info: Plain): Promise<boolean>;
  /** Ends the caller's own membership at once. False: there is no member of this generation any more. */
  leave(member: MemberId): Promise<boolean>;
  /** Ends the membership of one whose lease has lapsed. False: it has not, or there is no member of this generation any more. */
  evict(member: MemberId): Promise<boolean>;
  /**
   * Takes a lease that nobody holds, or that has lapsed. The holder itself gets a new token.
   * @returns undefined if another holds it
   */
  acquire(name: string, node: string, leaseMs: number): Promise<LeaseToken | undefined>;
  /** False: it has lapsed, or was given to somebody. Final for this token. */
  extend(name: string, token: LeaseToken, leaseMs: number): Promise<boolean>;
  /** Gives it back at once. Without effect if this token's holding is past. */
  release(name: string, token: LeaseToken): Promise<void>;
  /**
   * Changes assignments, each by itself, by compare-and-set of its version.
   * After an answer that was lost, `stale` may be the caller's own change: it looks again.
   * @param under the lease by which the caller acts; if it is not held any more nothing is changed, of none of them
   */
  assign(
    changes: readonly Change[],
    under?: { readonly name: string; readonly token: LeaseToken },
  ): Promise<readonly ChangeResult[]>;
  look(): Promise<Picture>;
  /**
   * Gives a picture at once, and again whenever its version is another, a member's lease has lapsed, or a lease has another holder. What
   * happens between two looks is told as one. Ends when `signal` aborts. @throws `unavailable` the store did not answer for too long
   */
  watch(signal: AbortSignal): AsyncIterable<Picture>;
  /** Idempotent. Ends watches. */
  close(): Promise<void>;
}
