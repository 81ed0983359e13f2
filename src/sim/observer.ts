/**
 * Checks everything that the node tells anybody, at the moment it tells it, against what is durable then.
 *
 * Invariants: it compares with the witness only, never with the node's memory. `floor` only rises: what was told of an
 * entity once bounds from below what may be told of it later.
 */
import { catalogue } from "../model/errors.ts";
import { type EntityRef, formatRef, shardOf } from "../model/ids.ts";
import { limitsWith } from "../model/limits.ts";
import type { CallResult, CommandCall, QueryCall, WatchNews } from "../model/records.ts";
import { mayBeParked } from "./entities.ts";
import { viewFrom } from "./model.ts";
import { type SaplingFacts, saplingStates } from "./sapling.ts";
import type { Recorded, Witness } from "./witness.ts";
import type { World } from "./world.ts";

/** Codes that a call of the simulated clients may be answered with, beside those that ask for a retry. */
const expected = new Set(["rejected", "decide-failed", "request-expired", "invalid-request-id", "version-mismatch"]);

export interface WatchState {
  readonly entity: string;
  readonly viewer: string;
  readonly floor: number;
  last: number | undefined;
}

export class Observer {
  readonly #world: World;
  readonly #witness: Witness;
  readonly #floors = new Map<string, number>();

  constructor(world: World, witness: Witness) {
    this.#world = world;
    this.#witness = witness;
  }

  /** Offset up to which somebody was told of the entity. */
  floor(entity: string): number {
    return this.#floors.get(entity) ?? 0;
  }

  #raise(entity: string, offset: number): void {
    if (offset > this.floor(entity)) this.#floors.set(entity, offset);
  }

  /** @param floor the entity's floor when the client sent the command for the first time */
  replied(call: CommandCall, result: CallResult, floor: number): void {
    if (result.durable === false && !this.#witness.requests.has(call.requestId))
      return this.#witness.early.told(call, result);
    const entity = formatRef(call.entity);
    const recorded = this.#witness.requests.get(call.requestId);
    const what = `"${call.command}" on ${entity}, request ${call.requestId}`;
    if (result.ok || result.code === "rejected") {
      if (recorded === undefined)
        return this.#world.violated("replies rest on durable records", `${what} was answered`);
      this.#compare(what, recorded, result, { call, entity });
      if (recorded.at <= floor) {
        const detail = `${what} stands at ${recorded.at}, but began after ${floor} was told`;
        this.#world.violated("commands keep real-time order", detail);
      }
      this.#raise(entity, recorded.at);
    } else if (result.code === "decide-failed") {
      if (recorded !== undefined && (recorded.outcome.ok || recorded.outcome.code !== "decide-failed"))
        this.#world.violated("replies are the log's state", `${what} failed, but its record says otherwise`);
    } else if (result.code === "request-expired") {
      this.#checkExpired(call.requestId, what);
    } else if (result.code === "quarantined") {
      this.#checkParked(call.entity.type, what);
    } else if (catalogue[result.code].recovery !== "retry" && !expected.has(result.code)) {
      this.#world.violated("answers make sense", `${what} was answered ${result.code}: ${result.detail}`);
    }
  }

  /** What was recorded is remembered for its window; clocks that are off may tell otherwise. */
  #checkExpired(requestId: string, what: string): void {
    const { swarm, wallMs } = this.#world;
    if (swarm.skewMs > 0 || swarm.clockJumps > 0 || !this.#witness.requests.has(requestId)) return;
    const ageMs = wallMs - Number.parseInt(requestId.replace("-", "").slice(0, 12), 16);
    if (ageMs < limitsWith(swarm.limits).dedupWindowMs)
      this.#world.violated(
        "ids are remembered for their window",
        `${what} was answered request-expired after ${ageMs} ms`,
      );
  }

  /** Only those that break are parked: their neighbours are served. */
  #checkParked(type: string, what: string): void {
    if (!mayBeParked.has(type)) this.#world.violated("neighbours do not notice", `${what} was answered quarantined`);
  }

  #compare(what: string, recorded: Recorded, result: CallResult, asked: { call: CommandCall; entity: string }): void {
    const { outcome } = recorded;
    const told = result.ok ? result.value : (result.details ?? null);
    const kept = outcome.ok ? outcome.value : outcome.details;
    const reason = result.ok ? undefined : result.reason;
    const keptReason = outcome.ok ? undefined : outcome.reason;
    const same = recorded.entity === asked.entity && recorded.command === asked.call.command;
    if (!same || outcome.ok !== result.ok || reason !== keptReason || JSON.stringify(told) !== JSON.stringify(kept)) {
      const detail = `${what} was told ${JSON.stringify(told)}, its record has ${JSON.stringify(kept)}`;
      return this.#world.violated("replies are the log's state", detail);
    }
    // an answer that was read back from the log tells the record's offset as the version
    if (result.version !== recorded.version && result.version !== recorded.at) {
      const detail = `${what} was told version ${result.version}, it is ${recorded.version}`;
      this.#world.violated("replies are the log's state", detail);
    }
  }

  /** @param floor the entity's floor when the query reached the node */
  answered(call: QueryCall, result: CallResult, floor: number): void {
    const entity = formatRef(call.entity);
    if (!result.ok) {
      if (result.code === "quarantined") this.#checkParked(call.entity.type, `a query on ${entity}`);
      else if (catalogue[result.code].recovery !== "retry")
        this.#world.violated(
          "answers make sense",
          `a query on ${entity} was answered ${result.code}: ${result.detail}`,
        );
      return;
    }
    const { version, value } = result;
    const state = this.#witness.entities.get(entity)?.states.get(version);
    const known = state ?? (version === 0 ? this.#witness.entity(entity).states.get(0) : undefined);
    if (known === undefined) {
      return this.#world.violated("reads show durable states", `a query on ${entity} shows version ${version}`);
    }
    if (!this.#isShown(call.entity, JSON.stringify(value), known)) {
      const detail = `a query on ${entity} at ${version} shows ${JSON.stringify(value)}, the log says ${known}`;
      return this.#world.violated("reads show durable states", detail);
    }
    this.#checkAge(`a query on ${entity}`, entity, version, floor);
    this.#raise(entity, version);
  }

  /** A sapling's state is what the code that runs makes of its log, or what it kept where the log is trimmed. */
  #isShown(entity: EntityRef, shown: string, known: string): boolean {
    if (entity.type !== "sapling") return shown === known;
    const { deployments, swarm } = this.#world;
    const trimmed = deployments.isTrimmed(shardOf(entity.type, entity.key, swarm.shardCount));
    return saplingStates(deployments.generation, JSON.parse(known) as SaplingFacts, trimmed).includes(shown);
  }

  /** Between the version that is shown and what was told before there must be no other version. */
  #checkAge(what: string, entity: string, version: number, floor: number): void {
    // a deployment that cannot evolve an event shows the last version that it can
    if (this.#world.brokenCode && entity.startsWith("fragile/")) return;
    for (const newer of this.#witness.entity(entity).states.keys()) {
      if (newer > version && newer <= floor) {
        return this.#world.violated("reads are not stale", `${what} shows ${version}, but ${newer} was told before`);
      }
    }
  }

  watching(entity: string, viewer: string): WatchState {
    return { entity, viewer, floor: this.floor(entity), last: undefined };
  }

  heard(watch: WatchState, news: WatchNews): void {
    if (!news.ok) {
      if (news.code === "quarantined")
        this.#checkParked(watch.entity.split("/")[0] ?? "", `a watch on ${watch.entity}`);
      else if (catalogue[news.code].recovery !== "retry")
        this.#world.violated("answers make sense", `a watch on ${watch.entity} ended: ${news.code}`);
      return;
    }
    const { version } = news;
    const model = this.#witness.entity(watch.entity);
    const state = model.states.get(version);
    if (state === undefined) {
      const detail = `a watcher of ${watch.entity} saw version ${version}`;
      return this.#world.violated("watchers see durable states", detail);
    }
    const seen = JSON.stringify(news.value);
    if (seen !== viewFrom(model.type, state, watch.viewer)) {
      const detail = `a watcher of ${watch.entity} saw ${seen} at ${version}, the log says ${state}`;
      this.#world.violated("watchers see durable states", detail);
    }
    if (watch.last === undefined) this.#checkAge(`a new watch on ${watch.entity}`, watch.entity, version, watch.floor);
    else if (version <= watch.last)
      this.#world.violated("watchers see versions in order", `${watch.entity}: ${version} after ${watch.last}`);
    watch.last = version;
    this.#raise(watch.entity, version);
  }
}
