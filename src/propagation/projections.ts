/**
 * The projections of a service: they are kept, read, listed and watched here.
 *
 * Invariants: nothing of a document leaves but through the door, where sealed values are opened, so an erasure blanks it at once.
 * Who asks from outside is asked for first (`allow`): without a word of the projection's `access` nobody may. What readers
 * get does not depend on who they are, so one watch serves all who look at the same thing.
 */
import { HoldfastError } from "../model/errors.ts";
import type { EntityRef } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { ProjectionDefinition, ProjectionVerb } from "../model/projection.ts";
import type { ProjectionPhase, ProjectionStatus } from "../model/projection-status.ts";
import type { CallResult, Principal, WatchCall, WatchNews } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";
import type { SnapshotStore } from "../ports/snapshot-store.ts";
import { copyPlain, type Plain } from "../std/plain.ts";
import type { Feeds } from "./feed.ts";
import { ProjectionFollower } from "./projection-follower.ts";
import { ProjectionStore } from "./projection-store.ts";
import { ordersOf, type Shelf } from "./shelf.ts";

/** What opens sealed values on their way out; `runtime/door.ts`. */
export interface ProjectionDoor {
  answer(type: string, done: (result: CallResult) => void): (result: CallResult) => void;
  watch(call: WatchCall, listener: (news: WatchNews) => void, start: Start): () => void;
}
type Start = (listener: (news: WatchNews) => void) => () => void;

export interface ProjectionsParts {
  readonly feeds: Feeds;
  /** Where documents are saved. Without one they are built again at each start. */
  readonly store: SnapshotStore | undefined;
  /** Where several nodes keep the same projections: whether it is this one that saves the one of this name. */
  readonly saves?: (name: string) => boolean;
  readonly clock: Clock;
  readonly limits: Limits;
  /** Knows each projection by its name, and whether it holds personal data. */
  readonly door: ProjectionDoor;
  /** Names this running of the service; see `Service.run`. */
  readonly run: () => string;
  readonly report: (where: string, error: unknown) => void;
}

/** What an answer rests on. */
interface AnswerHead {
  readonly projection: string;
  /** Of the code that folded what is answered. */
  readonly version: string;
  readonly phase: ProjectionPhase;
  /** How old the answer may be, in seconds; null: not known, it is another version's. */
  readonly lagSeconds: number | null;
}

export interface ProjectedDocument extends AnswerHead {
  readonly key: string;
  /** Null: there is none. */
  readonly value: Plain;
}

export interface ProjectedList extends AnswerHead {
  readonly order: string;
  readonly documents: readonly { readonly key: string; readonly value: Plain }[];
  /** There are more than were asked for, or than an answer may hold. */
  readonly more: boolean;
}

/** What is watched: a document, or the first ones of an order. */
export type ProjectionAsk =
  | { readonly kind: "document"; readonly name: string; readonly key: string }
  | { readonly kind: "list"; readonly name: string; readonly order?: string | undefined; readonly limit: number };

interface Watching {
  readonly ask: ProjectionAsk;
  readonly listener: (news: WatchNews) => void;
  last: readonly unknown[] | undefined;
}

export class Projections {
  readonly #followers: ReadonlyMap<string, ProjectionFollower>;
  readonly #parts: ProjectionsParts;
  readonly #watching = new Map<string, Set<Watching>>();
  readonly #measured = new WeakMap<object, number>();
  /** Counts what readers are told. */
  #version = 0;

  constructor(definitions: readonly ProjectionDefinition[], parts: ProjectionsParts) {
    this.#parts = parts;
    const followers = new Map<string, ProjectionFollower>();
    for (const definition of definitions) {
      const { name } = definition;
      if (followers.has(name))
        throw new HoldfastError("invalid-definition", `Two projections are named "${name}"; rename one.`);
      const { feeds, clock, limits, report } = parts;
      const store = parts.store && new ProjectionStore(name, { store: parts.store, clock, report });
      const published = () => this.#published(name);
      const saves = () => parts.saves?.(name) !== false;
      followers.set(
        name,
        new ProjectionFollower(definition, { feeds, store, saves, clock, limits, report, published }),
      );
    }
    this.#followers = followers;
  }

  get limits(): Limits {
    return this.#parts.limits;
  }

  get run(): string {
    return this.#parts.run();
  }

  get definitions(): readonly ProjectionDefinition[] {
    return [...this.#followers.values()].map(({ definition }) => definition);
  }

  start(): void {
    for (const follower of this.#followers.values()) follower.start();
  }

  /** Saves what is not saved. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()));
    this.#watching.clear();
  }

  status(): ProjectionStatus[] {
    return [...this.#followers.values()].map(({ status }) => status);
  }

  /** @throws `forbidden` this principal may not, or there is no such projection: both look the same */
  allow(principal: Principal, ask: ProjectionAsk): void {
    const definition = this.#followers.get(ask.name)?.definition;
    const verb: ProjectionVerb =
      ask.kind === "document"
        ? { kind: "document", key: ask.key, order: undefined }
        : { kind: "list", key: undefined, order: ask.order ?? (definition && ordersOf(definition)[0]) };
    if (definition !== undefined && this.#mayRead(definition, principal, verb)) return;
    throw new HoldfastError("forbidden", "There is no such projection, or you may not read it.");
  }

  /**
   * @throws `not-found` there is no such projection
   * @throws `unavailable` nothing is served yet: it is being built
   * @throws `projection-failed` nothing will be, before it is mended
   * @throws `keys-damaged` personal data cannot be opened
   */
  document(name: string, key: string): ProjectedDocument {
    const { follower, shelf } = this.#served(name);
    const value = this.#opened(name, shelf.documents.get(key) ?? null);
    return { ...headOf(follower, shelf), key, value };
  }

  /**
   * @param asked `order`: default the first one; `limit`: 1 .. `projectionListMax`
   * @throws `not-found` there is no such projection or order; `invalid-input` the limit is none; others as `document`
   */
  list(name: string, asked: { readonly order?: string | undefined; readonly limit: number }): ProjectedList {
    const { follower, shelf } = this.#served(name);
    const order = orderOf(follower.definition, asked.order);
    const { documents, more } = this.#first(shelf, order, asked.limit);
    return { ...headOf(follower, shelf), order, documents: this.#opened(name, documents) as typeof documents, more };
  }

  /**
   * What is asked for, with its order.
   * @throws as `list`, except `unavailable`
   */
  check(ask: ProjectionAsk): ProjectionAsk {
    const { definition, status } = this.#follower(ask.name);
    if (ask.kind === "list") this.#checkLimit(ask.limit);
    if (status.served === undefined && status.phase === "failed") throw failedOf(status);
    return ask.kind === "list" ? { ...ask, order: orderOf(definition, ask.order) } : ask;
  }

  /**
   * The present value, then one for each change of it: of a document the document or null; of a list
   * `{ documents: [{ key, value }], more }`. While nothing is served yet, nothing comes.
   * @throws as `list`, except `unavailable`
   * @returns ends it
   */
  watch(ask: ProjectionAsk, listener: (news: WatchNews) => void): () => void {
    const checked = this.check(ask);
    const entity: EntityRef = { type: ask.name, key: "" };
    const call: WatchCall = { entity, view: ask.kind, principal: { kind: "system", id: "projections" } };
    return this.#parts.door.watch(call, listener, (heard) => this.#start(checked, heard));
  }

  #start(ask: ProjectionAsk, listener: (news: WatchNews) => void): () => void {
    const watching: Watching = { ask, listener, last: undefined };
    const all = this.#watching.get(ask.name) ?? new Set();
    this.#watching.set(ask.name, all.add(watching));
    this.#parts.clock.defer(() => this.#tell(watching));
    return () => void all.delete(watching);
  }

  #published(name: string): void {
    for (const watching of [...(this.#watching.get(name) ?? [])]) this.#tell(watching);
  }

  /** Tells what is there now, if it is not what was told before. */
  #tell(watching: Watching): void {
    const { ask } = watching;
    const shelf = this.#followers.get(ask.name)?.shelf;
    if (shelf === undefined || this.#watching.get(ask.name)?.has(watching) !== true) return;
    const list = ask.kind === "list" ? this.#first(shelf, ask.order ?? "", ask.limit) : undefined;
    const value: Plain = list ?? (ask.kind === "document" ? (shelf.documents.get(ask.key) ?? null) : null);
    // Documents are never changed, so the same ones in the same order are the same list.
    const now = list === undefined ? [value] : [list.more, ...list.documents.flatMap((row) => [row.key, row.value])];
    const { last } = watching;
    if (last !== undefined && last.length === now.length && now.every((part, at) => part === last[at])) return;
    watching.last = now;
    watching.listener({ ok: true, version: ++this.#version, value });
  }

  #first(shelf: Shelf, order: string, limit: number): Pick<ProjectedList, "documents" | "more"> {
    this.#checkLimit(limit);
    const found = shelf.first(order, limit + 1);
    const documents: { key: string; value: Plain }[] = [];
    let bytes = 0;
    for (const row of found.slice(0, limit)) {
      bytes += this.#bytesOf(row.value);
      if (bytes > this.limits.viewBytesMax && documents.length > 0) break;
      documents.push(row);
    }
    return { documents, more: found.length > documents.length };
  }

  /** Documents never change, so each is measured once. */
  #bytesOf(value: Plain): number {
    if (typeof value !== "object" || value === null) return 1;
    let bytes = this.#measured.get(value);
    if (bytes === undefined) {
      bytes = copyPlain(value, { depthMax: 1_024, bytesMax: Number.MAX_SAFE_INTEGER, sealed: true }).bytes;
      this.#measured.set(value, bytes);
    }
    return bytes;
  }

  #checkLimit(limit: number): void {
    const { projectionListMax } = this.limits;
    if (Number.isSafeInteger(limit) && limit >= 1 && limit <= projectionListMax) return;
    throw new HoldfastError("invalid-input", `\`limit\` is 1 to ${projectionListMax}.`);
  }

  #mayRead(definition: ProjectionDefinition, principal: Principal, verb: ProjectionVerb): boolean {
    try {
      return definition.access(principal, verb) === true;
    } catch (error) {
      this.#parts.report(`projection ${definition.name}: access`, error);
      return false;
    }
  }

  #opened(name: string, value: Plain): Plain {
    let result: CallResult | undefined;
    this.#parts.door.answer(name, (answer) => {
      result = answer;
    })({ ok: true, value, version: 0 });
    if (result?.ok === true) return result.value;
    throw new HoldfastError(result?.code ?? "internal", result?.detail ?? "The door gave no answer.");
  }

  #follower(name: string): ProjectionFollower {
    const follower = this.#followers.get(name);
    if (follower !== undefined) return follower;
    throw new HoldfastError("not-found", `The service has no projection "${name}".`);
  }

  #served(name: string): { readonly follower: ProjectionFollower; readonly shelf: Shelf } {
    const follower = this.#follower(name);
    const { shelf, status } = follower;
    if (shelf !== undefined) return { follower, shelf };
    if (status.phase === "failed") throw failedOf(status);
    throw new HoldfastError("unavailable", `Projection "${name}" is being built; ask again.`);
  }
}

function headOf({ status, version }: ProjectionFollower, shelf: Shelf): AnswerHead {
  const { name: projection, phase, lag } = status;
  const current = shelf.version === version && phase === "serving";
  return { projection, version: shelf.version, phase, lagSeconds: current ? (lag?.seconds ?? null) : null };
}

function failedOf({ name, error }: ProjectionStatus): HoldfastError {
  return new HoldfastError(
    "projection-failed",
    `Projection "${name}" failed (${error?.code ?? "internal"}); its operator knows why.`,
  );
}

/** @throws `not-found` */
function orderOf(definition: ProjectionDefinition, asked: string | undefined): string {
  const orders = ordersOf(definition);
  const order = asked ?? orders[0];
  if (order !== undefined && orders.includes(order)) return order;
  throw new HoldfastError("not-found", `Projection "${definition.name}" has the orders: ${orders.join(", ")}.`);
}
