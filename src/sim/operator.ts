/**
 * A simulated operator: looks at what is parked now and then, and does something about it. Clumsily while faults come
 * (whatever verb, twice, at the wrong time), thoroughly when they are over.
 *
 * Invariant: what is parked when the faults are over is in service again soon; so a run can come to rest.
 */
import { catalogue } from "../model/errors.ts";
import { formatRef } from "../model/ids.ts";
import { type OperatorCall, type OperatorVerb, operatorVerbs, type ParkedEntry } from "../model/marks.ts";
import type { CallResult, Principal } from "../model/records.ts";
import type { Server } from "./server.ts";
import type { Witness } from "./witness.ts";
import type { World } from "./world.ts";

const principal: Principal = { kind: "operator", id: "sim" };
const everyMs = 400;
/** What an operator may be told, beside what asks for a retry. */
const refusals = new Set(["rejected", "version-mismatch"]);

export class Operator {
  readonly #world: World;
  readonly #server: Server;
  readonly #witness: Witness;
  #turn = 0;
  /** What was skipped, by the mark that parked it: it can be resumed without breaking at once again. */
  readonly #skipped = new Set<string>();

  constructor(world: World, server: Server, witness: Witness) {
    this.#world = world;
    this.#server = server;
    this.#witness = witness;
  }

  begin(): void {
    this.#world.timeline.after(everyMs, () => {
      this.#turn++;
      for (const entry of this.#server.quarantined(principal)) this.#treat(entry);
      this.begin();
    });
  }

  #treat(entry: ParkedEntry): void {
    const { prng, faulty } = this.#world;
    if (faulty && prng.chance(0.6)) return;
    const treated = this.#skipped.has(`${formatRef(entry.entity)}@${entry.parkedAt}`);
    const verb = faulty ? prng.pick(operatorVerbs) : treated ? "resume" : "skip";
    // the state of others than `fragile` is counted by the model and by the ledger: it is not made up
    if (verb === "repair" && entry.entity.type !== "fragile") return;
    const state = { good: 1_000 + this.#turn, half: 0 };
    const guard = prng.chance(0.3) ? { ifParkedAt: entry.parkedAt } : {};
    const call: OperatorCall = {
      entity: entry.entity,
      verb,
      principal,
      ...guard,
      ...(verb === "repair" ? { state } : {}),
    };
    this.#server.operate(call, (result) => this.#check(entry, verb, result));
  }

  #check(entry: ParkedEntry, verb: OperatorVerb, result: CallResult): void {
    const name = formatRef(entry.entity);
    if (!result.ok) {
      if (catalogue[result.code].recovery !== "retry" && !refusals.has(result.code))
        this.#world.violated("answers make sense", `${verb} of ${name} was answered ${result.code}: ${result.detail}`);
      // What was skipped under one deployment was not what this one cannot evolve. And where the records that a skip needs are
      // gone, the state was repaired before: it can be resumed.
      if (result.reason === "poisoned") this.#skipped[verb === "skip" ? "add" : "delete"](`${name}@${entry.parkedAt}`);
      return;
    }
    if (verb === "skip") this.#skipped.add(`${name}@${entry.parkedAt}`);
    const told = result.value as { readonly readable: boolean; readonly version: number; readonly state?: unknown };
    if (verb !== "inspect" || !told.readable) return;
    const known = this.#witness.entity(name).states.get(told.version);
    if (JSON.stringify(told.state) !== known)
      this.#world.violated(
        "a parked entity is at its last good version",
        `${name} at ${told.version} was inspected as ${JSON.stringify(told.state)}, the log says ${known}`,
      );
  }
}
