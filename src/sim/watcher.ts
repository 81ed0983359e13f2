/**
 * A simulated watcher: follows a view, and follows it again when the node ended the watch or ended itself.
 *
 * Invariant: it has at most one watch; news of an earlier one do not count.
 */
import { type EntityRef, formatRef } from "../model/ids.ts";
import { viewOf } from "./entities.ts";
import type { WatchState } from "./observer.ts";
import type { Server } from "./server.ts";
import type { World } from "./world.ts";

export class Watcher {
  readonly entity: EntityRef;
  readonly #world: World;
  readonly #server: Server;
  readonly #viewer: string;
  #state: WatchState | undefined;
  #stop: (() => void) | undefined;
  #closed = false;

  constructor(world: World, server: Server, options: { entity: EntityRef; viewer: string }) {
    this.#world = world;
    this.#server = server;
    this.entity = options.entity;
    this.#viewer = options.viewer;
    server.onServing.push(() => this.begin());
  }

  /** What it saw last, undefined if nothing yet. */
  get last(): number | undefined {
    return this.#state?.last;
  }

  begin(): void {
    this.#stop?.();
    this.#stop = undefined;
    if (this.#closed || !this.#server.serving) return;
    const { entity } = this;
    const state = this.#server.observer.watching(formatRef(entity), this.#viewer);
    this.#state = state;
    const view = viewOf[entity.type] ?? "";
    const principal = { kind: "user", id: this.#viewer } as const;
    this.#stop = this.#server.watch({ entity, view, principal }, (news) => {
      if (this.#state !== state) return this.#world.violated("a watch that was stopped is silent", formatRef(entity));
      this.#world.note(`watch ${formatRef(entity)}: ${news.ok ? `version ${news.version}` : news.code}`);
      this.#server.observer.heard(state, news);
      if (!news.ok) this.#world.timeline.after(20, () => this.#state === state && this.begin());
    });
  }

  close(): void {
    this.#closed = true;
    this.#stop?.();
    this.#state = undefined;
  }
}
