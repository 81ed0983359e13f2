/**
 * Brings entities that were in use before a stop back into memory, in the background, when the node serves again. After a
 * kill there is nothing to do: what was used since the last checkpoint is brought in by the replay.
 *
 * Invariants: commands come first: it works for a moment, then rests for longer. It never brings in more than there is room
 * for, and what it brought in is the first to be forgotten. The list is a hint: without it, or with an old one, entities
 * come when they are asked for.
 */
import { formatRef, parseRef } from "../model/ids.ts";
import type { Limits } from "../model/limits.ts";
import type { Clock } from "../ports/clock.ts";
import type { StateStore } from "../ports/state-store.ts";
import type { ShardHost } from "./shard-host.ts";

/** No type name begins like this; nor is it the name of a chunk of request ids. */
const listName = "-/recent";
/** It rests when it has worked for this long, */
const sliceMs = 0.5;
/** for so many times as long. */
const restFactor = 4;
/** Entities between looks at the clock. */
const sliceEntities = 16;

export interface WarmUpOptions {
  readonly hosts: readonly ShardHost[];
  readonly state: StateStore | undefined;
  readonly clock: Clock;
  readonly limits: Limits;
  /** The list could not be written. */
  readonly report: (where: string, error: unknown) => void;
}

export class WarmUp {
  readonly #options: WarmUpOptions;
  #closed = false;

  constructor(options: WarmUpOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { hosts, clock } = this.#options;
    await this.#rest(0);
    for (const host of hosts) {
      const names = this.#read(host);
      for (let next = 0; next < names.length; ) {
        const startedMs = clock.monotonic();
        do {
          if (this.#closed || host.owner.phase !== "serving" || !this.#room()) break;
          const slice = names.slice(next, next + sliceEntities);
          for (const name of slice) host.step({ kind: "warm", entity: parseRef(name) });
          next += sliceEntities;
        } while (next < names.length && clock.monotonic() - startedMs < sliceMs);
        if (this.#closed || !this.#room()) return;
        if (host.owner.phase !== "serving") break;
        await this.#rest(clock.monotonic() - startedMs);
      }
    }
  }

  /** Brings in nothing more. */
  close(): void {
    this.#closed = true;
  }

  /** Writes down what is in memory, those in use of late first. The shards take no more commands. */
  async note(): Promise<void> {
    const { hosts, state } = this.#options;
    for (const host of hosts) {
      if (state === undefined || host.owner.phase !== "draining") continue;
      const slots = host.owner.slots.values();
      const used = slots.filter((slot) => slot.used);
      const names = [...used, ...slots.filter((slot) => !slot.used)].map(({ ref }) => formatRef(ref));
      const bytes = Buffer.from(names.slice(0, this.#most()).join("\n"));
      const images = [{ name: listName, touched: 0, busy: false, bytes }];
      await state
        .write([{ shard: host.shard, images }])
        .catch((error: unknown) => this.#options.report("the list of recent entities", error));
    }
  }

  /** Of one shard: its share of the room, twice over, since shards are not filled alike. */
  #most(): number {
    const { hosts, limits } = this.#options;
    return Math.ceil((2 * limits.residentEntitiesMax) / hosts.length);
  }

  #read({ shard }: ShardHost): readonly string[] {
    try {
      const bytes = this.#options.state?.get(shard, listName);
      return bytes === undefined || bytes.length === 0 ? [] : Buffer.from(bytes).toString("latin1").split("\n");
    } catch {
      return []; // damaged; whoever needs what stands beside it finds out
    }
  }

  #room(): boolean {
    const { hosts, limits } = this.#options;
    let [hot, bytes] = [0, 0];
    for (const { owner } of hosts) {
      hot += owner.slots.size;
      bytes += owner.slots.bytes;
    }
    return hot + sliceEntities <= limits.residentEntitiesMax && bytes < limits.residentBytesMax;
  }

  async #rest(busyMs: number): Promise<void> {
    const { clock } = this.#options;
    const restMs = busyMs * restFactor;
    await new Promise<void>((resolve) => (restMs > 1 ? clock.after(restMs, resolve) : clock.defer(resolve)));
  }
}
