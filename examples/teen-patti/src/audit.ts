/**
 * The audit: adds up every chip there is, from the records of the log alone.
 *
 * Invariant checked: wallets + tables + in flight = issued, at any cut of the log that holds a cause with its effect (as
 * every crash leaves it). In flight is a send that carries chips and was not taken in yet, or was refused and is not
 * back yet. Records of different shards may come in any order, those of one entity in theirs.
 */

import type { PlayerState } from "./player.ts";
import { player } from "./player.ts";
import { table } from "./table.ts";
import { chipsAt, type TableState } from "./table-state.ts";

type EntityName = { readonly type: string; readonly key: string };

/** The part of a log record that the audit reads. */
export interface AuditRecord {
  readonly entity: EntityName;
  readonly cause:
    | { readonly kind: "send"; readonly from: EntityName; readonly sequence: number }
    | { readonly kind: "settled"; readonly to: EntityName; readonly sequence: number }
    | { readonly kind: "request" | "timer" | "called" | "call-failed" | "call-retried" | "call-dropped" };
  readonly events: readonly { readonly name: string; readonly payload: unknown }[];
  readonly outcome: { readonly ok: boolean };
  readonly sends: readonly {
    readonly to: EntityName;
    readonly sequence: number;
    readonly command: string;
    readonly input: unknown;
  }[];
}

export interface Totals {
  readonly issued: number;
  readonly wallets: number;
  readonly tables: number;
  readonly inFlight: number;
  /** Hands played to the end. */
  readonly hands: number;
  /** What is wrong; empty when all is well. */
  readonly problems: readonly string[];
}

type Transfer = { name: string; amount: number; sent: boolean; taken: boolean; refused: boolean; settled: boolean };

/** Which field of a send's input carries chips, by command. */
const chipFields: Readonly<Record<string, string>> = {
  seatPlayer: "buyIn",
  addChips: "amount",
  tip: "amount",
  gift: "amount",
  cashOut: "amount",
};

export class Audit {
  readonly players = new Map<string, PlayerState>();
  readonly tables = new Map<string, TableState>();
  readonly #transfers = new Map<string, Transfer>();
  #hands = 0;

  /** Takes in one record. Records of other entity types are left out. */
  take(record: AuditRecord): void {
    const { entity, cause, events, outcome } = record;
    if (entity.type === "player") evolve(player, this.players, entity.key, events);
    if (entity.type === "table") evolve(table, this.tables, entity.key, events);
    this.#hands += events.filter(({ name }) => name === "handFinished").length;
    for (const send of record.sends) this.#noteSent(entity, send);
    if (cause.kind === "send") {
      const transfer = this.#transfer(cause.from, entity, cause.sequence);
      if (outcome.ok) transfer.taken = true;
      else transfer.refused = true;
    }
    if (cause.kind === "settled") this.#transfer(entity, cause.to, cause.sequence).settled = true;
  }

  totals(): Totals {
    const problems: string[] = [];
    const wallets = sum(this.players, ({ balance }) => balance);
    const issued = sum(this.players, (state) => state.issued);
    const tables = sum(this.tables, chipsAt);
    let inFlight = 0;
    for (const transfer of this.#transfers.values()) {
      if (transfer.sent && !transfer.taken && !transfer.settled) inFlight += transfer.amount;
      if (!transfer.sent) problems.push(`${transfer.name} was received or settled and never sent`);
    }
    for (const [key, { balance }] of this.players) {
      if (!Number.isSafeInteger(balance) || balance < 0) problems.push(`player ${key} has ${balance} chips`);
    }
    for (const [key, { seats }] of this.tables) {
      for (const seat of seats) if (seat !== null && seat.chips < 0) problems.push(`table ${key} seat ${seat.seat}`);
    }
    const all = wallets + tables + inFlight;
    if (all !== issued) problems.push(`${wallets} + ${tables} + ${inFlight} = ${all} chips, but ${issued} were issued`);
    return { issued, wallets, tables, inFlight, hands: this.#hands, problems };
  }

  #noteSent(from: EntityName, send: AuditRecord["sends"][number]): void {
    const transfer = this.#transfer(from, send.to, send.sequence);
    const field = chipFields[send.command];
    const amount = field === undefined ? 0 : (send.input as Readonly<Record<string, unknown>>)[field];
    transfer.sent = true;
    transfer.amount = typeof amount === "number" ? amount : 0;
  }

  #transfer(from: EntityName, to: EntityName, sequence: number): Transfer {
    const name = `${from.type}/${from.key} to ${to.type}/${to.key} number ${sequence}`;
    const known = this.#transfers.get(name);
    if (known !== undefined) return known;
    const transfer = { name, amount: 0, sent: false, taken: false, refused: false, settled: false };
    this.#transfers.set(name, transfer);
    return transfer;
  }
}

/** The part of a definition that a replay needs. */
type Replayable = {
  readonly state: (key: string) => unknown;
  readonly events: ReadonlyMap<string, { readonly evolve: (state: unknown, payload: unknown) => void }>;
};

function evolve<State>(
  definition: Replayable,
  states: Map<string, State>,
  key: string,
  events: AuditRecord["events"],
): void {
  const state = states.get(key) ?? (definition.state(key) as State);
  states.set(key, state);
  for (const { name, payload } of events) {
    const event = definition.events.get(name);
    if (event === undefined) throw new Error(`the log holds an event "${name}" that this code does not know`);
    event.evolve(state, payload);
  }
}

function sum<State>(states: ReadonlyMap<string, State>, chips: (state: State) => number): number {
  let total = 0;
  for (const state of states.values()) total += chips(state);
  return total;
}
