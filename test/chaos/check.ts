/**
 * Compares what clients were told with what the log holds. Pure.
 *
 * Invariant: an empty list means 0 lost, 0 doubled, 0 invented: each acknowledged command stands exactly once, at the
 * place its reply named; every other command stands at most once; what was given is taken at most once.
 */
import type { AccountState } from "./account.ts";
import type { Acknowledged } from "./workload.ts";

export interface Findings {
  readonly lost: string[];
  readonly doubled: string[];
  readonly wrong: string[];
  /** Given and not taken yet: in flight. Empty once the service is quiet. */
  readonly untaken: string[];
}

export function checkHistory(
  accounts: ReadonlyMap<string, AccountState>,
  acknowledged: readonly Acknowledged[],
  issued: ReadonlySet<string>,
): Findings {
  const findings: Findings = { lost: [], doubled: [], wrong: [], untaken: [] };
  const carriedOut = new Set<string>();
  const given = new Set<string>();
  const taken = new Set<string>();
  for (const state of accounts.values()) {
    for (const id of [...state.ids, ...state.given]) {
      if (carriedOut.has(id)) findings.doubled.push(id);
      carriedOut.add(id);
      if (!issued.has(id)) findings.wrong.push(`${id} was never issued`);
    }
    for (const id of state.given) given.add(id);
    for (const id of state.taken) {
      if (taken.has(id)) findings.doubled.push(`${id} (taken)`);
      taken.add(id);
    }
  }
  for (const { key, list, id, at } of acknowledged) {
    const there = accounts.get(key)?.[list][at];
    if (there === id) continue;
    if (carriedOut.has(id)) findings.wrong.push(`${id} is not at the place its reply named`);
    else findings.lost.push(id);
  }
  for (const id of taken) if (!given.has(id)) findings.wrong.push(`${id} was taken and never given`);
  for (const id of given) if (!taken.has(id)) findings.untaken.push(id);
  return findings;
}
