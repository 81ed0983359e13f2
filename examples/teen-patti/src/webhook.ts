/**
 * Tells a receiver outside about big wins: a webhook, signed as Standard Webhooks says (https://www.standardwebhooks.com).
 *
 * Invariants: its id is the call's key, so a receiver that keeps ids acts once on what it may get twice; the body of an id is
 * always the same bytes; the secret is neither in the log nor in an error. Without a receiver nothing is sent.
 */
import { type CallAttempt } from "holdfast";
import { Webhook } from "standardwebhooks";
import { systemClock } from "./system.ts";

/** Chips won in one stay at a table that are news. */
export const BIG_WIN = 20_000;

export type BigWin = { player: string; table: string; won: number; atMs: number };

export type Receiver = {
  url: string;
  /** `whsec_` and the key in base64, as the receiver has it. */
  secret: string;
};

let receiver: (Receiver & { readonly signer: Webhook }) | null = null;

/**
 * Where webhooks go from now on; null sends none. The process's own setting: what a command decides does not depend on it.
 * @throws Error the secret is not base64
 */
export function setReceiver(to: Receiver | null): void {
  receiver = to === null ? null : { ...to, signer: new Webhook(to.secret) };
}

/** The handler of the player's call `tellBigWin`. Whatever is not a 2xx is tried again. */
export async function tellBigWin(win: BigWin, { key, signal }: CallAttempt): Promise<{ status: number | null }> {
  if (receiver === null) return { status: null };
  const { url, signer } = receiver;
  const body = JSON.stringify({
    type: "player.won_big",
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
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the receiver answered ${response.status}`);
  return { status: response.status };
}
