/**
 * The accounts as a service in a directory, under a load of transfers, and the count of their chips.
 *
 * Invariant: limits are so tight that snapshots, trims and forgotten entities come within a second.
 */
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openFileSnapshots } from "../../src/adapters/files/snapshot-store.ts";
import { systemClock as clock } from "../../src/adapters/system/clock.ts";
import { openDirectory } from "../../src/adapters/system/disk.ts";
import { systemRandom as random } from "../../src/adapters/system/random.ts";
import { developmentAuthentication } from "../../src/gateway/auth.ts";
import type { Limits } from "../../src/model/limits.ts";
import type { CallResult, CommandCall } from "../../src/model/records.ts";
import { type EmbeddedService, embedded } from "../../src/presets/embedded.ts";
import { openHistory } from "../../src/presets/history.ts";
import { Prng } from "../../src/std/prng.ts";
import { makeUuidV7 } from "../../src/std/uuid.ts";
import { account, opening } from "./accounts.ts";

export const accounts = 40;
export const chips = accounts * opening;
export const shardCount = 4;
export const segmentBytes = 64 * 1024;

const tight = { replayBudgetMs: 4, dedupWindowMs: 1_500, requestIdFutureMs: 1_000, residentEntitiesMax: 30 };

export function startAccounts(directory: string, limits: Partial<Limits> = tight) {
  return embedded({
    entities: [account],
    directory,
    shardCount,
    segmentBytes,
    port: 0,
    progress: false,
    authenticate: developmentAuthentication({ warn: () => {} }),
    onFault: () => {},
    limits,
  });
}

export function openBackups(directory: string) {
  return openFileSnapshots({ disk: openDirectory(directory), clock, random });
}

const principal = { kind: "user", id: "load" } as const;

export function execute(
  service: EmbeddedService,
  call: Pick<CommandCall, "entity" | "command" | "input">,
  requestId = newId(),
) {
  return new Promise<CallResult>((resolve) => service.node.execute({ ...call, requestId, principal }, resolve));
}

export function newId(): string {
  return makeUuidV7(Date.now(), random.bytes(16));
}

export const accountKey = (index: number) => ({ type: "account", key: `a${index}` });

export async function openAccounts(service: EmbeddedService): Promise<void> {
  const opened = Array.from({ length: accounts }, (_, index) =>
    execute(service, { entity: accountKey(index), command: "open", input: undefined }),
  );
  for (const result of await Promise.all(opened)) if (!result.ok) throw new Error(result.detail);
}

export interface Gift {
  readonly entity: { readonly type: string; readonly key: string };
  readonly command: "give";
  readonly input: { readonly id: string; readonly to: string; readonly amount: number };
  readonly requestId: string;
}

/** Many transfers at a time until it is stopped; remembers what was acknowledged. */
export class Load {
  readonly acknowledged: Gift[] = [];
  readonly #service: EmbeddedService;
  readonly #prng: Prng;
  readonly #runs: Promise<void>[];
  #stopped = false;
  #made = 0;

  constructor(service: EmbeddedService, seed: number, parallel = 24) {
    this.#service = service;
    this.#prng = new Prng(seed);
    this.#runs = Array.from({ length: parallel }, () => this.#run());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#runs);
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const gift = this.#gift();
      const result = await execute(this.#service, gift, gift.requestId);
      if (result.ok) this.acknowledged.push(gift);
      else await sleep(1);
    }
  }

  #gift(): Gift {
    const [from, to] = [this.#prng.integer(accounts), this.#prng.integer(accounts)];
    const requestId = newId();
    const input = {
      id: `g${this.#made++}`,
      to: `a${to}`,
      amount: 1 + this.#prng.integer(5),
      tell: this.#made % 50 === 0,
    };
    return { entity: accountKey(from), command: "give", input, requestId };
  }
}

export interface Counted {
  /** In balances. */
  readonly held: number;
  /** In sends that no receiver has. */
  readonly underway: number;
  readonly timers: number;
  readonly ids: ReadonlyMap<string, readonly string[]>;
}

/** Counts what a directory's log says, send by send, without starting anything on it. */
export async function countChips(directory: string): Promise<Counted> {
  const history = await openHistory({ directory, entities: [account] });
  const shards = await Promise.all(Array.from({ length: shardCount }, (_, shard) => history.shardAt(shard)));
  const images = shards.flatMap(({ entities }) => [...entities.values()]);
  const received = new Map<string, number>();
  for (const { entity, inbox } of images)
    for (const { from, sequence } of inbox) received.set(`${from} ${entity.type}/${entity.key}`, sequence);
  let [held, underway, timers] = [0, 0, 0];
  const ids = new Map<string, readonly string[]>();
  for (const { entity, state, outbox, timers: waiting } of images) {
    const { balance, ids: own } = state as { balance: number; ids: string[] };
    held += balance;
    timers += waiting.length;
    ids.set(entity.key, own);
    for (const { to, sends } of outbox)
      for (const { send } of sends) {
        const pair = `${entity.type}/${entity.key} ${to.type}/${to.key}`;
        if (send.sequence > (received.get(pair) ?? 0)) underway += (send.input as { amount: number }).amount;
      }
  }
  return { held, underway, timers, ids };
}

/** Waits until all chips are in balances again. @returns what they add up to at the end */
export async function settleChips(service: EmbeddedService): Promise<{ held: number; ids: string[][] }> {
  for (let look = 0; ; look++) {
    const states = await Promise.all(Array.from({ length: accounts }, (_, index) => stateOf(service, index)));
    const held = states.reduce((sum, { balance }) => sum + balance, 0);
    if (held === chips || look === 200) return { held, ids: states.map(({ ids }) => ids) };
    await sleep(25);
  }
}

export async function stateOf(service: EmbeddedService, index: number): Promise<{ balance: number; ids: string[] }> {
  for (;;) {
    const result = await new Promise<CallResult>((resolve) => {
      service.node.query({ entity: accountKey(index), query: "state", input: undefined, principal }, resolve);
    });
    if (result.ok) return result.value as never;
    await sleep(10);
  }
}

export function names(directory: string): string[] {
  return readdirSync(directory).sort();
}
