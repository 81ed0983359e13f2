/**
 * Hands what a frame brought over in slices, a turn of the event loop between them: the calls that the first answers lead
 * to are on their way while the rest of a large frame is still being worked off, so client and server do not take turns.
 *
 * Invariants: messages are handed over in the order they came; of those that wait there are at most `inboxMax` and one
 * frame's.
 */
import type { Clock } from "../ports/clock.ts";
import { clientLimits } from "./limits.ts";

export class Inbox<Message> {
  readonly #clock: Clock;
  readonly #take: (message: Message) => void;
  #waiting: Message[] = [];
  #next = 0;
  #scheduled = false;

  constructor(clock: Clock, take: (message: Message) => void) {
    this.#clock = clock;
    this.#take = take;
  }

  push(message: Message): void {
    this.#waiting.push(message);
  }

  /** After the messages of a frame were pushed: hands the first of them over, unless others wait already. */
  turn(): void {
    if (this.#scheduled && this.#waiting.length - this.#next <= clientLimits.inboxMax) return;
    this.#slice(this.#scheduled ? Number.POSITIVE_INFINITY : clientLimits.inboxSlice);
  }

  /** Hands all of them over: nothing comes any more. */
  drain(): void {
    this.#slice(Number.POSITIVE_INFINITY);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#waiting = [];
    this.#next = 0;
  }

  #slice(count: number): void {
    // What is called may push, drain or clear.
    for (let taken = 0; taken < count && this.#next < this.#waiting.length; taken++) {
      this.#take(this.#waiting[this.#next++] as Message);
    }
    if (this.#next >= this.#waiting.length) return this.clear();
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.defer(() => {
      this.#scheduled = false;
      this.#slice(clientLimits.inboxSlice);
    });
  }
}
