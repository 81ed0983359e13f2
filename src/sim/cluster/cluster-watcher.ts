/**
 * A simulated watcher of a cluster: follows a view at some node, and at another one when that node is gone.
 *
 * Invariant: what one watch hears are versions that only grow, each a durable state. A new watch may begin with an older version than the
 * one before saw: only a query is confirmed by the log.
 */
import { type EntityRef, formatRef } from "../../model/ids.ts";
import { viewOf } from "../entities.ts";
import type { WatchState } from "../observer.ts";
import type { World } from "../world.ts";
import type { SimNode } from "./sim-node.ts";
import type { Stage } from "./stage.ts";

/** Between looks whether the node is still there. */
const lookMs = 50;

export class ClusterWatcher {
  readonly entity: EntityRef;
  readonly #world: World;
  readonly #stage: Stage;
  readonly #viewer: string;
  #state: WatchState | undefined;
  #node: SimNode | undefined;
  #process: SimNode["process"];
  #stop: () => void = () => {};
  #closed = false;

  constructor(world: World, stage: Stage, options: { entity: EntityRef; viewer: string }) {
    this.#world = world;
    this.#stage = stage;
    this.entity = options.entity;
    this.#viewer = options.viewer;
  }

  /** What it saw last, undefined if nothing yet. */
  get last(): number | undefined {
    return this.#state?.last;
  }

  begin(): void {
    if (this.#closed) return;
    this.#node = this.#stage.any();
    this.#process = this.#node?.process;
    if (this.#node !== undefined) this.#watch(this.#node);
    this.#look();
  }

  close(): void {
    this.#closed = true;
    if (this.#process?.alive === true) this.#process.run(this.#stop);
  }

  #watch(node: SimNode): void {
    const { entity } = this;
    const state: WatchState = { entity: formatRef(entity), viewer: this.#viewer, floor: 0, last: undefined };
    this.#state = state;
    const principal = { kind: "user", id: this.#viewer } as const;
    const call = { entity, view: viewOf[entity.type] ?? "", principal };
    node.process?.run(() => {
      const stop = node.cluster?.service.watch(call, (news) => {
        if (this.#closed) return this.#world.violated("a watch that was stopped is silent", state.entity);
        if (this.#state !== state) return this.#world.violated("a watch ends once", state.entity);
        this.#world.note(`watch ${state.entity} at ${node.name}: ${news.ok ? `version ${news.version}` : news.code}`);
        this.#stage.observer.heard(state, news);
        if (!news.ok) this.#over();
      });
      this.#stop = stop ?? (() => {});
    });
  }

  #look(): void {
    this.#world.timeline.after(lookMs, () => {
      if (this.#closed) return;
      if (this.#process?.alive === true && this.#node?.cluster !== undefined) this.#look();
      else this.begin();
    });
  }

  #over(): void {
    this.#process = undefined;
    this.#node = undefined;
  }
}
