/**
 * How many entities each principal may bring into being per minute.
 *
 * Invariant: in no minute does a principal create more than the limit: what is in flight counts as if it created. The
 * table is bounded; the least recently active principal without anything in flight is forgotten first.
 */
import type { Limits } from "../model/limits.ts";
import type { Principal } from "../model/records.ts";
import type { Clock } from "../ports/clock.ts";

const minuteMs = 60_000;

interface Account {
  readonly key: string;
  windowStart: number;
  created: number;
  /** Commands that were told they may create and are not answered. */
  pending: number;
}

export class CreateQuota {
  readonly #clock: Clock;
  readonly #limits: Limits;
  /** In order of last use. */
  readonly #accounts = new Map<string, Account>();

  constructor(clock: Clock, limits: Limits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Principals that are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  /** Reserves room for one creation. @returns what `settle` needs, or undefined if there is no room */
  reserve(principal: Principal): Account | undefined {
    const account = this.#account(`${principal.kind}:${principal.id}`);
    if (account.created + account.pending >= this.#limits.createsPerMinuteMax) return undefined;
    account.pending++;
    return account;
  }

  /** The command was answered. */
  settle(account: Account | undefined, created: boolean): void {
    if (account === undefined) return;
    account.pending--;
    if (created) account.created++;
  }

  #account(key: string): Account {
    const now = this.#clock.monotonic();
    let account = this.#accounts.get(key);
    if (account === undefined) {
      account = { key, windowStart: now, created: 0, pending: 0 };
      this.#accounts.set(key, account);
      if (this.#accounts.size > this.#limits.quotasMax) this.#forget();
    } else if (now - account.windowStart >= minuteMs) {
      account.windowStart = now;
      account.created = 0;
      // Moved to the young end once a minute: exact enough, and free on the hot path.
      this.#accounts.delete(key);
      this.#accounts.set(key, account);
    }
    return account;
  }

  #forget(): void {
    for (const [key, account] of this.#accounts) {
      if (account.pending > 0) continue;
      this.#accounts.delete(key);
      return;
    }
  }
}

export type CreateReservation = ReturnType<CreateQuota["reserve"]>;
