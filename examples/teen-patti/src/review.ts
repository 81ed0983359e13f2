/**
 * Asks somebody outside about large winnings, when a player cashes out: the answer comes back to the player, who records it. That is
 * what a call is for; who only wants to be told follows the change log (`downstream.ts`).
 *
 * Invariants: the question of a call is always the same bytes under the call's key, so whoever keeps keys looks once at what it
 * may be asked twice; it is signed as Standard Webhooks says (https://www.standardwebhooks.com); the secret is neither in the log nor
 * in an error. Without a reviewer nobody is asked.
 */
import { type CallAttempt, callOutcome } from "holdfast";
import { Webhook } from "standardwebhooks";
import { systemClock } from "./system.ts";

/** Chips won in one stay at a table that somebody should look at. */
export const LARGE_WIN = 20_000;

export type LargeWin = { player: string; table: string; won: number; atMs: number };
/** `look`: a person should. Null: nobody was there to ask. */
export type Verdict = "fine" | "look" | null;

export type Reviewer = {
  url: string;
  /** `whsec_` and the key in base64, as the reviewer has it. */
  secret: string;
};

let reviewer: (Reviewer & { readonly signer: Webhook }) | null = null;

/**
 * Who is asked from now on; null: nobody. The process's own setting: what a command decides does not depend on it.
 * @throws Error the secret is not base64
 */
export function setReviewer(to: Reviewer | null): void {
  reviewer = to === null ? null : { ...to, signer: new Webhook(to.secret) };
}

/** The handler of the player's call. Whatever is no verdict is asked again. */
export async function reviewWin(win: LargeWin, { key, signal }: CallAttempt): Promise<{ verdict: Verdict }> {
  if (reviewer === null) return { verdict: null };
  const { url, signer } = reviewer;
  const body = JSON.stringify({
    type: "player.won_large",
    timestamp: new Date(win.atMs).toISOString(),
    data: { player: win.player, table: win.table, won: win.won },
  });
  const sent = new Date(systemClock.now());
  const response = await fetch(url, {
    method: "POST",
    redirect: "manual",
    signal,
    body,
    headers: {
      "content-type": "application/json",
      "webhook-id": key,
      "webhook-timestamp": String(Math.floor(sent.getTime() / 1000)),
      "webhook-signature": signer.sign(key, sent, body),
    },
  });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`the reviewer answered ${response.status}`);
  }
  const { verdict } = (await response.json()) as { verdict?: unknown };
  if (verdict !== "fine" && verdict !== "look") throw new Error("the reviewer gave no verdict");
  return { verdict };
}

/** What the player's command `winReviewed` gets. */
export const reviewOutcome = callOutcome<typeof reviewWin, { table: string; won: number }>();
