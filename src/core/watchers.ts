/**
 * Who watches which view of which entity, and what they were shown last.
 *
 * Invariant: the two indexes hold the same watchers. What was shown is of one state; an entity that nobody watches has none.
 */
import type { EntityDefinition, ViewDefinition } from "../model/entity.ts";
import type { Offset } from "../model/ids.ts";
import type { Principal } from "../model/records.ts";
import { equal } from "../std/patch.ts";
import type { Plain } from "../std/plain.ts";
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

/** The values of an entity's views in one state, by view: what is equal is one value, so that it is compared and encoded once. */
export interface Shown {
  readonly version: Offset;
  /** Offset of the last record that touched the entity. */
  readonly touched: Offset;
  readonly values: Map<string, Plain[]>;
}

export interface Watched {
  readonly watchers: Set<Watcher>;
  shown: Shown;
}

export interface Views {
  readonly byEntity: Map<string, Watched>;
  readonly byToken: Map<WatcherToken, Watcher>;
  /** Slots with records that no cut has seen. */
  readonly dirty: Set<Slot>;
}

export function makeViews(): Views {
  return { byEntity: new Map(), byToken: new Map(), dirty: new Set() };
}

export function addWatcher(views: Views, watcher: Watcher, shown: Shown): void {
  const watched = views.byEntity.get(watcher.entity);
  if (watched === undefined) views.byEntity.set(watcher.entity, { watchers: new Set([watcher]), shown });
  else {
    watched.watchers.add(watcher);
    watched.shown = shown;
  }
  views.byToken.set(watcher.token, watcher);
}

export function unwatch(views: Views, token: WatcherToken): void {
  const watcher = views.byToken.get(token);
  if (watcher === undefined) return;
  views.byToken.delete(token);
  const watched = views.byEntity.get(watcher.entity);
  watched?.watchers.delete(watcher);
  if (watched?.watchers.size === 0) views.byEntity.delete(watcher.entity);
}

/** What was shown of the entity in its present state, to be added to. */
export function shownOf(views: Views, entity: string, { version, touched }: Slot): Shown {
  const shown = views.byEntity.get(entity)?.shown;
  return shown?.version === version && shown.touched === touched ? shown : { version, touched, values: new Map() };
}

/** Different values of a view that the next one is compared with. */
const comparedMax = 2;

/** The value as it was shown to others, if an equal one was of late; else itself, for others. */
export function asShown({ values }: Shown, view: string, value: Plain): Plain {
  const known = values.get(view);
  if (known === undefined) {
    values.set(view, [value]);
    return value;
  }
  const found = known.findIndex((each) => equal(each, value));
  const shown = found === -1 ? value : (known[found] as Plain);
  // The one that was met last comes first: of a crowd that sees the same, few see something else.
  if (found > 0) known.splice(found, 1);
  if (found !== 0) known.unshift(shown);
  if (known.length > comparedMax) known.pop();
  return shown;
}
