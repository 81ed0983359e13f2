/** The page's only timers and its only chance: everything that waits or draws lots does it here. */

export function after(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, Math.max(0, ms));
  return () => clearTimeout(timer);
}

/** Random text of A-Z a-z 0-9 _ -: good for ids and client seeds. */
export function randomText(chars: number): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
  return Array.from(crypto.getRandomValues(new Uint8Array(chars)), (byte) => letters[byte & 63]).join("");
}

/** In [0, 1), for decoration only. */
export function flutter(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** Whether the player asked for less movement. */
export function wantsStillness(): boolean {
  return globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
}
