/**
 * Who watches which view of which entity.
 *
 * Invariant: the two indexes hold the same watchers.
 */
import type { EntityDefinition, ViewDefinition } from "../model/entity.ts";
import type { Offset } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import type { WatcherToken } from "./effects.ts";
import type { Slot } from "./slot.ts";

export interface Watcher {
  readonly token: WatcherToken;
  readonly entity: string;
  readonly name: string;
  readonly view: ViewDefinition;
  readonly definition: EntityDefinition;
  readonly principal: Principal;
  /** The version it was told last, or will be when that is durable. */
  told: Offset;
}

export interface Views {
  readonly byEntity: Map<string, Set<Watcher>>;
  readonly byToken: Map<WatcherToken, Watcher>;
  /** Slots with records that no cut has seen. */
  readonly dirty: Set<Slot>;
}

export function makeViews(): Views {
  return { byEntity: new Map(), byToken: new Map(), dirty: new Set() };
}

export function addWatcher(views: Views, watcher: Watcher): void {
  const watchers = views.byEntity.get(watcher.entity);
  if (watchers === undefined) views.byEntity.set(watcher.entity, new Set([watcher]));
  else watchers.add(watcher);
  views.byToken.set(watcher.token, watcher);
}

export function unwatch(views: Views, token: WatcherToken): void {
  const watcher = views.byToken.get(token);
  if (watcher === undefined) return;
  views.byToken.delete(token);
  const watchers = views.byEntity.get(watcher.entity);
  watchers?.delete(watcher);
  if (watchers?.size === 0) views.byEntity.delete(watcher.entity);
}
