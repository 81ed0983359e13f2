/**
 * Personal data on its way out: replies, answers and views are opened for a caller who was allowed to have them, after what is
 * recorded was recorded. Types without personal data pass untouched.
 *
 * Invariant: what was erased leaves as null from the moment its key is gone; whoever watches a view that showed it gets
 * that view again.
 */
import type { Vault } from "../core/personal.ts";
import { HoldfastError, isHoldfastError } from "../model/errors.ts";
import type { Limits } from "../model/limits.ts";
import type { CallResult, WatchCall, WatchNews } from "../model/records.ts";
import { openAll, partsOf } from "../model/sealed.ts";
import type { Plain } from "../std/plain.ts";

type Listener = (news: WatchNews) => void;

interface Opening {
  readonly value: Plain;
  /** Whose data it holds. */
  readonly subjects: ReadonlySet<string>;
}

interface Watched {
  readonly listener: Listener;
  last: (WatchNews & { readonly ok: true }) | undefined;
  subjects: ReadonlySet<string>;
}

export interface DoorOptions {
  /** By the name that answers and watches are of: an entity type, a projection. */
  readonly definitions: ReadonlyMap<string, { readonly personal: boolean }>;
  readonly vault: Vault;
  readonly limits: Limits;
  readonly fault: (where: string, error: unknown) => void;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #watched = new Set<Watched>();
  /** Views that are the same for many are opened once. */
  #known = new WeakMap<object, Opening>();
  /** What was opened of late, by its sealed text: a view shows the same few values again and again. */
  readonly #values = new Map<string, Plain>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  /** The callback of a caller of an entity of this type. */
  answer(type: string, done: (result: CallResult) => void): (result: CallResult) => void {
    return this.#isPersonal(type) ? (result) => done(this.#openResult(type, result)) : done;
  }

  /** What a handler of a call gets. @throws `keys-damaged` */
  handed(type: string, input: Plain): Plain {
    return this.#isPersonal(type) ? this.#open(input).value : input;
  }

  /** Starts a watch through the door. */
  watch(call: WatchCall, listener: Listener, start: (listener: Listener) => () => void): () => void {
    if (!this.#isPersonal(call.entity.type)) return start(listener);
    const watched: Watched = { listener, last: undefined, subjects: new Set() };
    this.#watched.add(watched);
    const stop = start((news) => {
      // it ended here already: a value could not be opened
      if (!this.#watched.has(watched)) return;
      if (!news.ok) this.#watched.delete(watched);
      this.#show(watched, news);
    });
    return () => {
      this.#watched.delete(watched);
      stop();
    };
  }

  /** The key of this subject is gone. */
  erased(subject: string): void {
    this.#known = new WeakMap();
    this.#values.clear();
    for (const watched of [...this.#watched]) {
      if (watched.last === undefined || !watched.subjects.has(subject)) continue;
      try {
        this.#show(watched, watched.last);
      } catch (error) {
        this.#options.fault("a watcher that was told of an erasure", error);
      }
    }
  }

  #isPersonal(type: string): boolean {
    return this.#options.definitions.get(type)?.personal === true;
  }

  #show(watched: Watched, news: WatchNews): void {
    watched.last = news.ok ? news : undefined;
    if (!news.ok) return watched.listener(news);
    try {
      const { value, subjects } = this.#openView(news.value);
      watched.subjects = subjects;
      watched.listener({ ...news, value });
    } catch (error) {
      this.#watched.delete(watched);
      const { code, detail } = this.#told("a view", error);
      watched.listener({ ok: false, code, detail });
    }
  }

  #openResult(type: string, result: CallResult): CallResult {
    try {
      if (result.ok) return { ...result, value: this.#open(result.value).value };
      return result.details === undefined ? result : { ...result, details: this.#open(result.details).value };
    } catch (error) {
      return { ok: false, ...this.#told(`an answer of ${type}`, error) };
    }
  }

  #told(what: string, error: unknown): { readonly code: "keys-damaged"; readonly detail: string } {
    if (!isHoldfastError(error) || error.code !== "keys-damaged") throw error;
    this.#options.fault(`personal data in ${what}`, error);
    return { code: error.code, detail: error.message };
  }

  #openView(value: Plain): Opening {
    if (typeof value !== "object" || value === null) return { value, subjects: new Set() };
    const known = this.#known.get(value);
    if (known !== undefined) return known;
    const opening = this.#open(value);
    this.#known.set(value, opening);
    return opening;
  }

  #openText(text: string): Plain {
    const known = this.#values.get(text);
    if (known !== undefined) return known;
    const { vault, limits } = this.#options;
    const value = vault.open(text) ?? null;
    if (this.#values.size >= limits.openedValuesMax) this.#values.clear();
    this.#values.set(text, value);
    return value;
  }

  #open(value: Plain): Opening {
    const subjects = new Set<string>();
    const opened = openAll(value, (text) => {
      const subject = partsOf(text)?.subject;
      if (subject !== undefined) subjects.add(subject);
      return this.#openText(text);
    });
    return { value: opened, subjects };
  }
}

/** Of a node without a key store: nothing is sealed there. */
export const noVault: Vault = {
  seal: () => refuse(),
  open: () => refuse(),
};

function refuse(): never {
  throw new HoldfastError("invalid-configuration", "There is no key store; give the node one.");
}
