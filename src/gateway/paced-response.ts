/**
 * A response that is written piece by piece, no faster than its reader takes it.
 *
 * Invariants: what is queued to it is one piece and what the socket holds; a reader that takes nothing for `feedStalledMs` is cut
 * off. After `gone` nothing is written.
 */
import type { ServerResponse } from "node:http";
import type { Clock } from "../ports/clock.ts";

export class PacedResponse {
  readonly response: ServerResponse;
  readonly #clock: Clock;
  readonly #stalledMs: number;
  #wake: () => void = () => {};
  #gone = false;

  constructor(response: ServerResponse, clock: Clock, stalledMs: number) {
    this.response = response;
    this.#clock = clock;
    this.#stalledMs = stalledMs;
    response.on("drain", () => this.#wake());
    response.on("close", () => {
      this.#gone = true;
      this.#wake();
    });
  }

  /** The connection is closed, or the response was ended. */
  get gone(): boolean {
    return this.#gone || this.response.destroyed;
  }

  /** Resolves when the next piece may be written, at the earliest after a turn: commands are not kept waiting. */
  async write(text: string): Promise<void> {
    if (this.gone) return;
    if (this.response.write(text)) return new Promise((resolve) => this.#clock.defer(resolve));
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(this.#stalledMs, () => this.response.destroy());
      this.#wake = () => {
        cancel();
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
