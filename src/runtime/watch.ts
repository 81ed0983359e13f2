/**
 * Starts a watch on the host of its entity.
 *
 * Invariant: after the returned function was called, the listener is not called again.
 */
import type { CallFailure, WatchCall, WatchNews } from "../model/records.ts";
import type { HostSurroundings, ShardHost, Watching } from "./shard-host.ts";

export interface WatchPlace {
  readonly host: ShardHost | undefined;
  /** Why nothing can be watched there at present. */
  readonly refusal: CallFailure | undefined;
  readonly around: HostSurroundings;
  /** Runs core code. */
  readonly guard: (work: () => void) => void;
}

export function startWatch(call: WatchCall, listener: (news: WatchNews) => void, place: WatchPlace): () => void {
  const { host, refusal, around, guard } = place;
  const watching: Watching = { listener, over: false };
  if (refusal === undefined) guard(() => host?.step({ kind: "watch", call, watcher: watching }));
  else around.publish(watching, refusal);
  return () => {
    if (watching.over) return;
    watching.over = true;
    guard(() => host?.step({ kind: "unwatch", watcher: watching }));
  };
}
