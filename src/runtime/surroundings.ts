/**
 * What a node is to its hosts: where each of their effects goes.
 *
 * Invariant: nothing here is called from inside a step; a host performs its effects after it.
 */
import type { Input } from "../core/effects.ts";
import type { EntityRef } from "../model/ids.ts";
import type { Alarm } from "./alarm.ts";
import type { CallRunner } from "./calls.ts";
import { makeChance } from "./chance.ts";
import type { Committer } from "./committer.ts";
import type { NodeOptions } from "./node-options.ts";
import type { Outgoing } from "./outgoing.ts";
import { readStep } from "./read-step.ts";
import type { Rebuilder } from "./rebuilder.ts";
import type { RecentFrames } from "./recent-frames.ts";
import type { HostSurroundings, ShardHost } from "./shard-host.ts";
import type { Tally } from "./tally.ts";

export interface SurroundingParts {
  readonly options: NodeOptions;
  readonly tally: Tally;
  readonly outgoing: Outgoing;
  readonly committer: Committer;
  readonly recent: RecentFrames;
  readonly now: () => number;
  /** What is made after the hosts. */
  readonly later: () => { readonly alarm: Alarm<ShardHost>; readonly calls: CallRunner; readonly rebuilder: Rebuilder };
  /** An input for the owner of another entity. */
  readonly route: (entity: EntityRef, input: Input) => void;
  readonly released: HostSurroundings["released"];
  readonly supervise: (work: Promise<void>) => void;
}

export function surroundingsOf(parts: SurroundingParts): HostSurroundings {
  const { options, tally, outgoing, committer, recent, now, later, route, released, supervise } = parts;
  return {
    answer: (caller, result) => {
      tally.replied(result);
      outgoing.add(() => caller.answer(result), result.durable === false);
    },
    publish: (watching, news) => outgoing.publish(watching, news),
    pending: (host, byMs) => committer.add(host, byMs),
    wake: (host, atMs) => later().alarm.set(host, atMs),
    rebuild: (host, order) => later().rebuilder.add(host.shard, order),
    monotonic: () => options.clock.monotonic(),
    overBudget: () => {
      tally.overBudget++;
    },
    call: (host, effect) => later().calls.start(host, effect),
    route,
    readRecord: (shard, at) => readStep(options.log, shard, at),
    fault: (where, error) => options.onFault?.(where, error),
    durable: (append) => {
      recent.add(append);
      options.cluster?.durable(append);
    },
    served: ({ shard, owner }) => recent.begin(shard, owner.durable),
    released,
    now,
    chance: makeChance(options.random),
    supervise,
  };
}
