/**
 * What the clients of counters asked and were told, as histories for the checkers of `checkers/`.
 *
 * Invariant: only the clients' own moments are in it; nothing of the log.
 */
import { formatRef } from "../../model/ids.ts";
import type { CallResult } from "../../model/records.ts";
import type { Operation } from "../checkers/history.ts";
import { checkLinearizability, describeVerdict } from "../checkers/linearizability.ts";
import { type CounterInput, counter } from "../checkers/models.ts";
import { checkVersionOrder } from "../checkers/version-order.ts";
import type { Wanted } from "../client.ts";
import type { World } from "../world.ts";

type Counted = Operation<CounterInput, number>;

/** A longer history is held to its versions only. */
const searchedMax = 60;
const configurationsMax = 20_000;

export class ClusterHistory {
  readonly #world: World;
  readonly #histories = new Map<string, Counted[]>();
  searched = 0;
  undecided = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** A client asks. @returns to be called with what it was told at last; undefined: it gave up */
  asked(who: string, { entity, name, input }: Wanted): (result: CallResult | undefined) => void {
    if (entity.type !== "counter" || entity.key === "bells") return () => {};
    const { timeline } = this.#world;
    const sent = timeline.nowMs;
    const isAdd = name === "add";
    const asked: CounterInput = isAdd
      ? { kind: "add", amount: (input as { amount: number }).amount }
      : { kind: "read" };
    return (result) => {
      const ref = formatRef(entity);
      let history = this.#histories.get(ref);
      if (history === undefined) this.#histories.set(ref, (history = []));
      const shown = sumIn(result);
      // What was refused otherwise was not carried out, or nobody knows: then a change may yet be there.
      if (shown === undefined && (!isAdd || (result !== undefined && !result.ok && notRun.has(result.code)))) return;
      const version = result?.ok === true && (isAdd || name === "state") ? result.version : undefined;
      const answer = shown === undefined ? undefined : { at: timeline.nowMs, output: shown, version, changed: isAdd };
      history.push({ who: `${who} ${name}`, input: asked, sent, answer });
    };
  }

  check(): void {
    for (const [ref, history] of this.#histories) {
      for (const problem of checkVersionOrder(history))
        this.#world.violated("a history fits its versions", `${ref}: ${problem}`);
      if (history.length > searchedMax) continue;
      const verdict = checkLinearizability(history, counter, configurationsMax);
      this.searched++;
      if (verdict.kind === "undecided") this.undecided++;
      if (verdict.kind === "violation")
        this.#world.violated("every history is linearizable", `${ref}: ${describeVerdict(verdict, history)}`);
    }
  }
}

/** Answers after which it is certain that nothing was done, by this attempt or another. */
const notRun: ReadonlySet<string> = new Set(["version-mismatch", "invalid-request-id"]);

function sumIn(result: CallResult | undefined): number | undefined {
  const told = result?.ok === true ? result.value : result?.ok === false ? result.details : undefined;
  const { sum } = (told ?? {}) as { sum?: number };
  return typeof sum === "number" ? sum : undefined;
}
