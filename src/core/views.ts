/**
 * Watched views: who sees what of an entity, and when they hear of a change.
 *
 * Invariants:
 * 1. A watcher hears durable states only, in order, each once: a view is computed when its records are cut for the log
 *    and leaves through the gate with them. If the append fails it was never seen.
 * 2. Access is asked for every value, so that a right that is lost ends the watch.
 */

import { formatRef, isKey } from "../model/ids.ts";
import type { WatchCall, WatchNews } from "../model/records.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Effect, WatcherToken } from "./effects.ts";
import { holdUntilDurable } from "./gate.ts";
import { type Owner, slotOrFresh } from "./owner-state.ts";
import { unreadable } from "./quarantine.ts";
import type { Slot } from "./slot.ts";
import { mayDo } from "./user-code.ts";
import { addWatcher, asShown, type Shown, shownOf, unwatch, type Watched, type Watcher } from "./watchers.ts";

export function takeWatch(owner: Owner, call: WatchCall, token: WatcherToken, effects: Effect[]): void {
  const definition = owner.definitions.get(call.entity.type);
  const view = definition?.views.get(call.view);
  const end = (code: "unavailable" | "unknown-type" | "unknown-view" | "invalid-key", detail: string) =>
    effects.push({ kind: "publish", watcher: token, news: { ok: false, code, detail } });
  if (owner.phase !== "serving" && owner.phase !== "draining")
    return void end("unavailable", "The shard is not being served at the moment; subscribe again.");
  if (definition === undefined) return void end("unknown-type", `No entity type "${call.entity.type}".`);
  if (!isKey(call.entity.key)) return void end("invalid-key", "A key is 1 to 128 of letters, digits, _ and -.");
  if (view === undefined) return void end("unknown-view", `${definition.name} has no view "${call.view}".`);
  const watcher: Watcher = {
    token,
    entity: formatRef(call.entity),
    name: call.view,
    view,
    definition,
    principal: call.principal,
    told: 0,
  };
  const slot = slotOrFresh(owner, call.entity, definition);
  watcher.told = slot.version;
  const shown = shownOf(owner.views, watcher.entity, slot);
  const news = newsFor(owner, watcher, slot, shown, effects);
  if (news.ok) addWatcher(owner.views, watcher, shown);
  holdUntilDurable(
    owner.gate,
    news.ok ? slot.touched : 0,
    owner.durable,
    { kind: "publish", watcher: token, news },
    effects,
  );
}

/** Computes the views of what changed since the last cut; they leave when their records are durable. */
export function publishViews(owner: Owner, effects: Effect[]): void {
  const { views } = owner;
  if (views.byEntity.size > 0) {
    for (const slot of views.dirty) {
      const watched = views.byEntity.get(formatRef(slot.ref));
      if (watched !== undefined) publishSlot(owner, slot, watched, effects);
    }
  }
  views.dirty.clear();
}

/** A state is whole again: those who watched are told. */
export function publishNow(owner: Owner, slot: Slot, effects: Effect[]): void {
  const watched = owner.views.byEntity.get(formatRef(slot.ref));
  if (watched !== undefined) publishSlot(owner, slot, watched, effects);
}

function publishSlot(owner: Owner, slot: Slot, watched: Watched, effects: Effect[]): void {
  // half a state is shown to nobody; they hear of the versions in between when it is whole again
  if (slot.parked?.good === false) return;
  const shown = shownOf(owner.views, formatRef(slot.ref), slot);
  watched.shown = shown;
  for (const watcher of [...watched.watchers]) {
    // one that began after the change, before this cut, saw it already
    if (watcher.told === slot.version) continue;
    watcher.told = slot.version;
    const news = newsFor(owner, watcher, slot, shown, effects);
    if (!news.ok) unwatch(owner.views, watcher.token);
    holdUntilDurable(
      owner.gate,
      slot.touched,
      owner.durable,
      { kind: "publish", watcher: watcher.token, news },
      effects,
    );
  }
}

/** @param shown what the same state shows others: a view that is the same for everybody is computed once */
function newsFor(owner: Owner, watcher: Watcher, slot: Slot, shown: Shown, effects: Effect[]): WatchNews {
  if (!mayDo(watcher.definition, watcher.principal, { kind: "view", name: watcher.name }, slot.ref.key)) {
    return { ok: false, code: "forbidden", detail: "This principal may not do this here." };
  }
  const hidden = unreadable(slot);
  if (hidden !== undefined) return { ok: false, code: hidden.code, detail: hidden.detail };
  const known = watcher.view.shared ? shown.values.get(watcher.name)?.[0] : undefined;
  if (known !== undefined) return { ok: true, version: slot.version, value: known };
  try {
    const { depthMax, viewBytesMax } = owner.limits;
    const seen = watcher.view.read(slot.state, watcher.principal, slot.ref.key);
    const { value } = copyPlain((seen ?? null) as Plain, {
      depthMax,
      bytesMax: viewBytesMax,
      sealed: watcher.definition.personal,
    });
    return { ok: true, version: slot.version, value: asShown(shown, watcher.name, value) };
  } catch (error) {
    effects.push({ kind: "fault", where: `view "${watcher.name}" on ${formatRef(slot.ref)}`, error });
    return {
      ok: false,
      code: "decide-failed",
      detail: `The code of view "${watcher.name}" threw or returned what is not plain data.`,
    };
  }
}
