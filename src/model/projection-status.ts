/**
 * How a projection is, for operators.
 *
 * Invariant: no key, payload or document is in it.
 */
import type { ErrorCode } from "./errors.ts";
import type { FeedLag } from "./feeds.ts";
import type { ProjectionVersion } from "./projection-version.ts";

export type ProjectionPhase = "loading" | "building" | "serving" | "failed" | "stopped";

export interface ProjectionStatus {
  readonly name: string;
  readonly phase: ProjectionPhase;
  /** Of this code. */
  readonly version: ProjectionVersion;
  /** What readers get; another one while this one is built; absent: nothing yet. */
  readonly served?: ProjectionVersion;
  readonly documents: number;
  readonly bytes: number;
  /** Changes that were folded since the start. */
  readonly changes: number;
  /** Behind what was durable when it asked last; absent before it has asked. */
  readonly lag?: FeedLag;
  /** Ms since 1970; absent: not yet in this running. */
  readonly savedMs?: number;
  /** Why it failed, or what it waits for at the moment. */
  readonly error?: { readonly code: ErrorCode; readonly detail: string };
}
